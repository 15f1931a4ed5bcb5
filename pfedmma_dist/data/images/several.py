"""Several: the images of several data sets as one table, with their rows one set after another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image

from pfedmma_dist.data.images.images import Images, Inspection, Store

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Stores:
    """A store whose rows are those of others, one store after another."""

    names: tuple[str, ...]  # [D] what reports call the data sets
    stores: tuple[Store, ...]  # [D]
    ends: np.ndarray  # [D] int64 row after the last of each

    @property
    def place(self) -> str:
        """Name the places of all."""
        return ", ".join(dict.fromkeys(store.place for store in self.stores))

    @property
    def span(self) -> int:
        """Say how many rows are worth opening in one call: as few as any of them asks for."""
        return min(store.span for store in self.stores)

    def open(self, rows: np.ndarray) -> list[Image.Image]:
        """Return these rows as RGB images."""
        return self._of_each(rows, lambda which, own: self.stores[which].open(own))

    def name(self, row: int) -> str:
        """Name one row."""
        return self._of_each(np.array([row]), lambda n, own: [self.stores[n].name(int(own[0]))])[0]

    def labels(self, rows: np.ndarray) -> list[str]:
        """Name these rows by their data set and within it."""

        def told(which: int, own: np.ndarray) -> list[str]:
            return [f"{self.names[which]}: {name}" for name in self.stores[which].labels(own)]

        return self._of_each(rows, told)

    def inspect(self, rows: np.ndarray) -> Inspection:
        """Look at these rows, each in its store."""
        content, unreadable = np.zeros((len(rows), 2), np.int64), []
        for which, places, own in self._parts(rows):
            found = self.stores[which].inspect(own)
            content[places] = found.content
            begin = self._begin(which)
            unreadable += [(begin + row, reason) for row, reason in found.unreadable]
        return Inspection(sorted(unreadable), content)

    def _of_each(self, rows: np.ndarray, ask: Callable[[int, np.ndarray], list[T]]) -> list[T]:
        """Return what the stores say of their parts of these rows, in the order of the rows."""
        found = np.empty(len(rows), object)
        for which, places, own in self._parts(rows):
            for place, answer in zip(places, ask(which, own), strict=True):
                found[place] = answer
        return found.tolist()

    def _parts(self, rows: np.ndarray) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """Return (store, places among these rows, rows of its own) of the stores that have some."""
        of_each = np.searchsorted(self.ends, rows, side="right")
        parts = ((n, np.flatnonzero(of_each == n)) for n in np.unique(of_each).tolist())
        return [(n, places, rows[places] - self._begin(n)) for n, places in parts]

    def apart(self, images: Images) -> list[Images]:
        """Return the images, of this store, by data set; classes keep their numbers among all."""
        found = []
        for which, store in enumerate(self.stores):
            begin, end = self._begin(which), int(self.ends[which])
            parts = (images.train, images.test, images.val)
            train, test, val = (own[(own >= begin) & (own < end)] - begin for own in parts)
            labels = images.labels[begin:end]
            found.append(Images(store, labels, images.class_names, train, test, val=val))
        return found

    def _begin(self, which: int) -> int:
        return int(self.ends[which - 1]) if which else 0


def joined_images(names: Sequence[str], sets: Sequence[Images]) -> Images:
    """Return the images of data sets of these names as one table; equal class names stay apart."""
    scalings = {own.scaling for own in sets}
    if len(scalings) > 1:
        raise ValueError(
            f"data.statistics: own normalises the images of {', '.join(names)} differently, and "
            "all of one federation are normalised alike; set data.statistics=clip"
        )
    ends = np.cumsum([len(own) for own in sets])
    begins = ends - [len(own) for own in sets]
    first_label = np.cumsum([0, *(len(own.class_names) for own in sets)])

    def rows(kind: str) -> np.ndarray:
        return np.concatenate([b + getattr(own, kind) for b, own in zip(begins, sets, strict=True)])

    labels = [first + own.labels for first, own in zip(first_label, sets, strict=False)]
    known = all(own.content is not None for own in sets)
    return Images(
        store=Stores(tuple(names), tuple(own.store for own in sets), ends),
        labels=np.concatenate(labels),
        class_names=tuple(name for own in sets for name in own.class_names),
        train=rows("train"),
        test=rows("test"),
        scaling=scalings.pop(),
        content=np.concatenate([own.content for own in sets]) if known else None,
        val=rows("val"),
    )


def by_set(images: Images) -> list[Images]:
    """Return the images of each data set, of which there may be one."""
    return images.store.apart(images) if isinstance(images.store, Stores) else [images]
