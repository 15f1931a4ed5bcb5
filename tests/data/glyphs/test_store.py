"""Glyph images: which glyph a row is, and when features of it may be used again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.glyphs import glyphs
from pfedmma_dist.data.glyphs.store import GlyphStore
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets.registry import read

STORE = GlyphStore(seed=3, difficulty=0.4, gap=0.5, train_per_class=7, test_per_class=2)
FIRST_TEST = 700
ROWS = np.array([8, 701, 0, 699, 700, 6, 899])


@pytest.fixture
def images() -> Images:
    """Return seven training and two test images of each class, under a root that is not there."""
    sizes = {"train_per_class": 7, "test_per_class": 2, "style_gap": 0.5}
    return read(DataConfig(name="glyphs", root="nowhere", **sizes), 3, Path("nowhere"))


def pixels(store: GlyphStore, *rows: int) -> np.ndarray:
    return np.stack(store.open(np.array(rows)))


def test_configuration_and_seed_make_the_store(images):
    assert images.store == STORE


def test_classes_of_a_pattern_are_a_superclass(images):
    pairs = zip(images.superclasses, images.class_names, strict=True)
    assert len({(coarse, name.split()[0]) for coarse, name in pairs}) == 10
    assert np.bincount(images.superclasses).tolist() == [10] * 10


def test_rows_run_through_the_classes_training_rows_first(images):
    assert (len(images), images.train.tolist(), images.test.tolist()) == (
        900,
        list(range(700)),
        list(range(700, 900)),
    )
    assert images.class_names == glyphs.CLASS_NAMES
    assert images.labels.tolist() == np.repeat(np.arange(100), 7).tolist() + [
        label for label in range(100) for _ in range(2)
    ]


def test_domains_take_turns_within_a_class(images):
    assert images.domain_names == glyphs.DOMAINS
    assert images.domains[:14].tolist() == [0, 1, 2, 3, 4, 5, 0] * 2
    assert images.domains[FIRST_TEST : FIRST_TEST + 4].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    "row, split, label, index", [(0, "train", 0, 0), (699, "train", 99, 6), (703, "test", 1, 1)]
)
def test_row_is_the_glyph_of_its_split_class_and_index(row, split, label, index):
    combo, domain, own = glyphs.CLASSES[[label]], np.array([index % 6]), np.array([index])
    expected, _ = glyphs.draw(3, split, combo, domain, own, 0.4, 0.5)
    assert np.array_equal(pixels(STORE, row), expected)


def test_row_looks_the_same_in_any_company_and_order():
    together = pixels(STORE, *ROWS)
    assert np.array_equal(together, np.concatenate([pixels(STORE, row) for row in ROWS]))
    assert np.array_equal(together[::-1], pixels(STORE, *ROWS[::-1]))


def test_more_images_leave_those_that_were_there_as_they_were():
    more = replace(STORE, train_per_class=9)
    assert np.array_equal(pixels(STORE, 0, 6, 7), pixels(more, 0, 6, 9))
    assert np.array_equal(pixels(STORE, 701), pixels(more, 901))


@pytest.mark.parametrize("change", [{"seed": 4}, {"difficulty": 0.5}, {"gap": 0.6}], ids=str)
def test_content_changes_with_what_is_drawn(change):
    other = replace(STORE, **change).inspect(ROWS).content
    assert (other != STORE.inspect(ROWS).content).any(axis=1).all()


def test_content_follows_the_row_and_the_renderer(monkeypatch):
    before = STORE.inspect(ROWS).content
    assert len(np.unique(before, axis=0)) == len(ROWS)
    assert np.array_equal(STORE.inspect(ROWS[::-1]).content, before[::-1])
    monkeypatch.setattr(glyphs, "VERSION", glyphs.VERSION + 1)
    assert (STORE.inspect(ROWS).content != before).any(axis=1).all()


def test_more_images_leave_the_content_of_those_that_were_there():
    more = replace(STORE, train_per_class=9)
    assert np.array_equal(STORE.inspect(np.array([6])).content, more.inspect(np.array([6])).content)


def test_content_tells_training_images_from_test_images():
    store = replace(STORE, test_per_class=7)
    train, test = (store.inspect(np.arange(9) + first).content for first in (0, FIRST_TEST))
    assert not (train == test).any()


def test_nothing_is_drawn_to_list_or_inspect(images, monkeypatch):
    monkeypatch.delattr(glyphs, "draw")
    rows = np.arange(len(images))
    found = images.store.inspect(rows)
    assert found.unreadable == []
    assert found.content.shape == (len(rows), 2)


def test_row_is_named_by_seed_split_index_and_class():
    name = glyphs.CLASS_NAMES[1]
    assert STORE.name(8) == f"glyph of seed 3: training image 1 of {name!r}"
    assert STORE.name(703) == f"glyph of seed 3: test image 1 of {name!r}"


def test_place_names_the_keys_that_give_more_images():
    assert "data.train_per_class=7, data.test_per_class=2" in STORE.place
