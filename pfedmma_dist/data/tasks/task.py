"""Task: what every client trains on, and on which test sets it is scored.

An experiment is a function that turns images and a configuration into a `Task`; nothing downstream
knows which one it was. They are listed in registry.py.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pfedmma_dist.config.keys import DataConfig, Dealing
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.partitioners.natural import without_owners
from pfedmma_dist.data.partitioners.partition import Partition


@dataclass(frozen=True, eq=False)
class ClassSet:
    """Classes that compete in one softmax, in the order of its columns."""

    name: str
    names: tuple[str, ...]  # [C]
    label_of: np.ndarray  # [classes of the data set] int64 column of an image label, -1: not here
    template: str | None = None  # prompt of the fixed-text methods; None: that of the configuration

    @classmethod
    def of(cls, name: str, images: Images, labels: np.ndarray) -> "ClassSet":
        """Number these labels from 0 in their order."""
        label_of = np.full(len(images.class_names), -1, np.int64)
        label_of[labels] = np.arange(len(labels))
        return cls(name, tuple(images.class_names[label] for label in labels), label_of)


@dataclass(frozen=True, eq=False)
class Scope:
    """One set of images that every client is scored on."""

    name: str
    class_set: str
    rows: Partition | np.ndarray  # own rows of each client, or rows common to all of them
    full: bool  # scored at full evaluations only
    own_classes: bool = False  # a client chooses among the classes that it trains on alone
    num_all: int | None = None  # images that these common rows are a sample of; None: no sample
    clients: np.ndarray | None = None  # whom it is for, ascending; None: everybody

    @property
    def common(self) -> bool:
        """Say whether all clients are scored on the same rows."""
        return not isinstance(self.rows, Partition)

    @property
    def together(self) -> np.ndarray:
        """Return the rows that all clients are scored on, of a scope that is `common`."""
        assert not isinstance(self.rows, Partition)
        return self.rows

    @property
    def apart(self) -> Partition:
        """Return the rows of each client, of a scope that is not."""
        assert isinstance(self.rows, Partition)
        return self.rows

    def is_for(self, clients: np.ndarray) -> bool:
        """Say whether any of these clients is scored on it."""
        return bool(len(clients) if self.clients is None else np.isin(clients, self.clients).any())

    def rows_of(self, client: int) -> np.ndarray:
        """Return the rows that this client is scored on, ascending."""
        if isinstance(self.rows, Partition):
            return self.rows.rows(client)
        return self.rows_of_all(np.array([client]))

    def rows_of_all(self, clients: np.ndarray) -> np.ndarray:
        """Return the rows that any of these clients is scored on; those that they share once."""
        if isinstance(self.rows, Partition):
            return self.rows.rows_of_all(clients)
        return self.rows if self.is_for(clients) else self.rows[:0]


@dataclass(frozen=True, eq=False)
class Task:
    """A federation's data: rows of each client, the class sets and the test scopes.

    The scope of a client's own test images is called `local` in every task, and `own` where they
    are told apart among the classes that the client trains on; that of its own validation images,
    which a key asks for, `val`. Of several data sets there is a scope of that name for the clients
    of each, whose domains these sets are.
    """

    images: Images
    class_sets: dict[str, ClassSet]
    train_classes: str  # class set of all classes that are trained
    train: Partition  # training rows of each client, ascending
    client_classes: Partition  # image labels each client trains on, ascending
    scopes: tuple[Scope, ...]
    client_domains: np.ndarray | None = None  # [K] int64, positions in domain_names
    domain_names: tuple[str, ...] = ()  # empty where a client's images are not of one domain
    softmaxes: tuple[str, ...] = ()
    """Class set of the training softmax by domain, where these are data sets; else all clients have
    that of train_classes."""

    @property
    def num_clients(self) -> int:
        return self.train.num_clients

    @property
    def domains(self) -> dict[str, np.ndarray]:
        """Return the clients of each domain, in the order of domain_names."""
        return {
            name: np.flatnonzero(self.client_domains == domain)
            for domain, name in enumerate(self.domain_names)
        }

    def by_set(self, clients: np.ndarray) -> list[np.ndarray]:
        """Return these clients by data set, in their order."""
        if not self.softmaxes:
            return [clients]
        assert self.client_domains is not None
        of_each = self.client_domains[clients]
        return [clients[of_each == each] for each in np.unique(of_each)]

    def softmax_of(self, clients: np.ndarray) -> str:
        """Return the class set of the training softmax of clients of one data set."""
        if not self.softmaxes:
            return self.train_classes
        assert self.client_domains is not None
        [of_all] = np.unique(self.client_domains[clients])
        return self.softmaxes[of_all]

    def scope_of(self, name: str, client: int) -> Scope:
        """Return the scope of a name that a client is scored on."""
        [found] = (s for s in self.scopes if s.name == name and s.is_for(np.array([client])))
        return found

    def trained_columns(self, rows: np.ndarray) -> np.ndarray:
        """Return the column of each row in the training softmax of its data set, int64."""
        columns = self._column_of[self.images.labels[rows]]
        assert (columns >= 0).all()
        return columns

    @cached_property
    def _column_of(self) -> np.ndarray:
        """Column [classes] int64 of each image label in the training softmax of its data set."""
        sets = self.softmaxes or (self.train_classes,)
        return np.max([self.class_sets[name].label_of for name in sets], axis=0)

    def own_columns(self, class_set: str, clients: np.ndarray) -> np.ndarray:
        """Return which columns [G, C] bool of a softmax are classes that clients train on."""
        label_of = self.class_sets[class_set].label_of
        found = np.zeros((len(clients), len(self.class_sets[class_set].names)), bool)
        columns = label_of[self.client_classes.rows_of_all(clients)]
        places = np.repeat(np.arange(len(clients)), self.client_classes.sizes(clients))
        found[places[columns >= 0], columns[columns >= 0]] = True
        return found

    def labels(self, class_set: str, rows: np.ndarray) -> np.ndarray:
        """Return the softmax column of each row in a class set, int64."""
        columns = self.class_sets[class_set].label_of[self.images.labels[rows]]
        assert (columns >= 0).all()
        return columns


def count_clients(images: Images, cfg: DataConfig) -> int:
    """Return the configured number of clients, or that which the images come with."""
    if cfg.num_clients is not None:
        return cfg.num_clients
    if not images.owner_names and cfg.partition is Dealing.natural:
        raise without_owners(images.place)
    if not images.owner_names:
        raise ValueError(
            f"data.num_clients: null means as many as the images come with, and {images.place} "
            "comes with none; set a number"
        )
    return len(images.owner_names)


def refuse_held_out(cfg: DataConfig) -> None:
    """Say so where a domain is to be held out of an experiment that knows no domains."""
    if cfg.held_out is not None:
        raise ValueError(
            f"data.held_out: {cfg.held_out!r} can be held out where clients belong to domains; set "
            "data.task=feature_shift, or data.held_out=null"
        )
