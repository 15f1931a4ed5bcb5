"""Images: what a data set consists of, known without opening one image."""

import hashlib
import logging
import struct
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from PIL import Image

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inspection:
    """What looking at images to their last byte has found."""

    unreadable: list[tuple[int, str]]  # (row, reason) of those that `open` would refuse
    content: np.ndarray  # [n, 2] int64, a digest of what each image is decoded from


class Store(Protocol):
    """Where the pixels of numbered rows come from: files, or something that draws or keeps them."""

    @property
    def place(self) -> str:
        """Name the whole store, for messages."""
        ...

    @property
    def span(self) -> int:
        """Say how many rows are worth opening in one call; other numbers work too."""
        ...

    def open(self, rows: np.ndarray) -> list[Image.Image]:
        """Return these rows as RGB images; a row looks the same whatever it is opened with.

        A row that cannot be opened raises ValueError.
        """
        ...

    def name(self, row: int) -> str:
        """Name one row, for messages."""
        ...

    def labels(self, rows: np.ndarray) -> list[str]:
        """Name these rows within the store, the same wherever the store lies."""
        ...

    def inspect(self, rows: np.ndarray) -> Inspection:
        """Look at these rows as closely as `open` does, and digest what they are made of.

        What cannot be opened has a digest of zeros. Two rows of one digest open alike.
        """
        ...


@dataclass(frozen=True)
class Scaling:
    """What normalises pixels, in place of CLIP's own numbers."""

    mean: tuple[float, ...]  # of values in 0..1, for each channel
    std: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Images:
    """A data set as a table over a store. Rows in none of its parts are never opened."""

    store: Store
    labels: np.ndarray  # [N] int64, positions in class_names
    class_names: tuple[str, ...]  # as they stand in a prompt
    train: np.ndarray  # [n] int64 rows, ascending
    test: np.ndarray  # [m] int64 rows, ascending
    domains: np.ndarray | None = None  # [N] int64, positions in domain_names
    domain_names: tuple[str, ...] = ()  # empty where images are not told apart by domain
    owners: np.ndarray | None = None  # [N] int64, positions in owner_names: natural clients
    owner_names: tuple[str, ...] = ()  # empty where images do not come with a client
    superclasses: np.ndarray | None = None  # [C] int64, the coarse class of each class
    scaling: Scaling | None = None  # None: CLIP's
    fixed_shots: bool = False  # the published code draws them by a seed of its own
    content: np.ndarray | None = None  # [N, 2] int64 digests, zeros where not inspected yet
    val: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    # [v] int64 rows that the set itself brings for validation, where that is asked for

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def parts(self) -> dict[str, np.ndarray]:
        """Return the rows of each part, those for validation where there are any."""
        named = {"training": self.train, "test": self.test, "validation": self.val}
        return {name: rows for name, rows in named.items() if len(rows) or name != "validation"}

    @property
    def rows(self) -> np.ndarray:
        """Return the rows of all parts, ascending."""
        return np.sort(np.concatenate(list(self.parts.values())))

    @property
    def place(self) -> str:
        """Name where the images come from, for messages."""
        return self.store.place

    def identity(self, rows: np.ndarray) -> str:
        """Return a hex digest of the content of these inspected rows, in their order."""
        assert self.content is not None
        return hashlib.sha256(np.ascontiguousarray(self.content[rows]).tobytes()).hexdigest()


def short_digest(content: bytes) -> tuple[int, int]:
    """Return the first 16 bytes of a sha256 as two int64, which may travel between ranks."""
    return struct.unpack("<qq", hashlib.sha256(content).digest()[:16])


def without(images: Images, rows: np.ndarray) -> Images:
    """Return the images with these rows in no part.

    Rows keep their numbers, so augmentations drawn by row do not move when a file breaks. Classes
    that lose their last image of a half are named: they stay among the classes.
    """
    train, test, val = (own[~np.isin(own, rows)] for own in (images.train, images.test, images.val))
    for kind, before, after in (("training", images.train, train), ("test", images.test, test)):
        lost = np.setdiff1d(images.labels[before], images.labels[after])
        if len(lost):
            log.warning(
                "data.skip_corrupt: no readable %s image is left of %d of %d classes, the first is "
                "%r; mend its images, or leave the class out with data.classes",
                kind, len(lost), len(images.class_names), images.class_names[lost[0]],
            )  # fmt: skip
    return replace(images, train=train, test=test, val=val)
