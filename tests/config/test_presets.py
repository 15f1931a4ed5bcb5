"""Presets are found from any folder, installed or not, after a file of the user's own."""

import configparser
from pathlib import Path

import pytest

from pfedmma_dist.config import presets

ROOT = Path(__file__).parents[2]
PRESET = "configs/data/caltech101.yaml"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder that has no presets."""
    monkeypatch.chdir(tmp_path)


def test_preset_is_found_from_another_folder() -> None:
    assert presets.find(PRESET) == ROOT / PRESET


def test_file_of_the_users_own_comes_first(tmp_path: Path) -> None:
    (tmp_path / PRESET).parent.mkdir(parents=True)
    (tmp_path / PRESET).touch()
    assert presets.find(PRESET) == Path(PRESET)


@pytest.mark.parametrize("word", ["", "configs", "configs/data", "configs/data/no.yaml", "data"])
def test_what_is_no_file_is_not_found(word: str) -> None:
    assert presets.find(word) is None


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("caltech101.yaml", PRESET),
        ("elsewhere/caltech_101.yaml", PRESET),
        ("promptfl", "configs/method/promptfl.yaml"),
        ("configs/method/glyph/promptfl.yaml", "configs/method/glyphs/promptfl.yaml"),
    ],
)
def test_near_name_is_told_as_one_would_write_it(word: str, meant: str) -> None:
    assert presets.alike(word) == Path(meant)


def test_name_unlike_any_other_has_no_neighbour() -> None:
    assert presets.alike("nothing_of_ours") is None


def test_installed_package_has_the_presets_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package" / PRESET).parent.mkdir(parents=True)
    (tmp_path / "package" / PRESET).touch()
    monkeypatch.setattr(presets, "__file__", str(tmp_path / "package" / "config" / "presets.py"))
    assert presets.find(PRESET) == tmp_path / "package" / PRESET


def test_every_folder_of_code_is_installed() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    files = [file for top in ("pfedmma_dist", "launch") for file in (ROOT / top).rglob("*.py")]
    code = {".".join(file.parent.relative_to(ROOT).parts) for file in files}
    others = {"pfedmma_dist.configs", "pfedmma_dist.slurm"}
    assert set(setup["options"]["packages"].split()) == code | others
