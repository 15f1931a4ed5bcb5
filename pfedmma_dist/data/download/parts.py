"""Parts: the files of a published data set, what of them is missing, and how to get it."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from textwrap import wrap

WIDTH = 100
"""Columns of a screen, of which a guide fills at most 24 rows."""
INDENT = 11 * " "


@dataclass(frozen=True)
class Archive:
    """A file that a program may fetch."""

    url: str
    md5: str | None  # None: none is published, and only unpacking tells whether it is whole
    size: str  # about
    moves: Mapping[str, str]  # what is in it -> place under data.root; "": the file itself
    inner: str = ""  # an archive in this one, unpacked too

    @property
    def name(self) -> str:
        """Return the name of the file."""
        return PurePosixPath(self.url).name

    def missing(self, root: Path) -> dict[str, str]:
        """Return the moves whose place is empty so far."""
        return {part: place for part, place in self.moves.items() if not (root / place).exists()}


@dataclass(frozen=True)
class Piece:
    """Something that people have to get themselves."""

    what: str  # where several of a folder have the same, it is told once for all of them
    source: str
    place: str  # under data.root
    pattern: str = ""  # of all places under data.root that do, where there are several

    def there(self, root: Path) -> bool:
        """Say whether something lies in the place."""
        return any(root.glob(self.pattern or self.place))


@dataclass(frozen=True)
class Sizes:
    """What a complete copy holds in its published split."""

    classes: int
    train: int
    test: int


@dataclass(frozen=True)
class Origin:
    """Where one data set comes from."""

    page: str  # with its description and its terms
    archives: tuple[Archive, ...] = ()
    pieces: tuple[Piece, ...] = ()
    split: Piece | None = None  # without it we draw a split of our own
    sizes: Sizes | None = None


def guide(root: Path, name: str, origin: Origin) -> str:
    """Say what belongs to a data set, what of it is missing, and how to get that: one screen."""
    lines = [f"{name} consists of the following, below {root}", f"(its page: {origin.page})"]
    for archive in origin.archives:
        missing = archive.missing(root)
        lines += _entry(
            True, [archive.moves[part] for part in archive.moves if part not in missing]
        )
        lines += _entry(False, list(missing.values()))
        sure = f"md5 {archive.md5}" if archive.md5 else "of which no md5 sum is published"
        fetch = "; --download fetches it and puts it there" if missing else ""
        lines += [f"{INDENT}{archive.url}", f"{INDENT}{archive.size}, {sure}{fetch}"]
    pieces = (*origin.pieces, *([origin.split] if origin.split else []))
    kinds = groupby(pieces, lambda piece: (piece.there(root), piece.what, piece.source))
    for (is_there, what, source), alike in kinds:
        lines += _entry(is_there, [piece.place for piece in alike])
        lines += _wrapped(f"{what}; see {source}", INDENT)
    return "\n".join(lines)


def _entry(is_there: bool, places: list[str]) -> list[str]:
    """Return the lines of places that are in the same state; those of one folder share its name."""
    lines = []
    for folder, own in groupby(map(PurePosixPath, places), lambda place: place.parent):
        names = [place.name for place in own]
        told = str(folder / names[0]) if len(names) == 1 else f"{folder}/: {', '.join(names)}"
        lines += _wrapped(told, f"  {'there' if is_there else 'MISSING':<9}")
    return lines


def _wrapped(text: str, first: str) -> list[str]:
    return wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=INDENT, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
