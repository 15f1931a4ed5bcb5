"""The record of what a run ran on."""

import json
import subprocess
from pathlib import Path

import torch

from pfedmma_dist.run.environment import environment, git_revision, memory_mib
from pfedmma_dist.world import World


def test_environment_names_versions_and_is_plain_json() -> None:
    found = environment(World.alone())
    assert found["torch"] == torch.__version__.split("+")[0] or found["torch"] == torch.__version__
    assert found["ranks"] == 1
    assert found["open_clip_torch"]
    json.dumps(found)


def test_revision_is_that_of_the_checkout_which_tracks_the_package(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    assert git_revision(package) is None
    git("init")
    assert git_revision(package) is None  # lies in a checkout that does not track it
    git("add", "package")
    git("commit", "-m", "first")
    assert git_revision(package) == git("rev-parse", "HEAD")
    (package / "__init__.py").write_text("x = 1\n")
    assert git_revision(package).endswith("-dirty")


def test_memory_of_a_cpu_run_has_no_gpu_part() -> None:
    resident, gpu = memory_mib(torch.device("cpu"))
    assert resident > 10
    assert gpu is None
