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


def test_every_method_has_a_row_and_a_preset() -> None:
    for name in METHODS:
        assert f"| `{name}` |" in README
        assert (ROOT / "configs" / "method" / f"{name}.yaml").exists()


def test_long_quick_compare_has_every_method_as_set_for_the_glyphs_and_all_of_the_short() -> None:
    sweeps = ROOT / "configs" / "sweep"
    both = [read_yaml(sweeps / f"quick_compare{which}.yaml") for which in ("", "_all")]
    named = {f"configs/method/glyphs/{name}.yaml" for name in METHODS}
    assert {words[0] for words in both[1]["rows"].values()} >= named
    assert both[0]["rows"].items() <= both[1]["rows"].items()
    assert both[0]["base"] == both[1]["base"]
