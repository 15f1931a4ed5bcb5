"""Accuracy of every client on every test set due; each image is classified once per client."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clip.cache import Features
from pfedmma_dist.clip.kinds import mapped
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.data.tasks.task import Scope, Task
from pfedmma_dist.federation.cohort import Cohort
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout
from pfedmma_dist.world import World

Start = Callable[[np.ndarray], tuple[Tensor, Any]]
"""Clients [G] -> (theta [G, P + S], further download)."""


@dataclass(frozen=True)
class Scores:
    """Accuracy in percent of every client, by test set."""

    percent: dict[str, np.ndarray]  # scope name -> [K] float64, nan where a client has no image
    num_images: int  # images classified, over all clients and ranks
    seconds: float
    stop: bool  # some rank was asked to stop


def score(
    method: Method,
    layout: Layout,
    start: Start,
    cohorts: list[Cohort],
    uniform: bool,
    task: Task,
    scopes: list[Scope],
    texts: dict[str, ClassText],
    features: Features,
    batch_size: int,
    world: World,
    stop: Callable[[], bool] = lambda: False,
) -> Scores:
    """Score the clients of these cohorts and sum over ranks.

    uniform: all clients hold the same numbers, so every image is classified once for all of them.
    An image that is scored among all classes and among a client's own is classified once, too.
    """
    world.entering("scoring")
    started = time.perf_counter()
    counts = torch.zeros(task.num_clients, len(scopes), 2, dtype=torch.int64)
    num_images = 0
    for clients in _groups(cohorts, uniform):
        held = start(clients[:1] if uniform else clients)
        for name, text in texts.items():
            due = {place: one for place, one in enumerate(scopes) if one.class_set == name}
            if not due:
                continue
            wanted = _wanted(list(due.values()), clients, uniform)
            asked = _asked(task, list(due.values()), clients, wanted)
            label_of = partial(task.labels, name)
            correct, among_own = _classify(
                method, layout, held, text, features, wanted, asked, label_of, batch_size
            )
            num_images += sum(map(len, wanted))
            for place, scope in due.items():
                found = among_own if scope.own_classes else _found(scope, clients, wanted, correct)
                counts[clients, place] = found
    riders = torch.tensor([num_images, int(stop())])
    total = world.exact_sum(torch.cat([counts.flatten(), riders]))
    right, of = total[:-2].view(counts.shape).double().unbind(dim=2)
    percent = (100 * right / of).numpy()  # 0 / 0 is nan: no image
    return Scores(
        percent={scope.name: percent[:, place] for place, scope in enumerate(scopes)},
        num_images=int(total[-2]),
        seconds=time.perf_counter() - started,
        stop=bool(total[-1]),
    )


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

    @classmethod
    def of(cls, task: Task, scope: Scope, clients: np.ndarray, wanted: list[np.ndarray]) -> "Asked":
        """wanted: sorted image rows by client, or of all clients, which hold the same numbers."""
        alike = len(wanted) < len(clients)
        of_client = np.repeat(np.arange(len(clients)), scope.rows.sizes(clients))
        held = np.zeros_like(of_client) if alike else of_client
        each = [clients] if alike else clients[:, None]
        rows = [scope.rows_of_all(own) for own in each]
        found = np.concatenate(list(map(np.searchsorted, wanted, rows)))
        order = np.argsort(found, kind="stable")
        columns = task.own_columns(scope.class_set, clients)
        return cls(of_client[order], held[order], found[order], columns)

    def right(self, logits: Tensor, labels: np.ndarray, begin: int) -> np.ndarray:
        """Return the client [m] of every answer that is right, of logits [G, B, C] of the images
        from place `begin` on."""
        part = slice(*np.searchsorted(self.places, [begin, begin + logits.shape[1]]))
        held, images, clients = self.held[part], self.places[part] - begin, self.clients[part]
        others = torch.from_numpy(~self.columns[clients]).to(logits.device)
        left = logits[held, images].masked_fill(others, -torch.inf)
        return clients[left.argmax(dim=1).cpu().numpy() == labels[held, images]]


def _wanted(scopes: list[Scope], clients: np.ndarray, uniform: bool) -> list[np.ndarray]:
    """Return the sorted image rows to classify for each client [G], or for all of them at once."""
    return [rows_of(scopes, own) for own in ([clients] if uniform else clients[:, None])]


def _asked(
    task: Task, scopes: list[Scope], clients: np.ndarray, wanted: list[np.ndarray]
) -> Asked | None:
    """Return what is asked among own classes, if anything is."""
    own = next((scope for scope in scopes if scope.own_classes), None)
    return None if own is None else Asked.of(task, own, clients, wanted)


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


def _groups(cohorts: list[Cohort], uniform: bool) -> list[np.ndarray]:
    """Return the clients to score together: cohorts, or all of them where one answer serves all."""
    groups = [cohort.clients for cohort in cohorts]
    return [np.concatenate(groups)] if uniform and groups else groups


@torch.no_grad()
def _classify(
    method: Method,
    layout: Layout,
    held: tuple[Tensor, Any],
    text: ClassText,
    features: Features,
    wanted: list[np.ndarray],  # [G] sorted image rows of each client
    asked: Asked | None,
    label_of: Callable[[np.ndarray], np.ndarray],
    batch_size: int,
) -> tuple[list[np.ndarray], Tensor]:
    """Return whether each wanted image is classified right, by client; and of each client that
    asks, how many are right among its own classes, of how many: [G, 2] int64."""
    theta, extra = held
    params = layout.views(theta)
    classes = method.classes(params, method.prepare(extra, text), text)  # once per client
    longest = max(wanted, key=len)
    padded = np.stack([np.append(rows, longest[len(rows) :]) for rows in wanted])  # cut off below
    same = all(np.array_equal(rows, wanted[0]) for rows in wanted)
    hits, right = [np.zeros((len(wanted), 0), bool)], [np.empty(0, np.int64)]
    for begin in range(0, len(longest), batch_size):
        rows = padded[:, begin : begin + batch_size]
        answered = rows[:1] if same else rows
        views = answered.reshape(-1), np.zeros(answered.size, np.int64)
        dealt = partial(_dealt, shape=answered.shape, num_clients=len(rows))
        images = mapped(features.rows(method.images, views), dealt)
        logits, labels = method.logits(params, classes, images, text.clip), label_of(rows)
        hits.append(logits.argmax(dim=2).cpu().numpy() == labels)
        if asked is not None:
            right.append(asked.right(logits, labels, begin))
    correct = np.concatenate(hits, axis=1)
    found = [row[: len(rows)] for row, rows in zip(correct, wanted, strict=True)]
    if asked is None:
        return found, torch.zeros(0, 2, dtype=torch.int64)
    of_each = [np.concatenate(right), asked.clients]
    counts = [np.bincount(clients, minlength=len(asked.columns)) for clients in of_each]
    return found, torch.from_numpy(np.stack(counts, axis=1))


def _dealt(found: Tensor, shape: tuple[int, int], num_clients: int) -> Tensor:
    """Give features [n, *record_shape] of images of a shape [1 or G, B] the cohort's axis G."""
    return found.unflatten(0, shape).expand(num_clients, *[-1] * found.dim())
