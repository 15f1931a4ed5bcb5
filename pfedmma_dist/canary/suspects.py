"""Suspects: what makes zero-shot CLIP miss a published accuracy, by trying each on few images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.canary.look import accuracy, encoded
from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.data.images.images import Images

TRIED = 200
"""Images at most, evenly over the test images."""

CLEAR = 5.0
"""Points that one change has to gain: ten of 200 images more than it loses. Our choice."""

CHANCE = 3.0
"""Times the accuracy of guessing, below which a CLIP knows nothing of a set."""

PLAIN = "a photo of a {}."


@dataclass(frozen=True)
class Trial:
    """One change, and what it makes of the same images."""

    suspect: str  # weights, activation, template, class order
    words: str  # what was changed
    percent: float


@dataclass(frozen=True)
class Verdict:
    """What is likely to be wrong."""

    suspect: str  # one of those of `Trial`, or split; empty: none of them
    words: str
    trials: tuple[Trial, ...]  # the first is as it was


def judge(
    clips: Callable[[], Iterator[tuple[str, FrozenCLIP]]],
    images: Images,
    template: str,
    *,
    same_images: bool,
) -> Verdict:
    """Try every change alone on some test images, all classes in one softmax.

    clips: yields the CLIP as it is, and others with the name of the activation that they have in
    its place; one at a time, as each takes its room. same_images: whether the split is the
    published one.
    """
    rows = np.sort(images.test)
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(TRIED, len(rows))).round().astype(int))]
    labels, trials = torch.from_numpy(images.labels[rows]), []
    for place, (activation, clip) in enumerate(clips()):
        found = encoded(clip, images, rows, lambda _: None)
        vectors = class_text(clip, images.class_names, template).plain.cpu()
        if place:
            what = f"{activation} in place of the model's own"
            trials.append(Trial("activation", what, accuracy(found, vectors, labels)))
            continue
        trials.append(Trial("", "as it is", accuracy(found, vectors, labels)))
        for other in dict.fromkeys((PLAIN, "{}")):
            if other != template:
                told = class_text(clip, images.class_names, other).plain.cpu()
                trials.append(Trial("template", repr(other), accuracy(found, told, labels)))
        for words, order in _orders(images):
            moved = accuracy(found, vectors[order], labels)
            trials.append(Trial("class order", words, moved))
    return _verdict(trials, len(images.class_names), same_images)


def _orders(images: Images) -> Iterator[tuple[str, Tensor]]:
    """Yield ways in which names may have been given to the wrong classes, as an order of them."""
    count = len(images.class_names)
    by_name = sorted(range(count), key=images.class_names.__getitem__)
    if by_name != list(range(count)):
        yield "names by the alphabet", torch.tensor(by_name)
    for words, by in (("names one class later", 1), ("names one class earlier", -1)):
        yield words, torch.arange(count).roll(by)


def _verdict(trials: list[Trial], num_classes: int, same_images: bool) -> Verdict:
    usual, *others = trials
    best = max(others, key=lambda trial: trial.percent)
    found = tuple(trials)
    if best.percent - usual.percent >= CLEAR:
        words = f"{best.words}: {usual.percent:.1f} % becomes {best.percent:.1f} %"
        return Verdict(best.suspect, words, found)
    if max(trial.percent for trial in trials) < CHANCE * 100 / num_classes:
        words = f"none of the trials is far above guessing, {100 / num_classes:.1f} %"
        return Verdict("weights", words, found)
    if not same_images:
        return Verdict("split", "the test images are not those of the published split", found)
    return Verdict("", "no single change helps: other weights, or other pixels, perhaps", found)
