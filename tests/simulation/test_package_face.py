"""The package's own names: quick to import, there when they are asked for."""

import builtins
import subprocess
import sys

import numpy as np
import pytest
from runs import ROOT

import pfedmma_dist
from pfedmma_dist.simulation.records import Scored

QUICK = """
import sys, time
began = time.process_time()
import pfedmma_dist
spent = time.process_time() - began
assert "Simulation" in dir(pfedmma_dist) and "numpy" not in sys.modules
assert "torch" not in sys.modules, "import pfedmma_dist loads torch"
print(spent)
"""


def test_import_takes_less_than_three_tenths_of_a_second_and_loads_no_torch() -> None:
    found = subprocess.run([sys.executable, "-c", QUICK], cwd=ROOT, capture_output=True, text=True)
    assert not found.stderr
    assert float(found.stdout) < 0.3


def test_every_name_of_the_face_is_there() -> None:
    for name in pfedmma_dist.__all__:
        assert getattr(pfedmma_dist, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'pfedmma_dist' has no attribute 'Simulator'"):
        _ = pfedmma_dist.Simulator


def scored() -> Scored:
    return Scored(rounds=3, scores={}, zero_shot={}, clients={"local": np.array([50.0, np.nan])})


def test_table_has_a_row_per_client() -> None:
    frame = scored().to_pandas()
    assert list(frame["local"].isna()) == [False, True]
    assert (frame.index.name, list(frame.columns)) == ("client", ["local"])


def test_missing_pandas_is_told_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def without(name: str, *words: object, **more: object) -> object:
        if name == "pandas":
            raise ImportError("No module named 'pandas'")
        return real(name, *words, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'pfedmma_dist\[pandas\]'"):
        scored().to_pandas()
