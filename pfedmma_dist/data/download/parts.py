"""Parts: the files of a published data set, what of them is missing, and how to get it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


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

    what: str
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
    """Say what belongs to a data set, what of it is missing, and how to get that."""
    lines = [f"{name} consists of the following; its page is {origin.page}."]
    for archive in origin.archives:
        missing = archive.missing(root)
        sure = f"md5 {archive.md5}" if archive.md5 else "of which no md5 sum is published"
        lines += [_line(root, place, part not in missing) for part, place in archive.moves.items()]
        lines.append(f"{'':11}in {archive.url} ({archive.size}, {sure})")
        if missing:
            lines.append(f"{'':11}--download fetches it and puts it there")
    for piece in (*origin.pieces, *([origin.split] if origin.split else [])):
        lines.append(_line(root, piece.place, piece.there(root)))
        lines.append(f"{'':11}{piece.what}; see {piece.source}")
    return "\n".join(lines)


def _line(root: Path, place: str, there: bool) -> str:
    return f"  {'there' if there else 'MISSING':<9}{root / place}"
