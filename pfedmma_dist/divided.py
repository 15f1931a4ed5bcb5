"""Divided: what the clients of a federation train on and are scored on, of one data set or several.

Each set is divided as it would be alone, so that what is drawn of it is the same there.
"""

import inspect
from collections.abc import Sequence

import numpy as np

from pfedmma_dist.clip.dims import Dims
from pfedmma_dist.config.command_line import resolve_method
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.several import heading_of
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets.registry import sets_of
from pfedmma_dist.data.tasks.control import controlled
from pfedmma_dist.data.tasks.poisoned import poisoned
from pfedmma_dist.data.tasks.registry import TASKS
from pfedmma_dist.data.tasks.sample import thinned
from pfedmma_dist.data.tasks.several import joined_tasks, refuse_domains
from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.federation.attackers import attackers_of
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.method import Method


def divide(cfg: Config, images: Sequence[Images]) -> Task:
    """Return the task of the images of each data set."""
    sets = sets_of(cfg.data)
    experiment, wholes = TASKS[cfg.data.task], []
    for own, of in zip(sets, images, strict=True):
        if not len(of.train):
            raise ValueError(
                f"data.name: {own.name} has no training image in {of.place}, and clients train; "
                "train on another set, and score that run on this one by `evaluate`"
            )
        wholes.append(controlled(experiment(of, own, cfg.seed), cfg.control, cfg.seed))
    ends = np.cumsum([whole.num_clients for whole in wholes])
    bad, tasks = attackers_of(cfg, int(ends[-1])), []
    for whole, end in zip(wholes, ends, strict=True):
        begin = end - whole.num_clients
        here = bad[(bad >= begin) & (bad < end)] - begin
        whole = poisoned(whole, cfg.attack, here, cfg.seed)
        tasks.append(thinned(whole, cfg.evaluate.base_novel_images, cfg.seed))
    if not cfg.data.names:
        return tasks[0]
    headings = list(map(heading_of, cfg.data.names))
    return joined_tasks(headings, tasks, [own.template for own in sets])


def method_of(cfg: Config, task: Task, dims: Dims) -> Method:
    """Return the configured method for the clients of a task. dims: of the CLIP."""
    name, options = resolve_method(cfg.method, METHODS)
    num_classes = len(task.class_sets[task.train_classes].names)  # who asks has one data set
    num_images = int(task.train.sizes().max())
    return METHODS[name].build(options, dims, num_classes, num_images, cfg.federation.rounds)


def refuse_several(cfg: Config) -> None:
    """Refuse what needs a single data set, before any is read."""
    refuse_domains(cfg.data)
    kind = METHODS[cfg.method["name"]]
    num_sets = len(cfg.data.names or ())
    if num_sets > 1 and _has_class_parts(kind):
        known = ", ".join(name for name, other in METHODS.items() if not _has_class_parts(other))
        raise ValueError(
            f"method.name: {kind.name} has numbers of each class of one softmax, and clients of "
            f"data.names tell {num_sets} different sets of classes apart; set one of "
            f"{known}, or data.name"
        )


def _has_class_parts(kind: type[Method]) -> bool:
    """Say whether a method asks for the number of classes."""
    return "num_classes" in inspect.signature(kind.__init__).parameters
