"""Images of several data sets as one table, each row as it is in its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pfedmma_dist.data.images.arrays import Arrays
from pfedmma_dist.data.images.images import Images, Scaling
from pfedmma_dist.data.images.several import by_set, joined_images


def made(name: str, count: int, names: tuple[str, ...]) -> Images:
    pixels = np.random.default_rng(count).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    labels, rows = np.arange(count) % len(names), np.arange(count)
    return Images(Arrays(Path(name), pixels), labels, names, rows[:-2], rows[-2:])


SETS = [made("one", 5, ("cat", "dog")), made("two", 4, ("cat", "eel", "fox"))]


def test_rows_and_labels_of_a_set_stand_behind_those_before_it() -> None:
    images = joined_images(["one", "two"], SETS)
    assert images.class_names == ("cat", "dog", "cat", "eel", "fox")
    assert images.labels.tolist() == [0, 1, 0, 1, 0, 2, 3, 4, 2]
    assert (images.train.tolist(), images.test.tolist()) == ([0, 1, 2, 5, 6], [3, 4, 7, 8])


def test_images_of_each_set_can_be_had_again() -> None:
    for own, found in zip(SETS, by_set(joined_images(["one", "two"], SETS)), strict=True):
        assert found.store is own.store
        assert np.array_equal(found.train, own.train) and np.array_equal(found.test, own.test)
        names = [found.class_names[label] for label in found.labels]
        assert names == [own.class_names[label] for label in own.labels]
    assert by_set(SETS[0]) == SETS[:1]


def test_row_is_opened_named_and_digested_as_in_its_own_store_in_any_order() -> None:
    store, rows = joined_images(["one", "two"], SETS).store, np.array([8, 0, 5, 4])
    own = [(SETS[1], 3), (SETS[0], 0), (SETS[1], 0), (SETS[0], 4)]
    wanted = [images.store.pixels[row] for images, row in own]
    assert all(map(np.array_equal, map(np.asarray, store.open(rows)), wanted))
    assert store.labels(rows) == ["two: image 3", "one: image 0", "two: image 0", "one: image 4"]
    assert store.name(8) == "image 3 of two" and store.place == "one, two" and store.span == 32
    found = store.inspect(rows)
    digests = [images.store.inspect(np.array([row])).content[0] for images, row in own]
    assert found.unreadable == [] and np.array_equal(found.content, digests)


def test_broken_image_has_its_number_among_all() -> None:
    store = joined_images(["one", "two"], SETS).store
    broken = [(1, "torn")]
    replaced = replace(store, stores=(store.stores[0], Broken(store.stores[1], broken)))
    assert replaced.inspect(np.array([6, 0])).unreadable == [(6, "torn")]


class Broken:
    """A store some of whose rows cannot be read."""

    def __init__(self, store: Arrays, broken: list[tuple[int, str]]) -> None:
        self.store, self.broken = store, broken

    def inspect(self, rows: np.ndarray):
        return replace(self.store.inspect(rows), unreadable=self.broken)


def test_sets_that_are_normalised_differently_are_refused() -> None:
    own = replace(SETS[1], scaling=Scaling((0.5,) * 3, (0.5,) * 3))
    with pytest.raises(ValueError, match="data.statistics: own .* set data.statistics=clip"):
        joined_images(["one", "two"], [SETS[0], own])
