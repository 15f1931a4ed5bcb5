"""Halves: the words by which people call what is for training, validation and testing."""

import re
import unicodedata
from collections.abc import Callable, Iterable

from pfedmma_dist.data.sets.entry import Part

WORDS = {
    Part.train: ("train", "training", "trainval"),
    Part.val: ("val", "valid", "validate", "validation", "dev", "eval", "evaluation"),
    Part.test: ("test", "testing"),
}
"""Names of a part, in lower case; `part_of` knows how they are dressed up."""

DRESS = (
    *("", "set", "sets", "split", "data", "dataset", "folder", "dir"),
    *("image", "images", "img", "imgs", "picture", "pictures", "photos"),
)
"""What people put before or after such a word: train_set, test-images, img_train."""

HINTS = {
    **{word: part for part, words in WORDS.items() for word in words},
    **dict.fromkeys(("tr", "trn"), Part.train),
    **dict.fromkeys(("te", "tst", "holdout", "heldout"), Part.test),
}
"""Words that make a name look like that of a part, wherever they stand in it; `hint_of`."""

_PART_OF = {
    spelling: part
    for part, words in WORDS.items()
    for word in words
    for dress in DRESS
    for spelling in (word + dress, dress + word)
}

_BETWEEN = re.compile(r"[\s_.\-]+")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_YEAR = re.compile(r"(19|20)\d\d$")  # train2017


def part_of(name: str) -> Part | None:
    """Return the part that a folder, or a value in a column of a list, is called after, or None.

    Case, width, hyphens and a year at the end do not matter: Train, TEST_SET, val2017.
    """
    plain = unicodedata.normalize("NFKC", name).lower()
    return _PART_OF.get(_YEAR.sub("", _BETWEEN.sub("", plain)))


def hint_of(name: str) -> Part | None:
    """Return the part that a folder may be meant for, as train_v2, testA and 1_val are, or None."""
    words = _WORD.findall(unicodedata.normalize("NFKC", name))
    found = (HINTS[word.lower()] for word in words if word.lower() in HINTS)
    return part_of(name) or next(found, None)


def parts_of(
    names: Iterable[str], told_by: Callable[[str], Part | None] = part_of
) -> dict[Part, list[str]]:
    """Return the parts that some of these names mean, and by which of the names, in their order."""
    found: dict[Part, list[str]] = {}
    for name in names:
        part = told_by(name)
        if part is not None:
            found.setdefault(part, []).append(name)
    return found
