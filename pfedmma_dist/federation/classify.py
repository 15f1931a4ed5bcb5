"""Classify: what the numbers of some clients make of the images that these are scored on.

Images come in streams, one for each class set, in ascending rows. How far clients are is a row of
[2 + 2 S] int64 each: streams that are done, the image row up to which the next one is, and for each
of S test sets how many images a client has right, of how many.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clip.carry import brought
from pfedmma_dist.clip.features import Features
from pfedmma_dist.clip.kinds import mapped
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.data.tasks.task import Scope, Task
from pfedmma_dist.federation.laid import placed
from pfedmma_dist.federation.pairs import Pairs
from pfedmma_dist.federation.released.stale_text import StaleText
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout

STREAMS, ROW = 0, 1
"""Columns of how far a client is: streams that are done, and the image row that comes next."""


@dataclass(frozen=True)
class Group:
    """Clients that are scored together."""

    clients: np.ndarray  # [G]
    alike: bool = False  # they hold the same numbers: one answer serves all of them

    @property
    def answering(self) -> np.ndarray:
        """The clients whose numbers answer."""
        return self.clients[:1] if self.alike else self.clients


def rows_of(scopes: Iterable[Scope], clients: np.ndarray) -> np.ndarray:
    """Return the sorted image rows on which these clients are scored."""
    rows = [np.empty(0, np.int64)]
    for scope in scopes:
        rows.append(scope.rows_of_all(clients))
    found = np.sort(np.concatenate(rows))  # np.unique looks numbers up: 20 times as long
    return found[np.diff(found, prepend=-1) > 0]


@dataclass(frozen=True)
class Classifier:
    """Whatever clients have in common when they are scored."""

    method: Method
    layout: Layout
    task: Task
    scopes: list[Scope]  # test sets, in the order of the counts
    texts: dict[str, ClassText]
    features: Features
    batch_size: int
    stale_text: StaleText | None = None  # whose class vectors answer; None: each client's own

    @cached_property
    def streams(self) -> list[tuple[str, dict[int, Scope]]]:
        """The class sets with test sets of theirs, by place."""
        due = {
            name: {place: one for place, one in enumerate(self.scopes) if one.class_set == name}
            for name in self.texts
        }
        return [(name, scopes) for name, scopes in due.items() if scopes]

    def fresh(self, num_clients: int) -> Tensor:
        """Return how far clients are of whom nothing is scored."""
        return torch.zeros(num_clients, 2 + 2 * len(self.scopes), dtype=torch.int64)

    def done(self, so_far: Tensor) -> np.ndarray:
        """Return which clients are scored [K] bool; so_far: how far they are."""
        return (so_far[:, STREAMS] == len(self.streams)).numpy()

    def parts(self, group: Group, so_far: Tensor) -> list[Group]:
        """Return the clients of a group that are left, those together that are equally far.

        An earlier start may have scored them in other groups, if it had other ranks.
        """
        left = group.clients[~self.done(so_far)[group.clients]]
        if not len(left):
            return []
        if group.alike:
            _, part = np.unique(so_far[left, :2].numpy(), axis=0, return_inverse=True)
            return [replace(group, clients=left[part == n]) for n in range(part.max() + 1)]
        whole = replace(group, clients=left)
        if len(left) == 1 or self._are_abreast(whole, so_far[left].numpy()):
            return [whole]
        return [replace(group, clients=left[n : n + 1]) for n in range(len(left))]

    def _are_abreast(self, group: Group, before: np.ndarray) -> bool:
        """Whether the clients of a group have come to the same place in the same stream; those with
        fewer images have no more."""
        if (before[:, STREAMS] != before[0, STREAMS]).any():
            return False
        wanted = self.wanted(int(before[0, STREAMS]), group)
        places = _places(wanted, before[:, ROW])
        return bool((places == np.minimum(places.max(), list(map(len, wanted)))).all())

    def num_images(self, group: Group, so_far: Tensor | None = None) -> int:
        """Return how many images are classified for a group that is left of so many clients."""
        before = self.fresh(len(group.clients)) if so_far is None else so_far[group.clients]
        first, total = int(before[0, STREAMS]), 0
        for index in range(first, len(self.streams)):
            wanted = self.wanted(index, group)
            total += sum(map(len, wanted))
            if index == first:
                total -= int(_places(wanted, before[: len(wanted), ROW].numpy()).sum())
        return total

    def wanted(self, stream: int, group: Group) -> list[np.ndarray]:
        """Return the sorted image rows that a stream has for each client [G], or for all at
        once."""
        _, scopes = self.streams[stream]
        clients = [group.clients] if group.alike else group.clients[:, None]
        return [rows_of(scopes.values(), own) for own in clients]


class Count:
    """A group on its way through the images; what it has right so far."""

    def __init__(
        self, classifier: Classifier, group: Group, held: tuple[Tensor, Any], before: Tensor
    ) -> None:
        """held: numbers (theta, further download) of the clients that answer. before: how far they
        all are [G, 2 + 2 S]."""
        self.classifier, self.group, self.held = classifier, group, held
        self.now = before.clone()
        self._right: dict[int, np.ndarray] = {}  # of the stream in hand
        self._rows = before[:, ROW].numpy()

    def run(self, advance: Callable[[int], None]) -> Iterator[None]:
        """Classify what is left; yield after each batch of images. advance: told how many.

        An image that is scored among all classes and among a client's own is classified once, and
        so is one of several test sets.
        """
        own = self.classifier
        for index in range(int(self.now[0, STREAMS]), len(own.streams)):
            name, scopes = own.streams[index]
            wanted = own.wanted(index, self.group)
            pairs = {
                place: Pairs.of(own.task, scope, self.group.clients, wanted, self.held[0].device)
                for place, scope in scopes.items()
            }
            self._right = {
                place: np.zeros(len(one.sizes), np.int64) for place, one in pairs.items()
            }
            begin = int(_places(wanted, self._rows[: len(wanted)]).max())
            lengths = np.array(list(map(len, wanted)))
            asked = [one for one in pairs.values() if one.columns is not None]
            answers = self._answers(name, wanted, begin, asked) if lengths.any() else ()
            for hits, *found in brought(answers):
                told = iter(found)
                for place, one in pairs.items():
                    among_own = None if one.columns is None else next(told)
                    self._right[place] += one.right(hits, among_own, begin)
                advance(int((lengths - begin).clip(0, hits.shape[1]).sum()))
                begin += hits.shape[1]
                self._rows = self._next(wanted, begin)
                yield
            self.now = self.so_far
            for place, one in pairs.items():
                self.now[:, 3 + 2 * place] = torch.from_numpy(one.sizes)
            self._right, self._rows = {}, np.zeros_like(self._rows)
            self.now[:, STREAMS] += 1
            self.now[:, ROW] = 0

    @property
    def so_far(self) -> Tensor:
        """How far its clients are [G, 2 + 2 S]."""
        found = self.now.clone()
        found[:, ROW] = torch.from_numpy(self._rows)
        for place, right in self._right.items():
            found[:, 2 + 2 * place] += torch.from_numpy(right)
        return found

    def _next(self, wanted: list[np.ndarray], begin: int) -> np.ndarray:
        """Return the image row that comes next, of each or of all, where `begin` are done."""
        ends = (own[-1] + 1 if len(own) else 0 for own in wanted)
        rows = [
            own[begin] if begin < len(own) else end for own, end in zip(wanted, ends, strict=True)
        ]
        return np.array(rows, np.int64)

    @torch.no_grad()
    def _answers(
        self, name: str, wanted: list[np.ndarray], begin: int, asked: list[Pairs]
    ) -> Iterator[list[Tensor]]:
        """Yield, batch by batch from place `begin` on, whether each image is classified right
        [G, B] bool, padding of shorter clients included; and what is asked among own classes.

        The device is not waited for: it has the labels, and images come as in training.
        """
        own, (theta, extra) = self.classifier, self.held
        text, method = own.texts[name], own.method
        params = own.layout.views(theta)
        prepared = method.prepare(extra, text)
        named = theta if own.stale_text is None else own.stale_text.beside(theta)
        classes = method.classes(own.layout.views(named), prepared, text)  # once per client
        longest = max(wanted, key=len)
        padded = np.stack([np.append(rows, longest[len(rows) :]) for rows in wanted])
        same = all(np.array_equal(rows, wanted[0]) for rows in wanted)
        begins = range(begin, len(longest), own.batch_size)
        batches = [padded[:, at : at + own.batch_size] for at in begins]
        answered = [rows[:1] if same else rows for rows in batches]  # read once for the whole group
        views = [(rows.reshape(-1), np.zeros(rows.size, np.int64)) for rows in answered]
        labelled = placed([own.task.labels(name, rows) for rows in batches], theta.device)
        read = own.features.stream(method.images, views)
        for at, rows, labels, images in zip(begins, answered, labelled, read, strict=True):
            dealt = partial(_dealt, shape=rows.shape, num_clients=len(padded))
            seen = method.see(params, classes, mapped(images, dealt), text.clip)
            logits = method.logits(params, classes, seen, text.clip)
            told = [one.among_own(logits, labels, at) for one in asked]
            yield [logits.argmax(dim=2) == labels, *told]


def _places(wanted: list[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Return how many of the sorted image rows of each come before a row of its own."""
    pairs = zip(wanted, rows, strict=True)
    return np.array([np.searchsorted(own, row) for own, row in pairs])


def _dealt(found: Tensor, shape: tuple[int, int], num_clients: int) -> Tensor:
    """Give features [n, *record_shape] of images of a shape [1 or G, B] the cohort's axis G."""
    return found.unflatten(0, shape).expand(num_clients, *[-1] * found.dim())
