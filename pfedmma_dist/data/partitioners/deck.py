"""Deck: the images that are dealt to clients, and the rules by which they are."""

from dataclasses import dataclass

import numpy as np

from pfedmma_dist import rng
from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.images.images import Images


@dataclass(frozen=True, eq=False)
class Deck:
    """Training and test images to be dealt: those of a whole data set, or of one domain."""

    train: np.ndarray  # [n] int64 labels
    test: np.ndarray  # [m] int64 labels
    place: str  # where they come from, for messages
    superclasses: np.ndarray | None = None  # [C] int64, the coarse class of each label
    train_owner: np.ndarray | None = None  # [n] int64, positions in owner_names, -1: none
    test_owner: np.ndarray | None = None  # [m] int64
    owner_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, images: Images, train: np.ndarray, test: np.ndarray, domain: str = "") -> "Deck":
        """Take these training and test rows, all of the named domain if there is a name."""
        owners = images.owners
        return cls(
            train=images.labels[train],
            test=images.labels[test],
            place=f"domain {domain!r} of {images.place}" if domain else images.place,
            superclasses=images.superclasses,
            train_owner=None if owners is None else owners[train],
            test_owner=None if owners is None else owners[test],
            owner_names=images.owner_names,
        )

    @property
    def num_classes(self) -> int:
        """Return one more than the largest label."""
        return 1 + max(int(self.train.max()), int(self.test.max()))

    def coarse(self, labels: np.ndarray) -> np.ndarray:
        """Return the superclass of each label."""
        if self.superclasses is None:
            raise ValueError(
                f"data.partition: pachinko and superclass need classes that are grouped into "
                f"superclasses, as those of cifar100 are, and those of {self.place} are not; set "
                "data.partition=dirichlet, classes or iid"
            )
        return self.superclasses[labels]

    def refuse_more_clients(self, num_clients: int) -> None:
        """Say so where there are too few images for one each."""
        for labels, kind in ((self.train, "training"), (self.test, "test")):
            if num_clients > len(labels):
                raise ValueError(
                    f"data.num_clients: {self.place} has {len(labels)} readable {kind} images, too "
                    f"few for one each for {num_clients} clients; set fewer clients, or add images"
                )


@dataclass(frozen=True)
class Rules:
    """What a dealer goes by beside the deck."""

    cfg: DataConfig
    num_clients: int
    seed: int
    keys: tuple[int, ...] = ()  # what tells this deal from others of the same seed

    def generator(self, purpose: str, *keys: int) -> np.random.Generator:
        """Return the generator of these words, one of this deal's own."""
        return rng.generator(self.seed, purpose, *self.keys, *keys)
