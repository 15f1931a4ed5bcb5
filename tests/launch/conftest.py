"""Sweeps of stubs, for the tests of launch."""

import shutil
import sys
from pathlib import Path

import pytest
import yaml
from stub_programs import Stubs

from launch import workers
from launch.tasks import Task
from pfedmma_dist.run.folder import RunFolder


@pytest.fixture
def stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stubs:
    """Return a maker of sweeps whose runs are what these programs do; its words for `main`."""

    def make(**programs: str) -> list[str]:
        rows = {name: [] for name in programs}
        text = yaml.safe_dump({"base": ["data.name=folder"], "rows": rows}, sort_keys=False)
        (tmp_path / "mine.yaml").write_text(text)

        def command(task: Task, ranks: int) -> list[str]:
            folder = RunFolder(tmp_path / "runs" / task.run)
            folder.create()
            shutil.copy(task.config, folder.config)
            return [sys.executable, "-c", programs[task.run], str(folder.path), task.config]

        monkeypatch.setattr(workers, "command", command)
        return [str(tmp_path / "mine.yaml"), f"run.folder={tmp_path / 'runs'}", "--ranks", "2"]

    return make
