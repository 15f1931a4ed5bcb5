"""What the words alone decide is told before torch is imported, and in the command's own words."""

from dataclasses import fields
from enum import Enum
from pathlib import Path

import pytest
from runs import python

from pfedmma_dist.config.help import listing, manual
from pfedmma_dist.config.merge import leaves
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS
from pfedmma_dist.outline import outlines
from pfedmma_dist.train import main

EARLY = """
import runpy, sys
for module, words in {asked}:
    sys.argv = [module, *words]
    try:
        runpy.run_module(module, run_name="__main__")
    except SystemExit as left:
        print(f"code {{left.code}}")
    assert "torch" not in sys.modules, words
"""


def test_outlines_tell_what_the_methods_do() -> None:
    found = outlines()
    assert manual(found) == manual(METHODS)
    assert listing(found, SOURCES) == listing(METHODS, SOURCES)
    for name, kind in METHODS.items():
        ours, theirs = (
            {key: (leaf.expected, leaf.metadata) for key, leaf in leaves(one.Options).items()}
            for one in (found[name], kind)
        )
        assert ours == theirs


def test_outlines_refuse_what_the_methods_do() -> None:
    found, refused = outlines(), 0
    for name, kind in METHODS.items():
        for option, leaf in leaves(kind.Options).items():
            for value in (None, 0, -1, 2.5, "", "xyz", [], [0], *_others(leaf.kind)):
                told = [_refusal(one.Options, option, value) for one in (found[name], kind)]
                assert told[0] == told[1], (name, option, value)
                refused += bool(told[0])
    assert refused > 100


def _others(kind: type) -> list[object]:
    return list(kind) if isinstance(kind, type) and issubclass(kind, Enum) else []


def _refusal(options: type, option: str, value: object) -> str:
    """Return why a value is refused; what is no value of its type may fail in any way."""
    if isinstance(value, Enum):  # an outline has Enums of its own
        hint = next(field.type for field in fields(options) if field.name == option)
        value = hint[value.name]
    try:
        options(**{option: value})
    except (ValueError, TypeError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def test_help_list_and_slips_import_no_torch(capsys: pytest.CaptureFixture[str]) -> None:
    slips = ["federation.ronds=3"], ["method.name=promptfl", "method.rnk=1"], ["--lits"]
    helped = ("train", "cost", "cache", "evaluate", "prepare", "pretrain")
    asked = [(name, ["--help"]) for name in helped] + [("train", ["--list"])]
    asked = [(f"pfedmma_dist.{name}", words) for name, words in asked]
    sweep = "launch.sweep"
    asked += [(sweep, ["--help"]), (sweep, ["configs/sweep/quick_compare_all.yaml", "--dry-run"])]
    asked += [("pfedmma_dist.train", words) for words in slips]
    ended = python("-c", EARLY.format(asked=asked))
    assert ended.code == 0, ended.err
    assert [line for line in ended.out.splitlines() if line.startswith("code ")] == [
        *["code 0"] * 9, *["code 2"] * 3,
    ]  # fmt: skip
    assert ended.out.startswith(manual(METHODS))
    for words in slips:
        assert main(words) == 2
    assert ended.err == capsys.readouterr().err


def test_readers_of_finished_runs_import_no_torch(tmp_path: Path) -> None:
    readers = ("launch.status", "launch.table", "launch.figures")
    asked = [(name, words) for name in readers for words in (["--help"], [str(tmp_path)])]
    ended = python("-c", EARLY.format(asked=asked))
    assert ended.code == 0, ended.err
    codes = [line for line in ended.out.splitlines() if line.startswith("code ")]
    assert codes == ["code 0", "code 2"] * len(readers)
