"""A run at the default rate is told where a preset for its weights has another."""

from pathlib import Path

import pytest

from pfedmma_dist.config.command_line import read
from pfedmma_dist.config.tuned import untuned
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS

DATA = "configs/data/glyphs_base_to_novel.yaml"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def told(*words: str) -> str:
    return untuned(read(words, methods=METHODS, sources=SOURCES), METHODS, SOURCES)


@pytest.mark.parametrize("words", [(), ("configs/method/pfedmma.yaml",)], ids=["name", "paper"])
def test_default_rate_on_the_mini_clip_is_told_with_the_preset(words: tuple[str, ...]) -> None:
    found = told(DATA, *words)
    assert found.startswith("optim.lr: 0.001 is the default, and 0.02 was chosen for clip.")
    assert "put configs/method/glyphs/pfedmma.yaml behind the other files" in found


@pytest.mark.parametrize(
    "words",
    [
        (DATA, "configs/method/glyphs/pfedmma.yaml"),
        (DATA, "optim.lr=0.01"),
        (DATA, "configs/method/lora.yaml"),  # an optimiser and a rate of its own
        (DATA, "method.name=zero_shot"),
        (DATA, "clip.pretrained=null"),
        (DATA, "clip.pretrained=/some/glyphs"),
        ("configs/data/caltech101.yaml",),
    ],
    ids=" ".join,
)
def test_chosen_rates_and_other_weights_are_left_alone(words: tuple[str, ...]) -> None:
    assert told(*words) == ""
