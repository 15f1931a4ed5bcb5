"""Inputs that change between a stop and the next start: images, classes, lists, weights."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.torch import save_file

from pfedmma_dist.clip import load
from tests.faults.base import Base, kill_in_round
from tests.faults.place import Place
from tests.faults.trial import Kind, Trial, Verdict
from tests.faults.whole import Whole

Change = Callable[[Path], object]
"""What is done to a lab of the trial's own."""


def one_pixel(name: str, as_before: bool = False) -> Change:
    """Return a change of one pixel of an image; as_before: with the size and time it had."""

    def change(lab: Path) -> None:
        file = lab / "data" / name
        before = file.stat()
        pixels = np.asarray(Image.open(file)).copy()
        pixels[20, 22] ^= 255
        Image.fromarray(pixels).save(file, compress_level=0 if as_before else 6)
        if as_before:  # stored without compression, a PNG has one size whatever it shows
            assert file.stat().st_size == before.st_size
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    return change


def stored(lab: Path) -> None:
    """Store the images that will be changed without compression."""
    for name in ("train/class_0/0.png", "test/class_0/0.png"):
        Image.open(lab / "data" / name).save(lab / "data" / name, compress_level=0)


def rename_class(lab: Path) -> None:
    """Rename a class folder."""
    for part in ("train", "test"):
        (lab / "data" / part / "class_1").rename(lab / "data" / part / "class_1x")


def move_image(lab: Path) -> None:
    """Move an image into the folder of another class."""
    (lab / "data/train/class_0/0.png").rename(lab / "data/train/class_1/8.png")


def weights(lab: Path, seed: int) -> None:
    """Write a file of random weights."""
    module = load.untrained(str(lab / "clip.json"), seed)
    save_file({k: v.contiguous() for k, v in module.state_dict().items()}, lab / "w.safetensors")


def write_list(lab: Path, rows: Callable[[list[list[str]]], list[list[str]]]) -> None:
    """Write a list of the images as `rows` has them."""
    files = sorted((lab / "data").glob("*/*/*.*"))
    lines = [[f"{f.relative_to(lab / 'data')}", f.parent.name, f.parts[-3]] for f in files]
    text = "\n".join(",".join(line) for line in [["path", "class", "split"], *rows(lines)])
    (lab / "list.csv").write_text(text + "\n")


def other_model(lab: Path) -> None:
    """Give the model another width, which the same file name now means."""
    sizes = json.loads((lab / "clip.json").read_text())
    sizes["quick_gelu"] = False
    (lab / "clip.json").write_text(json.dumps(sizes))


WEIGHTS, LIST = {"clip__pretrained": "w.safetensors"}, {"data__list": "list.csv"}
NAMES = {"data__class_names": "names.csv"}

REFUSED: dict[str, tuple[dict[str, str], Change]] = {
    "a pixel of a training image": ({}, one_pixel("train/class_0/0.png")),
    "a pixel of a training image, size and time as before": (
        {}, one_pixel("train/class_0/0.png", True),
    ),
    "a pixel of a test image": ({}, one_pixel("test/class_0/0.png")),
    "a pixel of a test image, size and time as before": (
        {}, one_pixel("test/class_0/0.png", True),
    ),
    "a pixel of a test image of a novel class": ({}, one_pixel("test/class_6/0.png")),
    "a training image added": (
        {}, lambda lab: copy(lab, "train/class_0/0.png", "train/class_0/00.png"),
    ),
    "a test image added": (
        {}, lambda lab: copy(lab, "test/class_0/0.png", "test/class_0/9.png"),
    ),
    "a training image removed": ({}, lambda lab: (lab / "data/train/class_0/0.png").unlink()),
    "a test image removed": ({}, lambda lab: (lab / "data/test/class_0/0.png").unlink()),
    "a training image moved to another class": ({}, move_image),
    "two images exchanged": (
        {}, lambda lab: exchange(lab, "train/class_0/0.png", "train/class_0/2.png"),
    ),
    "a class folder renamed": ({}, rename_class),
    "the model's sizes edited": ({}, other_model),
    "the weights file replaced": (WEIGHTS, lambda lab: weights(lab, 9)),
    "the list in another order of classes": (
        LIST, lambda lab: write_list(lab, lambda rows: [[p, c.replace("_0", "_zero"), s]
                                                        for p, c, s in rows]),
    ),
    "the list one image shorter": (LIST, lambda lab: write_list(lab, lambda rows: rows[1:])),
    "the names of classes changed": (
        NAMES, lambda lab: (lab / "names.csv").write_text("class_0,a dog\n"),
    ),
}  # fmt: skip


def copy(lab: Path, name: str, other: str) -> None:
    """Have an image a second time."""
    shutil.copy(lab / "data" / name, lab / "data" / other)


def exchange(lab: Path, name: str, other: str) -> None:
    """Exchange two images."""
    first, second = lab / "data" / name, lab / "data" / other
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def lab_words(place: Place, lab: Path, changes: dict[str, str]) -> list[str]:
    """Return the command line of the run on a lab of the trial's own."""
    inside = {key: lab / name for key, name in changes.items()}
    return place.words(data__root=lab / "data", clip__model=lab / "clip.json", **inside)


def stop(place: Place, changes: dict[str, str]) -> Path:
    """Make a lab, start a run on it and kill it in round 2; return the lab."""
    lab = place.path / "lab"
    shutil.copytree(place.lab / "data", lab / "data")
    shutil.copy(place.lab / "clip.json", lab)
    stored(lab)
    write_list(lab, lambda rows: rows)
    (lab / "names.csv").write_text("class_0,a cat\n")
    if changes == WEIGHTS:
        make_weights(place, lab, 1)
    place.start(lab_words(place, lab, changes), 1, kill_in_round(2)).wait()
    assert len(list(place.run.glob("checkpoints/round_*"))) == 2
    return lab


def make_weights(place: Place, lab: Path, seed: int) -> None:
    """Write weights from a process of their own: torch's threads would not survive our forks."""
    ranks = place.start([], 1, lambda rank: (weights(lab, seed), exit(0)))
    assert ranks.wait()[0].code == 0


def changed(place: Place, name: str, whole: Whole) -> Iterator[Verdict]:
    """Change an input of a stopped run and start it again, which it must refuse."""
    changes, change = REFUSED[name]
    lab = stop(place, changes)
    ranks = place.start([], 1, lambda rank: (change(lab), exit(0)))
    assert ranks.wait()[0].code == 0
    ended = place.start(lab_words(place, lab, changes)).wait()
    yield place.judge(name, ended, whole, must_refuse=True)


def moved(place: Place, name: str) -> Iterator[Verdict]:
    """Move a stopped run, or its data, which changes nothing."""
    lab = stop(place, {})
    words = lab_words(place, lab, {})
    elsewhere = place.path / "elsewhere"
    if name == "every image has a new time":
        for file in (lab / "data").rglob("*"):
            os.utime(file, (2e9, 2e9))
    elif name == "data copied elsewhere":
        shutil.copytree(lab, elsewhere, copy_function=shutil.copyfile)
        shutil.rmtree(lab / "data")
        words.append(f"data.root={elsewhere / 'data'}")
    else:
        words.append(f"clip.cache_folder={place.path / 'other-cache'}")
    ended = place.start(words).wait()
    again = place.another()
    if not (lab / "data").exists():
        shutil.copytree(elsewhere / "data", lab / "data")
    undisturbed = again.start(lab_words(again, lab, {})).wait()
    assert undisturbed[0].code == 0, undisturbed
    yield place.judge(name, ended, Whole.of(again.run))


def changes(base: Base) -> Iterator[Trial]:
    """Yield what must be refused."""
    for name in REFUSED:
        yield Trial(name, partial(changed, name=name, whole=base.whole()))


def moves(base: Base) -> Iterator[Trial]:
    """Yield what must be no hindrance."""
    for name in ("every image has a new time", "data copied elsewhere", "the cache elsewhere"):
        yield Trial(name, partial(moved, name=name))


KINDS = [
    Kind(
        "an input changed between a stop and the next start",
        "one pixel (size and time as before, too), images added, removed, moved, exchanged, a "
        "class renamed, model, weights, list or names replaced; all must be refused by name",
        changes,
        sample=2,
    ),
    Kind(
        "data moved between a stop and the next start",
        "copied to another folder, with new times, with another cache folder; the same bits",
        moves,
    ),
]
