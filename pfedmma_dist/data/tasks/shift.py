"""Label shift and feature shift: all clients know the same classes, and differ in what they see."""

import difflib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pfedmma_dist.config.keys import DataConfig, Dealing
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.partitioners import published
from pfedmma_dist.data.partitioners.deck import Deck, Rules
from pfedmma_dist.data.partitioners.partition import NOBODY, Partition
from pfedmma_dist.data.partitioners.registry import DEALERS, Dealer
from pfedmma_dist.data.partitioners.shares import follow
from pfedmma_dist.data.tasks.task import ClassSet, Scope, Task, count_clients, refuse_held_out
from pfedmma_dist.data.tasks.validation import validated


def label_shift(images: Images, cfg: DataConfig, seed: int) -> Task:
    """Deal all images to all clients, by default in Dirichlet proportions of `cfg.beta`.

    What `cfg.partition` leaves over is nobody's (pFedMMA, section 5.1, on CIFAR).
    """
    refuse_held_out(cfg)
    deal = _dealer(cfg, DEALERS, published.LABEL_SHIFT)
    rules = Rules(cfg, count_clients(images, cfg), seed)
    train_client, test_client = deal(Deck.of(images, images.train, images.test), rules)
    task = same_classes(images, train_client, test_client, rules.num_clients)

    def brought() -> Partition:
        deck = Deck.of(images, images.train, images.val)
        return Partition.group(_followed(deck, train_client, rules), images.val, rules.num_clients)

    return validated(task, cfg, seed, brought)


def feature_shift(images: Images, cfg: DataConfig, seed: int) -> Task:
    """Deal each domain's images to clients of its own, as `label_shift` deals all.

    Clients 0 to K / D - 1 belong to the first of the D domains, and so on (pFedMMA, section 5.1, on
    DomainNet). One that is held out has no clients, and its test images are a scope of their own.
    """
    if images.domains is None:
        raise ValueError(
            f"data.task: feature_shift needs images of several domains, and data.name={cfg.name} "
            "has none; choose another data set, or data.task=label_shift"
        )
    names = _with_clients(images, cfg)
    deal = _dealer(cfg, IN_DOMAIN, published.FEATURE_SHIFT)
    num_clients = count_clients(images, cfg)
    if num_clients % len(names):
        raise ValueError(
            f"data.num_clients: {num_clients} clients cannot be shared out evenly among "
            f"{len(names)} domains ({', '.join(names)}); set a multiple of {len(names)}"
        )
    share = num_clients // len(names)
    halves = (images.train, images.test, images.val)
    dealt = train_client, test_client, val_client = [np.full(len(r), NOBODY) for r in halves]
    for place, name in enumerate(names):
        domain = images.domain_names.index(name)
        train, test, val = here = [images.domains[rows] == domain for rows in halves]
        rules = Rules(cfg, share, seed, (domain,))
        parts = deal(Deck.of(images, images.train[train], images.test[test], name), rules)
        deck = Deck.of(images, images.train[train], images.val[val], name)
        for clients, mine, part in zip(
            dealt, here, (*parts, _followed(deck, parts[0], rules)), strict=True
        ):
            clients[mine] = np.where(part == NOBODY, NOBODY, place * share + part)
    client_domains = np.repeat(np.arange(len(names)), share)
    task = same_classes(images, train_client, test_client, num_clients, client_domains, names)
    task = task if cfg.held_out is None else _scored_on(task, cfg.held_out)
    return validated(task, cfg, seed, lambda: Partition.group(val_client, images.val, num_clients))


def same_classes(
    images: Images,
    train_client: np.ndarray,
    test_client: np.ndarray,
    num_clients: int,
    client_domains: np.ndarray | None = None,
    domain_names: tuple[str, ...] = (),
) -> Task:
    """Return the task of clients that all tell all classes apart.

    train_client, test_client: the client of each of images.train and images.test, or NOBODY. A
    client is scored on its own test rows (local) and on everybody's (global). client_domains: [K]
    int64, positions in domain_names.
    """
    num_classes = len(images.class_names)
    mine = train_client != NOBODY
    owned = np.sort(train_client[mine] * num_classes + images.labels[images.train[mine]])
    owned = owned[np.diff(owned, prepend=-1) > 0]  # np.unique would hash, and take far longer
    test = Partition.group(test_client, images.test, num_clients)
    return Task(
        images=images,
        class_sets={"all": ClassSet.of("all", images, np.arange(num_classes))},
        train_classes="all",
        train=Partition.group(train_client, images.train, num_clients),
        client_classes=Partition.group(owned // num_classes, owned % num_classes, num_clients),
        scopes=(
            Scope("local", "all", test, full=False),
            Scope("own", "all", test, full=False, own_classes=True),
            Scope("global", "all", images.test[test_client != NOBODY], full=True),
        ),
        client_domains=client_domains,
        domain_names=domain_names,
    )


IN_DOMAIN: dict[Dealing, Dealer] = {
    name: dealer for name, dealer in DEALERS.items() if name is not Dealing.natural
}
"""What deals the images of a domain; clients that images come with may be of several domains."""


def _followed(deck: Deck, train_client: np.ndarray, rules: Rules) -> np.ndarray:
    """Return the client of each validation image, which the deck holds as its test images.

    They go where the training images of their class went, or to the owners they come with.
    """
    if not len(deck.test):
        return np.empty(0, np.int64)
    owner = deck.test_owner
    if rules.cfg.partition is Dealing.natural and owner is not None and (owner != NOBODY).any():
        return owner
    return follow(deck, train_client, rules, "validation", everybody=False)


def _refuse_base_classes(cfg: DataConfig) -> None:
    """Say so where all classes are dealt, and base ones are to be counted."""
    if cfg.base_classes is not None:
        raise ValueError(
            f"data.base_classes: {cfg.base_classes}, and {cfg.task.value} has no base classes; set "
            "data.task=base_to_novel, or data.base_classes=null"
        )


def _dealer(
    cfg: DataConfig, own: Mapping[Dealing, Dealer], as_published: Mapping[Dealing, Dealer]
) -> Dealer:
    """Return what deals by the configured partition, in our way or in the published one."""
    _refuse_base_classes(cfg)
    dealers = as_published if cfg.compat else own
    if cfg.partition not in dealers:
        known = ", ".join(dealing.value for dealing in dealers)
        way, other = (" as published", "compat=false") if cfg.compat else ("", "task=label_shift")
        raise ValueError(
            f"data.partition: {cfg.task.value} cannot deal images by {cfg.partition.value}{way}; "
            f"choose one of {known}, or data.{other}"
        )
    return dealers[cfg.partition]


def _with_clients(images: Images, cfg: DataConfig) -> tuple[str, ...]:
    """Return the names of the domains that clients have, all but the one held out."""
    names = images.domain_names
    if cfg.held_out is not None and cfg.held_out not in names:
        near = difflib.get_close_matches(cfg.held_out, names, n=1, cutoff=0.4)
        raise ValueError(
            f"data.held_out: {cfg.held_out!r} is none of the domains of {images.place} "
            f"({', '.join(names)})" + (f"; did you mean {near[0]!r}?" if near else "")
        )
    kept = tuple(name for name in names if name != cfg.held_out)
    if not kept:
        raise ValueError(
            f"data.held_out: {cfg.held_out!r} is the only domain of {images.place}, and no client "
            "would have an image; set data.held_out=null"
        )
    return kept


def _scored_on(task: Task, domain: str) -> Task:
    """Return the task with every client scored on the test images of this domain, too."""
    images = task.images
    assert images.domains is not None
    here = images.domains[images.test] == images.domain_names.index(domain)
    if not here.any():
        raise ValueError(
            f"data.held_out: domain {domain!r} of {images.place} has no readable test image"
        )
    return replace(
        task, scopes=(*task.scopes, Scope("held_out", "all", images.test[here], full=True))
    )
