"""Label shift and feature shift: all clients know the same classes, and differ in what they see."""

import numpy as np

from pfedmma_dist.config import DataConfig
from pfedmma_dist.data.images import Images
from pfedmma_dist.data.partition import Partition, dirichlet
from pfedmma_dist.data.task import ClassSet, Scope, Task


def label_shift(images: Images, cfg: DataConfig, seed: int) -> Task:
    """Divide every class among all clients, in Dirichlet proportions of `cfg.beta`.

    Every training row has an owner, and every test row (pFedMMA, section 5.1, on CIFAR).
    """
    clients = _dirichlet(images, images.train, images.test, cfg.num_clients, cfg.beta, seed)
    return same_classes(images, *clients, cfg.num_clients)


def feature_shift(images: Images, cfg: DataConfig, seed: int) -> Task:
    """Divide each domain's classes among clients of its own, as `label_shift` divides all.

    Clients 0 to K / D - 1 belong to the first of the D domains, and so on (pFedMMA, section 5.1, on
    DomainNet).
    """
    num_domains = len(images.domain_names)
    if images.domains is None:
        raise ValueError(
            f"data.task: feature_shift needs images of several domains, and data.name={cfg.name} "
            "has none; choose another data set, or data.task=label_shift"
        )
    if cfg.num_clients % num_domains:
        raise ValueError(
            f"data.num_clients: {cfg.num_clients} clients cannot be shared out evenly among "
            f"{num_domains} domains ({', '.join(images.domain_names)}); set a multiple of "
            f"{num_domains}"
        )
    share = cfg.num_clients // num_domains
    train_client, test_client = np.empty_like(images.train), np.empty_like(images.test)
    for domain, name in enumerate(images.domain_names):
        train, test = (images.domains[rows] == domain for rows in (images.train, images.test))
        parts = _dirichlet(
            images, images.train[train], images.test[test], share, cfg.beta, seed, domain, of=name
        )
        train_client[train], test_client[test] = (domain * share + part for part in parts)
    client_domains = np.repeat(np.arange(num_domains), share)
    return same_classes(images, train_client, test_client, cfg.num_clients, client_domains)


def same_classes(
    images: Images,
    train_client: np.ndarray,
    test_client: np.ndarray,
    num_clients: int,
    client_domains: np.ndarray | None = None,
) -> Task:
    """Return the task of clients that all tell all classes apart.

    train_client, test_client: the client of each of images.train and images.test. A client is
    scored on its own test rows (local) and on everybody's (global). client_domains: [K] int64,
    positions in images.domain_names.
    """
    num_classes = len(images.class_names)
    owned = np.unique(train_client * num_classes + images.labels[images.train])
    test = Partition.group(test_client, images.test, num_clients)
    return Task(
        images=images,
        class_sets={"all": ClassSet.of("all", images, np.arange(num_classes))},
        train_classes="all",
        train=Partition.group(train_client, images.train, num_clients),
        client_classes=Partition.group(owned // num_classes, owned % num_classes, num_clients),
        scopes=(
            Scope("local", "all", test, full=False),
            Scope("global", "all", images.test, full=True),
        ),
        client_domains=client_domains,
        domain_names=() if client_domains is None else images.domain_names,
    )


def _dirichlet(
    images: Images,
    train: np.ndarray,
    test: np.ndarray,
    num_clients: int,
    beta: float,
    seed: int,
    *keys: int,
    of: str = "",
) -> tuple[np.ndarray, np.ndarray]:
    """Return the clients of these training and test rows, or say that there are too few rows.

    of: the domain they belong to.
    """
    for rows, kind in ((train, "training"), (test, "test")):
        if num_clients > len(rows):
            where = f"domain {of!r} of {images.place}" if of else images.place
            raise ValueError(
                f"data.num_clients: {where} has {len(rows)} readable {kind} images, too few for "
                f"one each for {num_clients} clients; set fewer clients, or add images"
            )
    labels = images.labels
    return dirichlet(labels[train], labels[test], num_clients, beta, seed, *keys)
