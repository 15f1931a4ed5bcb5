"""Heads of any method on the tiny CLIP of a run, with numbers that are drawn: no training."""

from copy import deepcopy
from typing import Any

import numpy as np
import torch
from runs import Lab, call, make_lab

from pfedmma_dist.config.command_line import resolve_method
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.home.head import head_of, own_start
from pfedmma_dist.home.taken import Taken
from pfedmma_dist.home.trained import Trained
from pfedmma_dist.methods import METHODS
from pfedmma_dist.world import World

CLIENT = 1
LOUD = 0.05


def small_run(path: Any) -> Trained:
    """Return a finished run of one round, whose clients and CLIP heads of all methods share."""
    lab: Lab = make_lab(path)
    words = lab.words("run", method__name="promptfl", federation__rounds=1, evaluate__every=0)
    assert call(words) == 0
    return Trained.open(lab.folder("run"))


def taken_of(trained: Trained, name: str, **options: Any) -> Taken:
    """Return a head of a method whose numbers are noise around their start."""
    home = trained.federation
    cfg = deepcopy(home.cfg)
    cfg.method = {"name": name, **options}
    _, built = resolve_method(cfg.method, METHODS)
    cfg.method = {"name": name, **{key: _plain(x) for key, x in vars(built).items()}}
    sizes = len(trained.class_names), int(home.sizes.max()), 2
    method = METHODS[name].build(built, home.clip.dims, *sizes)
    made = Federation(cfg, home.task, method, home.clip, World.alone())
    theta, extra = own_start(made, CLIENT)
    noise = np.random.default_rng(0).standard_normal(theta.shape, np.float32)
    theta = theta + LOUD * torch.from_numpy(noise)
    kept = made.layout.views(theta)  # of theta itself
    if "values" in kept:  # a cache of images: those that lie in it are of all classes in turn
        kept["values"][0] = torch.arange(len(kept["values"][0])) % (1 + sizes[0])
    head = head_of(made, f"client {CLIENT}", (theta, extra), made.texts[made.task.train_classes])
    return Taken(Trained(made, trained.folder, 1), head)


def _plain(value: Any) -> Any:
    return getattr(value, "name", value)
