"""Classify: what the numbers of some clients make of the images that these are scored on."""

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
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout


@dataclass(frozen=True)
class Group:
    """Clients that are scored together."""

    clients: np.ndarray  # [G]
    alike: bool = False  # they hold the same numbers: one answer serves all of them

    def without(self, done: np.ndarray) -> "Group":
        """Return the group without the clients that are done [K] bool."""
        return replace(self, clients=self.clients[~done[self.clients]])


def rows_of(scopes: Iterable[Scope], clients: np.ndarray) -> np.ndarray:
    """Return the sorted image rows on which these clients are scored."""
    rows = [np.empty(0, np.int64)]
    for scope in scopes:
        rows.append(scope.rows_of_all(clients))
    return np.unique(np.concatenate(rows))


@dataclass(frozen=True)
class Asked:
    """Images that are told apart among their client's own classes, besides: n pairs of both."""

    clients: np.ndarray  # [n] places among G clients
    held: np.ndarray  # [n] places on the first axis of logits: whose numbers answer
    places: np.ndarray  # [n] ascending places among the images that are classified there
    columns: np.ndarray  # [G, C] bool, of the softmax: the client's own classes
    device: torch.device  # where the answers are told apart

    @classmethod
    def of(
        cls,
        task: Task,
        scope: Scope,
        clients: np.ndarray,
        wanted: list[np.ndarray],
        device: torch.device,
    ) -> "Asked":
        """wanted: sorted image rows by client, or of all clients, which hold the same numbers."""
        alike = len(wanted) < len(clients)
        of_client = np.repeat(np.arange(len(clients)), scope.rows.sizes(clients))
        held = np.zeros_like(of_client) if alike else of_client
        each = [clients] if alike else clients[:, None]
        rows = [scope.rows_of_all(own) for own in each]
        found = np.concatenate(list(map(np.searchsorted, wanted, rows)))
        order = np.argsort(found, kind="stable")
        columns = task.own_columns(scope.class_set, clients)
        return cls(of_client[order], held[order], found[order], columns, device)

    @cached_property
    def there(self) -> tuple[Tensor, ...]:
        """Clients, whose numbers answer, images, and the classes that are not a client's own."""
        pairs = placed([self.clients, self.held, self.places], self.device)
        return *pairs, *placed([~self.columns], self.device)

    def right(self, logits: Tensor, labels: Tensor, begin: int) -> Tensor:
        """Return whether each pair is answered right [m] bool, of those with one of the images from
        place `begin` on; these have logits [G, B, C] and labels [G, B]."""
        part = slice(*np.searchsorted(self.places, [begin, begin + logits.shape[1]]))
        clients, held, images = (each[part] for each in self.there[:3])
        left = logits[held, images - begin].masked_fill(self.there[3][clients], -torch.inf)
        return left.argmax(dim=1) == labels[held, images - begin]


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

    def count(
        self, group: Group, held: tuple[Tensor, Any], advance: Callable[[int], None]
    ) -> Iterator[Tensor | None]:
        """Yield None after each batch of images, then how many images of each test set each client
        has right, of how many: [G, S, 2] int64.

        held: numbers (theta, further download) of each client, or of one where all are alike.
        advance: told how many images were classified. An image that is scored among all classes and
        among a client's own is classified once, and so is one of several test sets.
        """
        clients = group.clients
        counts = torch.zeros(len(clients), len(self.scopes), 2, dtype=torch.int64)
        for name, due in self._due():
            scopes = list(due.values())
            wanted = _wanted(scopes, group)
            asked = _asked(self.task, scopes, clients, wanted, held[0].device)
            label_of = partial(self.task.labels, name)
            answers = self._answers(held, self.texts[name], wanted, asked, label_of)
            sizes = np.array(list(map(len, wanted)))
            hits, right = [np.zeros((len(wanted), 0), bool)], [np.empty(0, bool)]
            for hit, *own in brought(answers):
                hits.append(hit)
                right.extend(own)
                advance(int(sizes.clip(max=hit.shape[1]).sum()))
                sizes = (sizes - hit.shape[1]).clip(min=0)
                yield None
            correct = np.concatenate(hits, axis=1)
            among_all = [row[: len(rows)] for row, rows in zip(correct, wanted, strict=True)]
            for place, scope in due.items():
                if scope.own_classes:
                    of_each = [asked.clients[np.concatenate(right)], asked.clients]
                    found = [np.bincount(who, minlength=len(clients)) for who in of_each]
                    counts[:, place] = torch.from_numpy(np.stack(found, axis=1))
                else:
                    counts[:, place] = _found(scope, clients, wanted, among_all)
        yield counts

    def num_images(self, group: Group) -> int:
        """Return how many images `count` classifies."""
        wanted = (_wanted(list(due.values()), group) for _, due in self._due())
        return sum(sum(map(len, each)) for each in wanted)

    def _due(self) -> Iterator[tuple[str, dict[int, Scope]]]:
        """Yield the class sets with test sets of theirs, by place."""
        for name in self.texts:
            due = {place: one for place, one in enumerate(self.scopes) if one.class_set == name}
            if due:
                yield name, due

    @torch.no_grad()
    def _answers(
        self,
        held: tuple[Tensor, Any],
        text: ClassText,
        wanted: list[np.ndarray],  # [G] sorted image rows of each client
        asked: Asked | None,
        label_of: Callable[[np.ndarray], np.ndarray],
    ) -> Iterator[list[Tensor]]:
        """Yield, batch by batch, whether each image is classified right [G, B] bool, padding of
        shorter clients included; and where it is asked, whether each is [m] bool among own classes.

        The device is not waited for: it has the labels, and images come as in training.
        """
        theta, extra = held
        params = self.layout.views(theta)
        prepared = self.method.prepare(extra, text)
        classes = self.method.classes(params, prepared, text)  # once per client
        longest = max(wanted, key=len)
        padded = np.stack([np.append(rows, longest[len(rows) :]) for rows in wanted])
        same = all(np.array_equal(rows, wanted[0]) for rows in wanted)
        begins = range(0, len(longest), self.batch_size)
        batches = [padded[:, begin : begin + self.batch_size] for begin in begins]
        answered = [rows[:1] if same else rows for rows in batches]  # read once for the whole group
        views = [(rows.reshape(-1), np.zeros(rows.size, np.int64)) for rows in answered]
        labelled = placed([label_of(rows) for rows in batches], theta.device)
        read = self.features.stream(self.method.images, views)
        for begin, rows, labels, images in zip(begins, answered, labelled, read, strict=True):
            dealt = partial(_dealt, shape=rows.shape, num_clients=len(padded))
            logits = self.method.logits(params, classes, mapped(images, dealt), text.clip)
            own = [] if asked is None else [asked.right(logits, labels, begin)]
            yield [logits.argmax(dim=2) == labels, *own]


def _wanted(scopes: list[Scope], group: Group) -> list[np.ndarray]:
    """Return the sorted image rows to classify for each client [G], or for all of them at once."""
    clients = [group.clients] if group.alike else group.clients[:, None]
    return [rows_of(scopes, own) for own in clients]


def _asked(
    task: Task,
    scopes: list[Scope],
    clients: np.ndarray,
    wanted: list[np.ndarray],
    device: torch.device,
) -> Asked | None:
    """Return what is asked among own classes, if anything is."""
    own = next((scope for scope in scopes if scope.own_classes), None)
    return None if own is None else Asked.of(task, own, clients, wanted, device)


def _found(
    scope: Scope, clients: np.ndarray, wanted: list[np.ndarray], correct: list[np.ndarray]
) -> Tensor:
    """Return how many images of its test set each client has right, of how many: [G, 2] int64,
    or [1, 2] where one answer serves all."""
    found = []
    for own, rows, hits in zip(
        [clients] if len(wanted) < len(clients) else clients[:, None], wanted, correct, strict=True
    ):
        hit = hits[np.searchsorted(rows, scope.rows_of_all(own))]
        sizes = np.full(1, len(hit)) if scope.common else scope.rows.sizes(own)
        of_each = np.repeat(np.arange(len(sizes)), sizes)
        found.append(np.stack([np.bincount(of_each[hit], minlength=len(sizes)), sizes], axis=1))
    return torch.from_numpy(np.concatenate(found))


def _dealt(found: Tensor, shape: tuple[int, int], num_clients: int) -> Tensor:
    """Give features [n, *record_shape] of images of a shape [1 or G, B] the cohort's axis G."""
    return found.unflatten(0, shape).expand(num_clients, *[-1] * found.dim())
