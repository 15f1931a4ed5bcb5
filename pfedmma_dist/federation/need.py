"""Need: what steps of training and batches of scores take of a device's memory, by key."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from pfedmma_dist.clip.cache import FeatureCache
from pfedmma_dist.clip.kinds import listed
from pfedmma_dist.clip.model import FrozenCLIP
from pfedmma_dist.clip.room import Need, block_bytes, image_bytes, towers
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.federation.classify import Classifier, Group
from pfedmma_dist.federation.cohort import Batch
from pfedmma_dist.federation.trainer import LocalTrainer

if TYPE_CHECKING:
    from pfedmma_dist.federation.federation import Federation


def of_step(
    federation: "Federation",
    trainer: LocalTrainer,
    theta: Tensor,  # [G, P + S]
    prepared: Any,
    step: Batch,
) -> list[Need]:
    """Return what a step of training takes.

    What is kept for the gradient is measured at one and at two images of each client; every other
    image keeps as much as the second. Beside it there are what one block holds as it runs, and of
    each row its start and the optimiser's state.
    """
    num_clients, num_images = step.rows.shape
    leaf = theta.detach().requires_grad_()

    def kept(count: int) -> float:
        few = {name: getattr(step, name)[:, :count] for name in ("rows", "views", "weight")}
        own = replace(step, **few)
        return kept_bytes(trainer.text.clip, lambda: trainer.losses(leaf, prepared, own))

    each = kept(2) - kept(1)  # nan where not even these fit
    images, texts = num_images * each, kept(1) - each
    clip, kinds = trainer.text.clip, listed(federation.method.images)
    passing = num_clients * num_images * sum(block_bytes(clip, kind) for kind in kinds)
    rows = (1 + trainer.rule.tables) * theta.nbytes
    whole = texts + images + max(passing, texts / clip.text.depth) + rows
    needs = [
        _halved("federation.cohort_size", num_clients, "in all", whole),
        _halved("federation.batch_size", num_images, "of these for its images", images + passing),
    ]
    if federation.clip.plain:
        what = "of these, as nothing is stored and texts run whole"
        needs.append(Need("clip.cache", "off", what, whole, "auto"))
    return needs + _always(federation)


def of_batch(
    federation: "Federation", classifier: Classifier, groups: Sequence[Group]
) -> list[Need]:
    """Return what a batch of scores takes: one block at a time, on images and on class names."""
    clip, size = federation.clip, classifier.batch_size
    num_clients = max((1 if group.alike else len(group.clients) for group in groups), default=1)
    each = sum(image_bytes(clip, kind) for kind in listed(classifier.method.images))
    classes = _class_bytes(federation) / clip.text.depth
    return [
        _halved(
            "evaluate.batch_size", size, f"for its images, clients at a time {num_clients}",
            num_clients * size * each,
        ),
        _halved("federation.cohort_size", num_clients, "for their classes", num_clients * classes),
        *_always(federation),
    ]  # fmt: skip


def kept_bytes(clip: FrozenCLIP, action: Callable[[], object]) -> float:
    """Return what a computation keeps for its gradient beside the weights; nan where there is no
    room for it."""
    sizes: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return x

    try:
        with torch.enable_grad(), saved_tensors_hooks(pack, lambda x: x):
            held = action()  # alive until all addresses are counted
    except torch.OutOfMemoryError:
        return float("nan")
    known = {x.untyped_storage().data_ptr() for x in clip.weights()}
    total = sum(size for address, size in sizes.items() if address not in known)
    del held
    return total


def _class_bytes(federation: "Federation") -> float:
    """Return what the classes of one client keep for a gradient, of the class set that keeps
    most."""
    method, layout = federation.method, federation.layout
    theta = layout.template(federation.cfg.seed)[None].to(federation.clip.device)
    extra = federation.exchange.download(np.zeros(1, np.int64), training=False).extra

    def keeps(text: ClassText) -> float:
        params = layout.views(theta.requires_grad_())
        prepared = method.prepare(extra, text)
        return kept_bytes(federation.clip, lambda: method.classes(params, prepared, text))

    return max(map(keeps, federation.texts.values()))


def _always(federation: "Federation") -> list[Need]:
    """Return what takes memory all the time: weights, and features that stay on a GPU."""
    assert federation.sources is not None
    caches = [federation.sources.train, federation.sources.test]
    stay = [each for each in caches if isinstance(each, FeatureCache) and each.place == "gpu"]
    if not stay:
        return [towers(federation.clip)]
    dtype = next(iter(stay[0].tables.values())).dtype
    return [
        towers(federation.clip),
        Need(
            "clip.cache_dtype", str(dtype).removeprefix("torch."), "for features that stay there",
            sum(each.num_bytes for each in stay), "bfloat16" if dtype.itemsize > 2 else None,
        ),
    ]  # fmt: skip


def _halved(key: str, value: int, what: str, num_bytes: float) -> Need:
    return Need(key, value, what, num_bytes, value // 2 or None)
