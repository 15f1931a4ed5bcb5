"""Accuracy of every client on every test set due; each image is classified once per client.

Scoring may take longer than a time limit. So the ranks meet every few seconds, where they hear of a
signal and put together what is scored so far; a later start goes on from there.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.federation.classify import Classifier, Group
from pfedmma_dist.world import World

Start = Callable[[np.ndarray], tuple[Tensor, Any]]
"""Clients [G] -> (theta [G, P + S], further download)."""

Advance = Callable[[int], None]

PIECE_SECONDS = 5.0
"""Between two meetings of the ranks: what a stop waits for at most, beside one batch of images."""


@dataclass(frozen=True)
class Scores:
    """Accuracy in percent of every client, by test set."""

    percent: dict[str, np.ndarray]
    """Scope name -> [K] float64, nan where a client has no image or was left out; {} where scoring
    was cut short."""
    num_images: int  # images classified since the start, over all clients and ranks
    seconds: float  # earlier starts included
    stop: bool  # some rank was asked to stop
    is_whole: bool = True  # nobody is left to be scored

    def beside(self, other: "Scores") -> dict[str, np.ndarray]:
        """Return these scores for those clients alone that another record has scores of."""
        return {
            name: np.where(np.isnan(other.percent[name]), np.nan, percent)
            for name, percent in self.percent.items()
        }


def _never() -> bool:
    return False


def _no_bar(description: str, total: int) -> AbstractContextManager[Advance]:
    return nullcontext(lambda count: None)


@dataclass
class Sitting:
    """One start's part of scoring, which may be cut short: how it is watched, and what it has."""

    stop: Callable[[], bool] = _never  # asked whenever the ranks meet
    keep: Callable[[], None] = lambda: None  # called on all ranks there, if it goes on
    bar: Callable[[str, int], AbstractContextManager[Advance]] = _no_bar  # images of this rank
    so_far: dict[str, Tensor] = field(default_factory=dict)
    """Names of scopes -> [K, 1 + 2 S] int64 over all ranks: whether a client is scored, and for
    each scope how many images it has right, of how many."""
    seconds: float = 0.0  # that earlier starts have spent


def score(
    classifier: Classifier,
    start: Start,
    groups: list[Group],
    world: World,
    sitting: Sitting | None = None,
) -> Scores:
    """Score the clients of these groups, as far as a sitting has not yet, and sum over ranks.

    Collective, at least once.
    """
    sitting = sitting or Sitting()
    began = time.perf_counter()
    names = [scope.name for scope in classifier.scopes]
    key, shape = " ".join(names), (classifier.task.num_clients, 1 + 2 * len(names))
    before = sitting.so_far.get(key, torch.zeros(shape, dtype=torch.int64))
    left = [group.without(before[:, 0].bool().numpy()) for group in groups]
    left = [group for group in left if len(group.clients)]
    pending = sum(len(group.clients) for group in left)
    mine, num_images = torch.zeros_like(before), 0

    def advance(count: int) -> None:
        nonlocal num_images
        num_images += count
        shown(count)

    due = sum(map(classifier.num_images, left))
    with sitting.bar(f"scores on {', '.join(names)}: images", due) as shown:
        work = _work(classifier, start, left, mine, advance)
        while True:
            world.entering("scoring")
            _piece(work)
            missing = pending - int(mine[:, 0].sum())
            riders = torch.tensor([num_images, missing, int(sitting.stop())])
            total = world.exact_sum(torch.cat([mine.flatten(), riders]))
            table = before + total[:-3].view(shape)
            sitting.so_far[key] = table
            is_whole, stop = not total[-2], bool(total[-1])
            if is_whole or stop:
                break
            sitting.keep()
    right, of = table[:, 1:].view(shape[0], len(names), 2).double().unbind(dim=2)
    percent = (100 * right / of).numpy()  # 0 / 0 is nan: no image
    return Scores(
        percent={name: percent[:, place] for place, name in enumerate(names)} if is_whole else {},
        num_images=int(total[-3]),
        seconds=time.perf_counter() - began,
        stop=stop,
        is_whole=is_whole,
    )


def _work(
    classifier: Classifier, start: Start, groups: list[Group], table: Tensor, advance: Advance
) -> Iterator[None]:
    """Score group by group into a table, of this rank alone; yield after each batch of images."""
    for group in groups:
        held = start(group.clients[:1] if group.alike else group.clients)
        for counts in classifier.count(group, held, advance):
            if counts is None:
                yield
            else:
                table[group.clients, 0] = 1
                table[group.clients, 1:] = counts.flatten(1)


def _piece(work: Iterator[None]) -> None:
    """Go on with the work for PIECE_SECONDS, or to its end."""
    ends = time.monotonic() + PIECE_SECONDS
    for _ in work:
        if time.monotonic() >= ends:
            return
