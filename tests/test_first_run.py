"""What a newcomer sees first: the embedded world, two ranks, the weights in the package."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import Ended, call, scores, torchrun

from pfedmma_dist.clip import packaged
from pfedmma_dist.clip.load import load
from pfedmma_dist.config.keys import ClipConfig
from pfedmma_dist.data.glyphs import glyphs
from pfedmma_dist.pretraining import score
from pfedmma_dist.stopped import STOPPED

CUT = ["federation.rounds=8", "evaluate.every=4", "data.test_per_class=4", "run.threads=1"]
"""What makes the default run short."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("first") / "run"


@pytest.fixture(scope="module")
def first(folder: Path) -> Ended:
    """The default run, cut short."""
    return torchrun(2, "-m", "pfedmma_dist.train", *CUT, f"run.folder={folder}")


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    path = packaged.WEIGHTS["mini-clip"]["glyphs"]
    return json.loads(path.with_name("mini_clip_card.json").read_text())


def test_it_ends_with_table_folder_and_tensorboard(first: Ended, folder: Path) -> None:
    assert first.code == 0
    lines = first.out.splitlines()
    starts = [line.split()[0] for line in lines if line.split()]
    assert {"zero-shot", "pfedmma", "TensorBoard"} <= set(starts)
    assert f"run folder   {folder}" in lines


def test_clients_gain_on_their_own_classes_and_keep_the_novel_ones(
    first: Ended, folder: Path
) -> None:
    zero_shot, pfedmma = (
        row["scores"] for row in json.loads((folder / "result.json").read_text())["results"]
    )
    assert 45 < zero_shot["base_mean"] < 70
    assert pfedmma["local_mean"] > zero_shot["local_mean"] + 5
    assert abs(pfedmma["novel_mean"] - zero_shot["novel_mean"]) < 5


def test_one_rank_has_the_same_losses_and_scores(first: Ended, folder: Path) -> None:
    alone = folder.with_name("alone")  # as far as the first scores: all digits, and so all bits
    assert call([*CUT, "run.pause_after=4", f"run.folder={alone}"]) == STOPPED
    found = scores(alone)
    assert len(found) == 4 and all(found[-1][:3])  # round, loss, Local
    assert found == scores(folder)[:4]


def test_card_tells_the_scores_of_the_weights(
    card: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = load(ClipConfig(model="mini-clip", pretrained="glyphs"), 0, torch.device("cpu"))
    monkeypatch.setattr(score, "SEEDS", (1, 2))
    found, told = score.card_scores(clip, per_class=6)["percent"], card["accuracy"]["percent"]
    for gap in told:
        for half in ("base", "novel"):  # 600 images: one standard error is 2 points at most
            assert abs(found[gap][half]["all"]["mean"] - told[gap][half]["all"]["mean"]) < 5


def test_card_describes_this_world(card: dict[str, Any]) -> None:
    assert card["versions"]["glyphs"] == glyphs.VERSION
    assert card["held_out"] == [glyphs.class_name(combo) for combo in glyphs.HELD_OUT]
    assert card["bytes"] < 6_000_000
