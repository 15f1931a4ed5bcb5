"""What a method's specs say: numbers of a client and round, and its parameters in groups."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from pfedmma_dist.clip.kinds import listed
from pfedmma_dist.clip.load import dims
from pfedmma_dist.clip.model import Dims, ImageFeatures
from pfedmma_dist.config.choices import CorrectionName
from pfedmma_dist.config.keys import Config
from pfedmma_dist.cost import count
from pfedmma_dist.exchange import Cost
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import ParamSpec
from tests.cards.presets import NUM_CLASSES, NUM_IMAGES

MODELS = {"ViT-B-16": "ViT-B/16", "mini-clip": "mini-CLIP"}
"""Models that are counted -> as people call them."""


@cache
def sizes(model: str) -> Dims:
    """Return the sizes of a model, without weights."""
    return dims(model)


def built(name: str, options: Any, model: str) -> Method:
    """Return a method for clients of the counted size; ValueError where it does not fit the
    model."""
    return METHODS[name].build(
        options, sizes(model), NUM_CLASSES, NUM_IMAGES, Config().federation.rounds
    )


def numbers(name: str, options: Any, model: str) -> tuple[str, str, str]:
    """Return what a client trains, sends and receives, as text; of a misfit, why, and nothing."""
    try:
        trained, cost = count(built(name, options, model), Config())
    except ValueError as error:
        return str(error), "", ""
    return f"{trained:,}", sent(cost), received(cost)


def corrected(name: str, model: str) -> list[tuple[str, str, str, str]]:
    """Return what a client trains, sends and receives with corrections, those of equal numbers in
    one row and those that do not fit the method in none."""
    method, found = built(name, METHODS[name].Options(), model), {}
    for correction in CorrectionName:
        cfg = Config()
        cfg.correction.name = correction
        cfg.federation.local_epochs, cfg.evaluate.finetune_epochs = 2, 1  # two of them need these
        try:
            trained, cost = count(method, cfg)
        except ValueError:
            continue
        if correction is not CorrectionName.none:
            numbers_of = f"{trained:,}", sent(cost), received(cost)
            found.setdefault(numbers_of, []).append(f"`{correction.value}`")
    return [(", ".join(names), *numbers_of) for numbers_of, names in found.items()]


def sent(cost: Cost) -> str:
    """Say what goes up."""
    return f"{cost.up:,}{' once' * cost.once}"


def received(cost: Cost) -> str:
    """Say what comes down."""
    return f"{cost.down:,}" + (f", and {cost.start:,} to start from" if cost.start else "")


@dataclass(frozen=True)
class Group:
    """Parameters of one shape whose names differ in a number alone."""

    name: str  # with * for the number
    shape: tuple[int, ...]
    whose: str
    num: int


def groups(specs: Iterable[ParamSpec]) -> list[Group]:
    """Return the parameters in groups, in the order of the specs."""
    found: dict[tuple[str, tuple[int, ...], str], int] = {}
    for spec in specs:
        key = re.sub(r"\b\d+\b", "*", spec.name), spec.shape, whose(spec)
        found[key] = found.get(key, 0) + 1
    return [Group(*key, num) for key, num in found.items()]


def whose(spec: ParamSpec) -> str:
    """Say who has a parameter."""
    if spec.frozen:
        return "frozen, the same for all"
    if spec.shared:
        return "shared"
    return "the client's own" + ("" if spec.lr_scale else ", not trained by steps")


def reads(method: Method) -> str:
    """Say which frozen features of an image a method reads."""
    return " and ".join(map(_kind, listed(method.images)))


def _kind(kind: ImageFeatures) -> str:
    if kind.start is None:
        for is_it, words in (
            (kind.patches, "the vectors of all patches"),
            (kind.tokens, "all tokens as they are embedded"),
            (kind.mirrored, "the final vector of its mirror image"),
        ):
            if is_it:
                return words
        return "the final vector"
    return f"what enters block {kind.start + 1} of the image tower, of all tokens"
