"""The canary: each likely cause of a missed accuracy is found, on the embedded world."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from launch import verify
from pfedmma_dist.canary.look import BATCH, Sight, look
from pfedmma_dist.canary.published import ZERO_SHOT, Halves
from pfedmma_dist.canary.suspects import Trial, Verdict, _verdict, judge
from pfedmma_dist.clip.load import load
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.config.keys import CacheMode, ClipConfig, DataConfig
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets.registry import read

ROOT = Path(__file__).parents[2]
TEMPLATE = "a photo of a {}."
MINI = ClipConfig(model="mini-clip", pretrained="glyphs", cache=CacheMode.off)


@cache
def glyphs() -> Images:
    images = read(DataConfig(name="glyphs"), 1, Path("unused"))
    return replace(images, test=images.test[:: len(images.test) // 150])


def clips(cfg: ClipConfig, *, wrong: bool = False) -> Iterator[tuple[str, FrozenCLIP]]:
    """Yield the CLIP, then the one with the other activation.

    wrong: let the first have none at all; GELU for QuickGELU costs this small CLIP next to nothing.
    """
    clip = load(cfg, 1, torch.device("cpu"))
    towers = clip.image, clip.text
    for tower in towers:
        tower.swap_activation()
        tower.activation = torch.abs if wrong else tower.activation
    yield "", clip
    yield [tower.swap_activation() for tower in towers][0], clip


def verdict(cfg: ClipConfig, images: Images, **how: bool) -> Verdict:
    return judge(lambda: clips(cfg, **how), images, TEMPLATE, same_images=True)


def test_wrong_activation_is_found() -> None:
    found = verdict(MINI, glyphs(), wrong=True)
    assert found.suspect == "activation"
    assert "becomes" in found.words
    assert len(found.trials) == 6  # as it is, a bare name, the alphabet, two shifts, the activation


@pytest.mark.parametrize("by", [1, -1])
def test_names_that_slipped_by_one_class_are_found(by: int) -> None:
    names = glyphs().class_names
    slipped = replace(glyphs(), class_names=(*names[-by:], *names[:-by]))
    found = verdict(MINI, slipped)
    assert found.suspect == "class order"
    assert ("later" if by < 0 else "earlier") in found.words


def test_weights_that_know_nothing_are_found() -> None:
    found = verdict(replace(MINI, pretrained=None), glyphs())
    assert found.suspect == "weights"


@pytest.mark.parametrize(
    ("percents", "same_images", "suspect"),
    [
        ((60.0, 66.0, 61.0), True, "template"),
        ((60.0, 64.0, 61.0), False, "split"),
        ((60.0, 64.0, 61.0), True, ""),
    ],
)
def test_what_helps_most_is_blamed_and_else_the_split(
    percents: tuple[float, ...], same_images: bool, suspect: str
) -> None:
    suspects = ("", "template", "activation")
    trials = [Trial(*each) for each in zip(suspects, "abc", percents, strict=True)]
    assert _verdict(trials, 100, same_images).suspect == suspect


def test_halves_are_classified_among_themselves_and_the_split_has_a_digest() -> None:
    images, told = glyphs(), []
    clip = load(MINI, 1, torch.device("cpu"))
    sight = look(clip, images, TEMPLATE, told.append)
    assert sum(sight.counts) == sum(told) == len(images.test)
    assert max(told) <= BATCH
    assert all(100 / 50 < percent <= 100 for percent in sight.accuracy)
    fewer = replace(images, test=images.test[1:])
    assert look(clip, fewer, TEMPLATE, told.append).split != sight.split


def test_band_is_wider_where_the_images_are_others() -> None:
    sight = Sight(Halves(0, 0), (100, 400), "")
    assert sight.band(Halves(50, 50), same_images=True) == (0.5, 0.5)
    assert sight.band(Halves(50, 50), same_images=False) == pytest.approx((10.5, 5.5))


def test_published_accuracies_have_the_published_average() -> None:
    for half, mean in zip(zip(*ZERO_SHOT.values(), strict=True), (69.34, 74.22), strict=True):
        assert np.mean(half) == pytest.approx(mean, abs=0.006)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four classes of noise as Caltech-101, with its split file."""
    home, rng = tmp_path / "data" / "caltech-101", np.random.default_rng(0)
    split = {"train": [], "val": [], "test": []}
    for label, name in enumerate(("face", "chair", "lamp", "panda")):
        folder = home / "101_ObjectCategories" / name
        folder.mkdir(parents=True)
        for index in range(6):
            pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{index}.png")
            part = "train" if index < 2 else "test"
            split[part].append([f"{name}/{index}.png", label, name])
    (home / "split_zhou_Caltech101.json").write_text(json.dumps(split))
    return tmp_path / "data"


def test_command_tells_inside_outside_and_absent(
    data: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--canary", str(data), "--sets", "caltech101,dtd", "run.device=cpu", "run.threads=1"]
    words += [f"clip.model={ROOT / 'tests' / 'tiny_clip.json'}", "clip.pretrained=null"]
    assert verify.main(words) == 1
    told = capsys.readouterr().out
    assert "absent   dtd: data.root: " in told
    assert "OUTSIDE  caltech101: base " in told and "likely cause: " in told
    assert "the numbers say nothing" in told
    percents = [float(part.split()[1]) for part in told.split("caltech101: ")[1].split("; ")[:2]]
    monkeypatch.setitem(verify.ZERO_SHOT, "caltech101", Halves(*percents))
    assert verify.main(words) == 0
    assert "inside   caltech101" in capsys.readouterr().out


def test_folder_without_any_set_and_a_wrong_name_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert verify.main(["--canary", str(tmp_path), "--sets", "dtd"]) == 2
    assert "error: --canary: none of dtd lies below" in capsys.readouterr().err
    assert verify.main(["--canary", str(tmp_path), "--sets", "dtt"]) == 2
    assert "error: --sets: 'dtt' is none of " in capsys.readouterr().err
