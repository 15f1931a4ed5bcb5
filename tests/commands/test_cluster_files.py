"""The cluster files that come with the program: found from anywhere, written out to be edited."""

from pathlib import Path

import pytest

from launch import cluster_files, job
from launch.cluster import read_cluster


def test_ours_are_found_from_any_folder_and_ones_own_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_cluster("slurm/a100.yaml").sbatch == {"constraint": "a100"}
    assert Path(cluster_files.absolute_file("slurm/a100.yaml")).is_file()
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm" / "a100.yaml").write_text("partition: mine\n")
    assert read_cluster("slurm/a100.yaml").partition == "mine"


def test_files_are_written_out_once(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = tmp_path / "slurm"
    assert job.main(["--examples", str(folder)]) == 0
    names = {"a100.yaml", "h100.yaml", "template.yaml", "train.sbatch"}
    assert {path.name for path in folder.iterdir()} == names
    assert capsys.readouterr().out.count("written  ") == len(names)
    (folder / "template.yaml").write_text("mine")
    assert job.main(["--examples", str(folder)]) == 0
    assert capsys.readouterr().out.count("left as it is") == len(names)
    assert (folder / "template.yaml").read_text() == "mine"
    assert job.main(["--examples"]) == 2
    assert "--examples: give one folder" in capsys.readouterr().err


def test_installed_package_has_them_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "package" / "slurm"
    inside.mkdir(parents=True)
    monkeypatch.setattr(cluster_files.pfedmma_dist, "__file__", str(inside.parent / "__init__.py"))
    assert cluster_files.installed() == inside
