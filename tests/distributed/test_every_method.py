"""Ranks and restarts reach no bit of any method's result; no line per method."""

import pytest
from runs import DRIVER, Lab, call, checkpoints, make_lab, outcome, torchrun

from pfedmma_dist.clip.load import dims
from pfedmma_dist.methods import METHODS

CHANGES = {"federation__rounds": 3, "federation__fraction": 0.75}
SPECS = {name: kind(kind.Options(), dims("ViT-B-16")).specs for name, kind in METHODS.items()}
TRAINED = [name for name, specs in SPECS.items() if any(spec.shared for spec in specs)]
"""Those that share something; ranks cannot reach the bits of the others."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A run of each method on two ranks, of which the second is asked to stop in round 1."""
    lab = make_lab(tmp_path_factory.mktemp("every_method"))
    driver, words = DRIVER.with_name("every_method.py"), lab.words("two", **CHANGES)
    assert torchrun(2, driver, lab.folder("two"), *TRAINED, "--", *words).code == 0
    return lab


@pytest.mark.parametrize("name", TRAINED)
def test_run_stopped_on_two_ranks_ends_on_one_with_the_bits_of_one(lab: Lab, name: str) -> None:
    assert checkpoints(lab.folder(f"two/{name}"))[-1] == "round_000002"
    for folder in (f"two/{name}", f"one/{name}"):
        assert call(lab.words(folder, **CHANGES, method__name=name)) == 0
    assert outcome(lab.folder(f"two/{name}")) == outcome(lab.folder(f"one/{name}"))
