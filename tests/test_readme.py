"""What the README says can be run and found."""

import re
from pathlib import Path

import pytest

from pfedmma_dist.config.command_line import parse
from pfedmma_dist.config.documents import read_yaml
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"-m pfedmma_dist\.train ((?:[^\n#&|`]|\\\n)+)", README.replace("\\\n", " "))
PRESETS = [
    path
    for kind in ("data", "method")
    for path in sorted((ROOT / "configs" / kind).rglob("*.yaml"))
]


@pytest.mark.parametrize("path", re.findall(r"\]\(([\w./]+)\)", README))
def test_linked_file_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("words", [c for c in COMMANDS if "--" not in c and "FILE" not in c])
def test_train_command_is_understood(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert parse(words.split(), methods=METHODS, sources=SOURCES) is not None


@pytest.mark.parametrize("path", PRESETS, ids=lambda p: p.stem)
def test_preset_is_understood(path: Path) -> None:
    assert parse([str(path)], methods=METHODS, sources=SOURCES) is not None


def test_quick_compare_all_has_the_rows_of_quick_compare() -> None:
    chosen, every = (
        read_yaml(ROOT / "configs" / "sweep" / f"quick_compare{which}.yaml")
        for which in ("", "_all")
    )
    assert every["rows"].items() >= chosen["rows"].items()
    assert (every["base"], every["grid"]) == (chosen["base"], chosen["grid"])
