"""Ranks and restarts reach no bit of the result of any way through a round; no line per method.

That ranks and a stop reach no bit of any method, tests/federation says, in one process.
"""

import os

import pytest
from driver import MISHAPS, arrange
from ports import free_port
from ranks import run
from runs import Lab, call, checkpoints, make_lab, outcome
from ways import one_of_each_way

from pfedmma_dist import train
from pfedmma_dist.clip.load import dims
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods import METHODS
from pfedmma_dist.run.signals import STOPPED

CHANGES = {"federation__rounds": 3, "federation__fraction": 0.75}
SPECS = {name: kind(kind.Options(), dims("ViT-B-16")).specs for name, kind in METHODS.items()}
SHARING = [name for name, specs in SPECS.items() if any(spec.shared for spec in specs)]
"""Ranks cannot reach the bits of the others."""
TRAINED = one_of_each_way(SHARING)


def stop_each(words: list[str]) -> int:
    """Train each of them, rank 1 being asked to stop in the middle of round 1 of each.

    Each meets at a port of its own: at the last one's rank 0 may still be leaving.
    """
    undisturbed, codes = Federation.round, set()
    *others, folder, ports = words
    for name, port in zip(TRAINED, ports.split(","), strict=True):
        arrange(MISHAPS["term"], rank=1, round_index=1)
        os.environ["MASTER_PORT"] = port
        codes.add(train.main([*others, f"method.name={name}", f"{folder}/{name}"]))
        Federation.round = undisturbed
    return 0 if codes == {STOPPED} else 1


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A run of each method on two ranks, of which the second is asked to stop in round 1."""
    lab = make_lab(tmp_path_factory.mktemp("every_method"))
    words = sorted(lab.words("two", **CHANGES), key=lambda word: word.startswith("run.folder="))
    ports = ",".join(str(free_port()) for _ in TRAINED)
    ended = run([*words, ports], lab.path / "said", main=stop_each)
    assert [rank.code for rank in ended] == [0, 0], ended[0].err
    return lab


@pytest.mark.parametrize("name", TRAINED)
def test_run_stopped_on_two_ranks_ends_on_one_with_the_bits_of_one(lab: Lab, name: str) -> None:
    assert checkpoints(lab.folder(f"two/{name}"))[-1] == "round_000002"
    for folder in (f"two/{name}", f"one/{name}"):
        assert call(lab.words(folder, **CHANGES, method__name=name)) == 0
    assert outcome(lab.folder(f"two/{name}")) == outcome(lab.folder(f"one/{name}"))
