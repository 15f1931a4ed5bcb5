"""A sweep with a method of one's own, as an array on a real Slurm, whose jobs find its module."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from on_slurm import MARKS, wait_until
from runs import ROOT, make_lab

from launch import sweep
from pfedmma_dist.methods import METHODS

pytestmark = MARKS


def test_array_of_an_own_method_finds_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make_lab(tmp_path)
    (tmp_path / "own_lab").mkdir()
    shutil.copy(ROOT / "examples" / "own_method.py", tmp_path / "own_lab" / "tilt.py")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # as python -m in tmp_path, which jobs do not see
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.syspath_prepend(str(tmp_path))
    words = [word for word in lab.words("sweep") if not word.startswith("run.folder")]
    base = [*words, "plugins=[own_lab.tilt]", "method.name=tilted", "federation.rounds=2"]
    (tmp_path / "own.yaml").write_text(json.dumps({"base": base, "grid": {"seed": [1, 2]}}))
    (tmp_path / "cluster.yaml").write_text("gpus_per_rank: 0\ncpus_per_rank: 1\n")
    runs = tmp_path / "runs" / "own"
    asked = [str(tmp_path / "own.yaml"), f"run.folder={runs}"]
    try:
        assert sweep.main([*asked, "--cluster", str(tmp_path / "cluster.yaml")]) == 0
    finally:
        METHODS.pop("tilted", None)
    results = [runs / f"own-seed{seed}" / "result.json" for seed in (1, 2)]
    wait_until(lambda: all(path.exists() for path in results), 200)
    for path in results:
        [made_by] = json.loads(path.read_text())["plugins"]
        assert made_by["name"] == "own_lab.tilt"
        assert [*made_by["files"]] == ["own_lab/tilt.py"]
