"""The pretraining command: a toy run from arguments to card, and what it refuses."""

import functools
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pfedmma_dist import pretrain
from pfedmma_dist.clip.load import load
from pfedmma_dist.config.keys import ClipConfig
from pfedmma_dist.data.glyphs import glyphs
from pfedmma_dist.pretraining import card, score
from pfedmma_dist.pretraining.recipe import Recipe

TOY = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {
        "image_size": 40, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16,
    },
    "text_cfg": {
        "context_length": 32, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2,
    },
}  # fmt: skip
RECIPE = Recipe(images=32, batch=8, warmup_steps=2)


@pytest.fixture(scope="module", autouse=True)
def few() -> Iterator[None]:
    """Score few images: one of each class and domain, over two seeds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(card, "card_scores", functools.partial(score.card_scores, per_class=6))
        patch.setattr(score, "SEEDS", (1, 2))
        patch.setattr(pretrain, "PER_CLASS", 1)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run, its model beside it."""
    folder = tmp_path_factory.mktemp("pretrain")
    (folder / "toy.json").write_text(json.dumps(TOY))
    assert pretrain.pretrain(RECIPE, folder / "out", folder / "toy.json") == 0
    return folder


def read_card(run: Path) -> dict:
    return json.loads((run / "out" / "toy_card.json").read_text())


def test_card_says_what_the_file_is(run: Path) -> None:
    told, weights = read_card(run), run / "out" / "toy.safetensors"
    assert told["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert told["images_seen"] == 32
    assert told["recipe"]["seed"] == 0
    assert {"fish", "striped", "photo", "x"} <= set(told["vocabulary"])


def test_card_scores_all_groups_in_percent(run: Path) -> None:
    percent = read_card(run)["accuracy"]["percent"]
    assert list(percent) == ["style gap 0", "style gap 1"]
    groups = {"all", "seen", "unseen", *glyphs.DOMAINS}
    for gap in percent.values():
        assert set(gap["base"]) == set(gap["novel"]) == groups
        assert all(0 <= group["mean"] <= 100 for half in gap.values() for group in half.values())


def test_weights_load_as_any_clip(run: Path) -> None:
    cfg = ClipConfig(model=str(run / "toy.json"), pretrained=str(run / "out" / "toy.safetensors"))
    assert load(cfg, 0, torch.device("cpu")).dims.embed_dim == 16


def test_scoring_again_gives_the_same_card(run: Path) -> None:
    before = read_card(run)
    card.score_again(run / "out" / "toy.safetensors", run / "toy.json")
    assert read_card(run) == before


@pytest.mark.parametrize("words", [["--images", "63"], ["--seed", "-1"]])
def test_bad_numbers_are_told(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert pretrain.main(words) == 2
    assert "at least one batch" in capsys.readouterr().err


def test_scoring_needs_a_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pretrain.main(["--score", str(tmp_path / "none.safetensors")]) == 2
    assert "none_card.json cannot be read" in capsys.readouterr().err
