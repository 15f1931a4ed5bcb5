"""Halves: the words by which people call what is for training, validation and testing."""

import re
from collections.abc import Iterable

from pfedmma_dist.data.sets.entry import Part

WORDS = {
    Part.train: ("train", "training", "trainval"),
    Part.val: ("val", "valid", "validate", "validation", "dev", "eval", "evaluation"),
    Part.test: ("test", "testing"),
}
"""Names of a part, in lower case; `part_of` knows how they are dressed up."""

DRESS = ("", "set", "sets", "split", "data", "dataset", "folder", "dir")
DRESS += ("image", "images", "img", "imgs", "picture", "pictures", "photos")
"""What people put before or after such a word: train_set, test-images, img_train."""

_PART_OF = {
    spelling: part
    for part, words in WORDS.items()
    for word in words
    for dress in DRESS
    for spelling in (word + dress, dress + word)
}

_BETWEEN = re.compile(r"[\s_.\-]+")
_YEAR = re.compile(r"(19|20)\d\d$")  # train2017


def part_of(name: str) -> Part | None:
    """Return the part that a folder, or a value in a column of a list, is called after, or None.

    Case, hyphens and a year at the end do not matter: Train, TEST_SET, train-images, val2017.
    """
    return _PART_OF.get(_YEAR.sub("", _BETWEEN.sub("", name.lower())))


def parts_of(names: Iterable[str]) -> dict[Part, list[str]]:
    """Return the parts that some of these names mean, and by which of the names, in their order."""
    found: dict[Part, list[str]] = {}
    for name in names:
        part = part_of(name)
        if part is not None:
            found.setdefault(part, []).append(name)
    return found
