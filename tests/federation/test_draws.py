"""What a method draws in a step is a function of seed, round, client and step alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tiny import on_ranks, same_state, tiny_federation
from torch import Tensor

from pfedmma_dist.clip.model import Dims
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import ParamSpec, normal
from pfedmma_dist.rng import Key
from pfedmma_dist.world import World

RAGGED = {"batch_size": 2, "local_epochs": 2, "cohort_size": 2}


@dataclass(kw_only=True)
class DroppedOptions:
    """None."""


class Dropped(Method):
    """A prompt whose class vectors lose half of their coordinates at every step (dropout)."""

    name = "dropped"
    Options = DroppedOptions

    def __init__(self, options: DroppedOptions, dims: Dims) -> None:
        self.width, self.asked = dims.embed_dim, []
        self.specs = (ParamSpec("context", (2, dims.text_width), normal(0.02), shared=True),)

    def draw(self, prepared: Any, keys: Sequence[Key]) -> Tensor:
        self.asked.extend(keys)
        return torch.from_numpy(
            np.stack([key.generator("keep").random(self.width) < 0.5 for key in keys])
        )

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        vectors = text.with_context(params["context"])  # [G, C, D]
        return vectors if prepared is None else 2 * vectors * prepared[:, None]


def rounds(count: int, world: World | None = None, **keys: object) -> Federation:
    federation = tiny_federation(Dropped, world, **{**RAGGED, **keys})
    for index in range(count):
        federation.round(index)
    return federation


def test_every_client_and_step_of_every_round_has_a_key_of_its_own() -> None:
    federation = rounds(2)
    steps = federation.steps
    asked = set(federation.method.asked)
    active = [Key(1, r, c, s) for r in range(2) for c in range(6) for s in range(steps[c])]
    assert federation.cfg.seed == 1
    assert asked >= set(active)  # besides, a client that is done repeats its last step, unused
    drawn = {key.generator("keep").random(4).tobytes() for key in active}
    assert len(drawn) == len(active)
    assert Key(1, 0, 0, 0).generator("other").random() != Key(1, 0, 0, 0).generator("keep").random()


def test_draws_matter_and_scores_draw_nothing() -> None:
    federation = rounds(1)
    asked = len(federation.method.asked)
    federation.evaluate(full=True)
    assert len(federation.method.asked) == asked > 0
    other = tiny_federation(Dropped, **RAGGED)
    other.method.draw = lambda prepared, keys: prepared
    other.round(0)
    assert not torch.equal(other.exchange.shared, federation.exchange.shared)


def test_draws_are_the_same_on_two_ranks() -> None:
    one = rounds(2)
    for two in on_ranks(2, lambda world: rounds(2, world)):
        same_state(two, one)


def test_draws_do_not_depend_on_the_cohort() -> None:
    shared = [rounds(2, cohort_size=size).exchange.shared for size in (1, 6)]
    torch.testing.assert_close(*shared, rtol=0, atol=1e-6)


def test_federation_that_goes_on_draws_as_one_that_never_stopped() -> None:
    whole, first, second = rounds(2), rounds(1), rounds(0)
    shards, server = first.state()
    second.load(shards, server, 1)
    second.round(1)
    same_state(second, whole)


class Alternating(Method):
    """A prompt of two halves, of which one moves in even rounds and the other in odd ones."""

    name = "alternating"
    Options = DroppedOptions

    def __init__(self, options: DroppedOptions, dims: Dims) -> None:
        shape = (1, dims.text_width)
        self.specs = tuple(ParamSpec(name, shape, normal(0.02)) for name in ("even", "odd"))

    def resting(self, prepared: Any, round_index: int) -> dict[str, Tensor]:
        return {"even" if round_index % 2 else "odd": torch.ones(1, dtype=torch.bool)}

    def classes(self, params: dict[str, Tensor], prepared: Any, text: ClassText) -> Tensor:
        return text.with_context(torch.cat([params["even"], params["odd"]], dim=1))


def test_method_knows_the_round_in_which_a_part_rests() -> None:
    federation = tiny_federation(Alternating, cohort_size=1)
    everybody, found = np.arange(6), []
    for index in range(3):
        found.append(federation.clients.gather(everybody).split(64, dim=1))
        federation.round(index)
    found.append(federation.clients.gather(everybody).split(64, dim=1))
    moved = [
        [not torch.equal(a, b) for a, b in zip(before, after, strict=True)]
        for before, after in zip(found, found[1:], strict=False)
    ]
    assert moved == [[True, False], [False, True], [True, False]]
