"""`train` without a file and without a data set begins in the embedded world."""

from pathlib import Path

import pytest

from pfedmma_dist.config.command_line import parse, with_default
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS

DATA = "configs/data/glyphs_base_to_novel.yaml"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder that has no presets."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "method"),
    [
        ([], "pfedmma"),
        (["federation.rounds=3"], "pfedmma"),
        (["--print-config"], "pfedmma"),
        (["method.name=promptfl"], "promptfl"),
        (["method={name: promptfl, num_context: 4}"], "promptfl"),
        (["method={alpha: 0.5}"], "pfedmma"),
        (["data={shots: 4}"], "pfedmma"),
        (["method.name=promptfl", "method.name=zero_shot"], "zero_shot"),
    ],
)
def test_embedded_world_comes_before_the_arguments(words: list[str], method: str) -> None:
    assert with_default(words) == [DATA, f"configs/method/glyphs/{method}.yaml", *words]


@pytest.mark.parametrize(
    "words",
    [
        ["my.yaml"],
        ["seed=2", "configs/data/folder.yaml"],
        ["data.name=caltech101", "data.root=DATA"],
        ["data={name: folder, root: DATA}"],
    ],
)
def test_file_or_data_set_begins_from_the_defaults(words: list[str]) -> None:
    assert with_default(words) == words


def test_method_without_a_preset_has_the_data_alone() -> None:
    assert with_default(["method.name=mine"]) == [DATA, "method.name=mine"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_begins_in_the_embedded_world_from_any_folder(method: str) -> None:
    words = with_default([f"method.name={method}", "seed=7"])
    config = parse(words, methods=METHODS, sources=SOURCES)
    assert (config.data.name, config.method["name"], config.seed) == ("glyphs", method, 7)
