"""The deals of the published code (pFedMMA and its relatives), number for number: `data.compat`.

They read numpy's legacy generator and Python's, from objects of our own and not from the global
ones. An image's owner depends on the order of all images, which must be that of the published
code's arrays. Where that code would draw for ever, these raise.
"""

import random
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from pfedmma_dist.config.keys import Dealing
from pfedmma_dist.data.partitioners.classes import SHARES
from pfedmma_dist.data.partitioners.deck import Deck, Rules
from pfedmma_dist.data.partitioners.pachinko import FINE
from pfedmma_dist.data.partitioners.partition import NOBODY, by_label
from pfedmma_dist.data.partitioners.registry import Dealer

LEAST = 10
"""Images of either kind that label shift leaves every client with."""

LEAST_IN_DOMAIN = 2
"""The same of a client within its domain."""

DRAWS = 10_000
"""Divisions drawn before label shift gives up; the published code has no bound. 50,000 images of 10
classes take 3,825 for 100 clients at beta 0.1 and seed 1, and 4 or fewer for 50, or from 0.3 on."""

PACHINKO_SEED = 12345
"""Seed of the pachinko allocation; the run's seed only numbers its clients."""

DOMAIN_SEED = 0
"""Seed of the division of a domain, set anew before each class: all share one draw."""

LEGACY_SEEDS = 2**32
"""numpy's legacy generator takes seeds below."""


def dirichlet(deck: Deck, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Divide all classes in proportions p ~ Dir(beta), again until everybody has `LEAST` images."""
    stream = _stream(rules)
    enough = min(len(deck.train), len(deck.test)) >= LEAST * rules.num_clients
    for _ in range(DRAWS if enough else 0):
        dealt = _divide(deck, rules, LEAST, lambda: stream)
        if _smallest(dealt, rules) >= LEAST:
            return dealt
    raise _endless(deck, rules, LEAST)


def domain_dirichlet(deck: Deck, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Divide a domain as `dirichlet` does all images, but with the same draw for all classes.

    It is the same for all seeds, too, and a second attempt would end as the first.
    """
    deck.refuse_more_clients(rules.num_clients)
    dealt = _divide(deck, rules, LEAST_IN_DOMAIN, lambda: np.random.RandomState(DOMAIN_SEED))
    if _smallest(dealt, rules) < LEAST_IN_DOMAIN:
        raise _endless(deck, rules, LEAST_IN_DOMAIN)
    return dealt


def iid(deck: Deck, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Cut a random order into equal parts, for training and then for test images."""
    deck.refuse_more_clients(rules.num_clients)
    stream = _stream(rules)
    dealt = np.empty_like(deck.train), np.empty_like(deck.test)
    for clients in dealt:
        parts = np.array_split(stream.permutation(len(clients)), rules.num_clients)
        for client, part in enumerate(parts):
            clients[part] = client
    return dealt


def classes(deck: Deck, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Let clients draw classes among those least drawn, and take of each the next share.

    A client may draw a class twice, and shares are cut down to whole images. What is recorded of
    the published code is a case of one owner per class; with more, the shares rest on its
    description alone.
    """
    deck.refuse_more_clients(rules.num_clients)
    num_classes, each = deck.num_classes, rules.cfg.classes_per_client
    slots, rest = divmod(rules.num_clients * each, num_classes)
    if rest:
        raise ValueError(
            f"data.classes_per_client: {rules.num_clients} clients of {each} classes are no "
            f"multiple of the {num_classes} classes of {deck.place}, which the published division "
            "needs; change data.num_clients, or set data.compat=false"
        )
    stream, shuffler = _stream(rules), random.Random(rules.seed)
    drawn = [stream.uniform(*SHARES, slots) for _ in range(num_classes)]
    shares = [(own / own.sum()).tolist() for own in drawn]
    owned: list[tuple[int, int, float]] = []  # client, class, share of the class
    for client in np.repeat(np.arange(rules.num_clients), each).tolist():
        open_slots = np.array([len(own) for own in shares])
        label = int(stream.choice(np.flatnonzero(open_slots == open_slots.max())))
        owned.append((client, label, shares[label].pop()))
    dealt = np.full(len(deck.train), NOBODY), np.full(len(deck.test), NOBODY)
    for labels, clients in zip((deck.train, deck.test), dealt, strict=True):
        places: list[Any] = by_label(labels, num_classes)  # arrays: shuffle takes them, untyped
        for own in places:
            shuffler.shuffle(own)
        start = [0] * num_classes
        for client, label, share in owned:
            end = start[label] + int(len(places[label]) * share)
            clients[places[label][start[label] : end]] = client
            start[label] = end
    if _smallest(dealt[:1], rules) == 0:
        raise ValueError(
            f"data.compat: the published division leaves a client of {deck.place} without a "
            "training image; set fewer clients, or data.compat=false"
        )
    return dealt


def pachinko(deck: Deck, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Let one client after another draw its images one by one, training and test images pooled.

    What is left of N / K is nobody's.
    """
    deck.refuse_more_clients(rules.num_clients)
    labels = np.concatenate([deck.train, deck.test])
    picker, stream = random.Random(PACHINKO_SEED), np.random.RandomState(PACHINKO_SEED)
    left: dict[int, list[int]] = {label: [] for label in np.unique(labels).tolist()}
    for image in picker.sample(range(len(labels)), len(labels)):
        left[int(labels[image])].append(image)
    fine: dict[int, list[int]] = {}  # superclass -> its classes with images left
    coarse = deck.coarse(np.array(list(left)))
    for kind, label in sorted(zip(coarse.tolist(), left, strict=True)):
        fine.setdefault(kind, []).append(label)
    drawn: list[list[int]] = []
    for _ in range(rules.num_clients):
        kinds = list(fine)
        weight = stream.dirichlet([rules.cfg.beta] * len(kinds))
        weights = {kind: stream.dirichlet([FINE] * len(fine[kind])) for kind in kinds}
        drawn.append([])
        for _ in range(len(labels) // rules.num_clients):
            if not weight.sum() > 0:
                raise ValueError(
                    f"data.compat: at data.beta={rules.cfg.beta} a client of {deck.place} prefers "
                    "superclasses so strongly that the published allocation cannot go on once they "
                    "run out; set a larger data.beta, or data.compat=false"
                )
            at = int(stream.multinomial(1, weight).argmax())
            kind = kinds[at]
            column = int(stream.multinomial(1, weights[kind]).argmax())
            pile = left[fine[kind][column]]
            drawn[-1].append(picker.choice(pile))
            pile.remove(drawn[-1][-1])
            if pile:
                continue
            fine[kind].pop(column)
            weights[kind] = _without(weights[kind], column)
            if not fine[kind]:
                del fine[kind]
                kinds.pop(at)
                weight = _without(weight, at)
    random.Random(rules.seed).shuffle(drawn)
    client_of = np.full(len(labels), NOBODY)
    for client, images in enumerate(drawn):
        client_of[images] = client
    return client_of[: len(deck.train)], client_of[len(deck.train) :]


LABEL_SHIFT: dict[Dealing, Dealer] = {
    Dealing.dirichlet: dirichlet,
    Dealing.pachinko: pachinko,
    Dealing.classes: classes,
    Dealing.iid: iid,
}
FEATURE_SHIFT: dict[Dealing, Dealer] = {Dealing.dirichlet: domain_dirichlet}
"""What each experiment can do as published."""


def _stream(rules: Rules) -> np.random.RandomState:
    """Return numpy's legacy generator of the run's seed."""
    if rules.seed >= LEGACY_SEEDS:
        raise ValueError(
            f"seed: {rules.seed} is more than numpy's legacy generator takes, which data.compat "
            f"needs; set a seed below {LEGACY_SEEDS}, or data.compat=false"
        )
    return np.random.RandomState(rules.seed)


def _divide(
    deck: Deck, rules: Rules, least: int, stream_of_class: Callable[[], np.random.RandomState]
) -> tuple[np.ndarray, np.ndarray]:
    """Divide every class once; a client that holds its n / K takes no part in the next class."""
    num_clients = rules.num_clients
    dealt = np.empty_like(deck.train), np.empty_like(deck.test)
    sizes = np.zeros(num_clients, np.int64)
    both = (by_label(labels, deck.num_classes) for labels in (deck.train, deck.test))
    for places in zip(*both, strict=True):  # of the training, of the test images of a class
        stream = stream_of_class()
        for own in places:
            stream.shuffle(own)
        shares = stream.dirichlet(np.repeat(rules.cfg.beta, num_clients))
        shares *= sizes * num_clients < len(deck.train)
        if not shares.sum() > 0:  # nobody may have any, or all are too small for a float
            raise _endless(deck, rules, least)
        shares /= shares.sum()
        for own, clients in zip(places, dealt, strict=True):
            cuts = (np.cumsum(shares) * len(own)).astype(int)[:-1]
            clients[own] = np.repeat(
                np.arange(num_clients), np.diff(cuts, prepend=0, append=len(own))
            )
        sizes += np.bincount(dealt[0][places[0]], minlength=num_clients)
    return dealt


def _without(weights: np.ndarray, place: int) -> np.ndarray:
    """Return the weights without one, scaled to add up to 1 where they are not all zero."""
    rest = np.delete(weights, place)
    return rest / (rest.sum() or 1.0)


def _smallest(dealt: Iterable[np.ndarray], rules: Rules) -> int:
    """Return the fewest images that a client has of either kind."""
    return min(
        int(np.bincount(clients[clients != NOBODY], minlength=rules.num_clients).min())
        for clients in dealt
    )


def _endless(deck: Deck, rules: Rules, least: int) -> ValueError:
    """Return the error for a division that the published code would draw for ever."""
    return ValueError(
        f"data.compat: dividing {deck.place} as published would leave one of {rules.num_clients} "
        f"clients with fewer than {least} training or test images at data.beta={rules.cfg.beta}, "
        "however often it is drawn; set fewer clients, a larger data.beta, or data.compat=false"
    )
