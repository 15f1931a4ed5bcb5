"""Accuracy of every client on every test set due; each image is classified once per client.

Scoring may take longer than a time limit. So the ranks meet every few seconds, where they hear of a
signal and put together what is scored so far, in the midst of a client's images, too; a later start
goes on from there.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.federation.classify import Classifier, Count, Group
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


def no_bar(description: str, total: int) -> AbstractContextManager[Advance]:
    """Tell nobody how far a step is."""
    return nullcontext(lambda count: None)


def nothing(clients: np.ndarray) -> tuple[Tensor, Any]:
    """Return the numbers of a method that trains nothing: a `Start`."""
    return torch.zeros(len(clients), 0), None


@dataclass
class Sitting:
    """One start's part of scoring, which may be cut short: how it is watched, and what it has."""

    stop: Callable[[], bool] = _never  # asked whenever the ranks meet
    keep: Callable[[], None] = lambda: None  # called on all ranks there, if it goes on
    bar: Callable[[str, int], AbstractContextManager[Advance]] = no_bar  # images of this rank
    so_far: dict[str, Tensor] = field(default_factory=dict)
    """Names of scopes -> [K, 2 + 2 S] int64 over all ranks: how far every client is, as classify.py
    counts."""
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
    key = " ".join(names)
    before = sitting.so_far.get(key)
    before = classifier.fresh(classifier.task.num_clients) if before is None else before
    left = [part for group in groups for part in classifier.parts(group, before)]
    mine = np.concatenate([np.empty(0, np.int64), *(group.clients for group in left)])
    now, num_images = before.clone(), 0

    def advance(count: int) -> None:
        nonlocal num_images
        num_images += count
        shown(count)

    due = sum(classifier.num_images(group, before) for group in left)
    with sitting.bar(f"scores on {', '.join(dict.fromkeys(names))}: images", due) as shown:
        work = _Work(classifier, start, left, now, advance)
        while True:
            world.entering("scoring")
            work.go_on()
            missing = int((~classifier.done(now)[mine]).sum())
            riders = torch.tensor([num_images, missing, int(sitting.stop())])
            total = world.exact_sum(torch.cat([(now - before).flatten(), riders]))
            table = before + total[:-3].view(before.shape)
            sitting.so_far[key] = table
            is_whole, stop = not total[-2], bool(total[-1])
            if is_whole or stop:
                break
            sitting.keep()
    counts = table[:, 2:].view(len(table), len(names), 2).double()
    percent = {}
    for name in dict.fromkeys(names):  # of several data sets, of which a client knows one
        own = counts[:, [place for place, other in enumerate(names) if other == name]].sum(dim=1)
        percent[name] = (100 * own[:, 0] / own[:, 1]).numpy()  # 0 / 0 is nan: no image
    return Scores(
        percent=percent if is_whole else {},
        num_images=int(total[-3]),
        seconds=time.perf_counter() - began,
        stop=stop,
        is_whole=is_whole,
    )


class _Work:
    """What this rank has to score, group by group."""

    def __init__(
        self,
        classifier: Classifier,
        start: Start,
        groups: list[Group],
        now: Tensor,  # [K, 2 + 2 S] how far clients are; kept up to date
        advance: Advance,
    ) -> None:
        self.classifier, self.start, self.groups = classifier, start, groups
        self.now, self.advance = now, advance
        self.count: Count | None = None  # of the group in hand
        self.steps = self._steps()

    def go_on(self) -> None:
        """Go on for PIECE_SECONDS, or to the end."""
        ends = time.monotonic() + PIECE_SECONDS
        for _ in self.steps:
            if time.monotonic() >= ends:
                break
        self._note()

    def _steps(self) -> Iterator[None]:
        for group in self.groups:
            held = self.start(group.answering)
            self.count = Count(self.classifier, group, held, self.now[group.clients])
            yield from self.count.run(self.advance)
            self._note()
        self.count = None

    def _note(self) -> None:
        if self.count is not None:
            self.now[self.count.group.clients] = self.count.so_far
