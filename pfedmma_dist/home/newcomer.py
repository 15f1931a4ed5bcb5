"""Newcomer: a client that was never in the run, personalised on a folder of its own images.

It starts as whoever joins would: the shared part as downloaded, a private one as all began with. It
trains as the run's clients do, for evaluate.finetune_epochs, or where that is 0 for
evaluate.unseen_epochs, of all its numbers or of the private ones (evaluate.finetune). A fifth of
each class is held out and scored before and after.
"""

import logging
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from pfedmma_dist.clip.cache import FreshFeatures
from pfedmma_dist.config.choices import Part
from pfedmma_dist.config.keys import Config
from pfedmma_dist.data.images.files import Files
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.images.pixels import PixelLoader
from pfedmma_dist.data.partitioners.partition import Partition
from pfedmma_dist.data.sets.folders import class_entries, class_folders
from pfedmma_dist.data.sets.names import clean
from pfedmma_dist.data.tasks.task import ClassSet, Task
from pfedmma_dist.federation.clients import ClientStore
from pfedmma_dist.federation.corrections.resting import SharedRests
from pfedmma_dist.federation.epochs import train_epochs
from pfedmma_dist.federation.examiner import check_finetuning
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.finite import check_finite
from pfedmma_dist.federation.sources import Sources
from pfedmma_dist.home.head import Head, head_of, newcomer_start
from pfedmma_dist.home.trained import Trained
from pfedmma_dist.rng import generator
from pfedmma_dist.spelling import hint, listed, quoted

log = logging.getLogger(__name__)

HELD_OUT = 5
"""One of so many images of a class is held out."""

NAMED = 5
"""Images, or folders, that a message names."""

AT_ONCE = 64
"""Images that are scored together."""


@dataclass(frozen=True)
class Newcomer:
    """A head that was personalised on a folder, and how it does on what was held out."""

    head: Head
    num_trained: int  # images that it trained on
    num_held_out: int
    before: float | None  # percent of those that were held out, as downloaded; None: none were
    after: float | None
    epochs: int
    part: Part


def personalised(trained: Trained, folder: Path, cfg: Config) -> Newcomer:
    """Return the head of a newcomer with the images <class>/* of a folder.

    cfg: of the run, with what its training is to do otherwise. ValueError for whatever is wrong
    with folder or keys.
    """
    federation, due = trained.federation, cfg.evaluate
    method = federation.method
    if not (federation.layout.num_trained or method.begins):
        raise ValueError(f"--finetune: {method.name} trains nothing; leave it out")
    check_finetuning(replace(due, finetune_epochs=1), federation.layout)
    there = _beside(federation, folder, cfg)
    rows = there.task.train.rows(0)
    if method.begins and len(rows) > (most := int(federation.sizes.max())):
        raise ValueError(
            f"--finetune: {len(rows)} images to train on, and the run was built for {most} of a "
            f"client at most, which {method.name} keeps; leave some out"
        )
    epochs, held = due.finetune_epochs or due.unseen_epochs, newcomer_start(federation)
    text = there.texts[there.task.train_classes]
    before = head_of(federation, "newcomer", held, text)
    resting = [SharedRests(there.layout)] if due.finetune is Part.private else []
    trainer = there.trainer.correcting(resting)
    memory = held[0].new_zeros(1, trainer.num_memory)
    clients = np.zeros(1, np.int64)
    log.info("training on %d images of %d classes, %d epochs", len(rows),
             len(np.unique(there.task.images.labels[rows])), epochs)  # fmt: skip
    result = train_epochs(
        there, trainer, clients, held, memory, epochs, round_index=cfg.federation.rounds, pace=0
    )
    check_finite(result, clients, "before it is exported", cfg.optim)
    after = head_of(federation, "newcomer", (result.theta.detach(), held[1]), text)
    test = there.task.images.test
    first, last = (_percent(there, head, test) for head in (before, after))
    return Newcomer(after, len(rows), len(test), first, last, epochs, due.finetune)


def _beside(home: Federation, folder: Path, cfg: Config) -> Federation:
    """Return a federation of one client, of the same CLIP, method and shared part."""
    task = _task(home, folder, cfg.seed)
    there = copy(home)
    there.cfg, there.task, there.plan, there.clock = cfg, task, None, None
    there.texts = {task.train_classes: home.texts[task.train_classes]}
    there.clients = ClientStore(home.clients.template, {0: np.zeros(1, np.int64)}, home.clip.device)
    scaling = home.task.images.scaling
    mean, std = (scaling.mean, scaling.std) if scaling else (home.clip.mean, home.clip.std)
    pixels = PixelLoader(task.images, home.clip.dims.image_size, mean, std, cfg.seed)
    fresh = FreshFeatures(home.clip, pixels)
    there.sources = Sources(train=fresh, test=fresh)
    return there


def _task(home: Federation, folder: Path, seed: int) -> Task:
    """Return the images of a folder as the only client of a task, with the run's classes."""
    found = class_folders(folder, f"folder expects {folder}/<class>/*")
    title = _class_set(home, folder, found)
    names = home.task.class_sets[title].names
    label_of = {name: names.index(clean(name)) for name in found}
    entries = class_entries(folder, "", found, f"folder expects {folder}/<class>/*")
    paths = [entry.path for own in entries for entry in own]
    labels = np.array([label_of[entry.name] for own in entries for entry in own], np.int64)
    store = Files(folder, tuple(paths))
    unreadable = store.inspect(np.arange(len(paths))).unreadable
    if unreadable:
        told = "; ".join(f"{store.name(row)}: {reason}" for row, reason in unreadable[:NAMED])
        raise ValueError(
            f"--finetune: {len(unreadable)} of {len(paths)} images cannot be read: {told}; mend or "
            "remove them"
        )
    held_out = np.sort(np.concatenate([
        _drawn(np.flatnonzero(labels == label), seed, label) for label in np.unique(labels)
    ]))  # fmt: skip
    if not len(held_out):
        log.warning(
            "--finetune: no class of %s has %d images, so that none is held out and nothing can be "
            "scored", folder, HELD_OUT,
        )  # fmt: skip
    missing = [name for name in names if name not in {names[label] for label in labels}]
    if missing:
        log.info("no folder for %d of the run's %d classes: %s", len(missing), len(names),
                 listed(missing))  # fmt: skip
    train = np.setdiff1d(np.arange(len(paths)), held_out)
    images = Images(store, labels, names, train, held_out)
    return Task(
        images=images,
        class_sets={title: ClassSet(title, names, np.arange(len(names)))},
        train_classes=title,
        train=Partition.of([train]),
        client_classes=Partition.of([np.unique(labels)]),
        scopes=(),
    )


def _class_set(home: Federation, folder: Path, found: list[str]) -> str:
    """Return the training softmax that all class folders belong to, or say which do not."""
    task = home.task
    titles = task.softmaxes or (task.train_classes,)
    strange = {
        title: [name for name in found if clean(name) not in task.class_sets[title].names]
        for title in titles
    }
    title = min(strange, key=lambda each: len(strange[each]))
    if strange[title]:
        names, first = task.class_sets[title].names, strange[title][0]
        raise ValueError(
            f"--finetune: {len(strange[title])} of {len(found)} class folders of {folder} are none "
            f"of the {len(names)} classes that the run tells apart: "
            f"{', '.join(map(quoted, strange[title][:NAMED]))}{hint(clean(first), names)}; rename "
            f"them as the run does ({', '.join(names[:3])}, ...), or move them away"
        )
    return title


def _drawn(rows: np.ndarray, seed: int, label: int) -> np.ndarray:
    """Return which of the rows of a class are held out."""
    return generator(seed, "held out", label).permutation(rows)[: len(rows) // HELD_OUT]


def _percent(there: Federation, head: Head, rows: np.ndarray) -> float | None:
    """Return how many of these images a head tells right, in percent; None: there are none."""
    if not len(rows):
        return None
    assert isinstance(there.sources, Sources) and isinstance(there.sources.test, FreshFeatures)
    pixels, right = there.sources.test.pixels, 0
    for begin in range(0, len(rows), AT_ONCE):
        part = rows[begin : begin + AT_ONCE]
        logits = head.logits(pixels.batch(part, np.zeros(len(part), np.int64))).cpu()
        right += int((logits.argmax(dim=1) == torch.from_numpy(there.label_of(part))).sum())
    return 100 * right / len(rows)
