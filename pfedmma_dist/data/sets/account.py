"""Account: every file below an image folder, read or left out, and why."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from pfedmma_dist.spelling import shortened, spelled_path

VAL = "for validation, as the list or split says"
VAL_HALF = "in the validation half"
CLASS = "of a class that data.classes leaves out"
SKIPPED = "of a class that this data set is used without"
BESIDE = "beside the folders of training and test images"
"""What readers say about what they leave out."""

UNREADABLE = "unreadable, left out by data.skip_corrupt=true"
SYSTEM = "of the system"
HIDDEN = "hidden by a dot before their name"
NESTED = "in folders inside class folders"
OUTSIDE = "outside the class folders"
UNLISTED = "not in the list"
DEAD = "links that lead nowhere"
LOOP = "links back to a folder above them"
SPECIAL = "pipes, sockets or devices"
PLAIN = "of other kinds by their suffix"

EXPECTED = frozenset({VAL, VAL_HALF, CLASS, SKIPPED, SYSTEM, HIDDEN, UNLISTED, PLAIN})
"""Reasons at which nobody is surprised."""

CONVERT = "convert them to JPEG or PNG"
REMEDIES = {
    f"Pillow needs the plugin pillow-heif for these: install it and {CONVERT}": (
        ".heic .heif .heics .heifs .hif"
    ),
    f"Pillow needs the plugin pillow-jxl-plugin for these: install it and {CONVERT}": ".jxl",
    f"install Pillow 11.3 or newer, or {CONVERT}": ".avif",
    "unpack them": ".zip .tar .gz .tgz .bz2 .xz .7z .rar .zst",
    CONVERT: (
        ".avifs .bpg .cr2 .cr3 .crw .cur .dcm .dds .dib .dicom .dng .emf .eps .exr .fits .hdr .icns"
        " .ico .j2c .j2k .jp2 .jpc .jpf .jpx .jxr .arw .mpo .nef .npy .npz .orf .pcx .pdf .pef .pfm"
        " .psd .qoi .raf .ras .raw .rw2 .sgi .srw .svg .svgz .tga .wmf .xbm .xcf .xpm"
    ),
    "take images out of them": ".avi .m4v .mkv .mov .mp4 .mpeg .mpg .webm .wmv",
}
PICTURES = {suffix: remedy for remedy, own in REMEDIES.items() for suffix in own.split()}
"""Suffixes of pictures that no decoder of ours reads -> remedy."""

ABOVE = "data.nested=true reads them as images of the class folder above them"

SHOWN = 8
"""Kinds that are listed one by one where there are many."""

LONGEST = 120
"""Characters of a path that a line shows."""


@dataclass
class Left:
    """Files that are left out for one reason."""

    why: str
    count: int = 0
    first: str = ""  # path of one of them
    remedy: str = ""
    kinds: Counter[str] = field(default_factory=Counter)  # suffix or name -> how many

    @property
    def is_expected(self) -> bool:
        """Say whether nobody is surprised."""
        return self.why in EXPECTED and not self.remedy

    def words(self) -> str:
        """Return count, reason, example and remedy on one line."""
        why = self.why
        if self.kinds:
            ordered = sorted(self.kinds.items(), key=lambda item: (-item[1], item[0]))
            most = [f"{_shown(kind)} {count:,}" for kind, count in ordered[:SHOWN]]
            more = len(self.kinds) - len(most)
            why += f" ({', '.join(most)}{f' and {more} more' if more > 0 else ''})"
        first = "" if self.is_expected and self.why != UNLISTED else f", as {_shown(self.first)}"
        return f"{self.count:,} {why}{first}{f': {self.remedy}' if self.remedy else ''}"


@dataclass
class Account:
    """Every file below one folder: `found` is the sum of all parts and of what is left out."""

    folder: str
    parts: Mapping[str, int]  # what images are read for -> how many
    left: dict[str, Left] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)  # folders
    closed: dict[str, str] = field(default_factory=dict)  # folder not looked into -> why
    whole: bool = True  # False: the time was up

    @property
    def read(self) -> int:
        """Return how many files are images of the data set."""
        return sum(self.parts.values())

    @property
    def found(self) -> int:
        """Return how many files there are."""
        return self.read + sum(item.count for item in self.left.values())

    @property
    def reasons(self) -> list[Left]:
        """Return what is left out, surprises first."""
        return sorted(self.left.values(), key=lambda item: (item.is_expected, -item.count))

    @property
    def is_quiet(self) -> bool:
        """Say whether there is nothing that a user would want to know at once."""
        return self.whole and not self.closed and all(item.is_expected for item in self.reasons)

    def head(self) -> str:
        """Return the numbers."""
        found = f"{self.found:,}" if self.whole else f"at least {self.found:,}"
        out = self.found - self.read
        parts = ", ".join(f"{count:,} for {what}" for what, count in self.parts.items())
        return (
            f"files below {_shown(self.folder)}: {found} found, {self.read:,} read ({parts}), "
            f"{f'{out:,}' if out else 'none'} left out"
        )

    def line(self) -> str:
        """Return all of it on one line."""
        more = "" if self.whole else "; it was not looked at to the end, prepare does that"
        told = "; ".join(self.lines())
        return f"{self.head()}{f': {told}' if told else ''}{more}"

    def lines(self) -> list[str]:
        """Return a line for each reason."""
        lines = [item.words() for item in self.reasons]
        if self.empty:
            kinds = "empty folder" if len(self.empty) == 1 else "empty folders"
            lines.append(f"{len(self.empty):,} {kinds}, as {_shown(self.empty[0])}")
        for folder, why in list(self.closed.items())[:SHOWN]:
            lines.append(f"not looked into: {_shown(folder)}, {why}")
        if len(self.closed) > SHOWN:
            lines.append(f"not looked into: {len(self.closed) - SHOWN:,} more folders")
        return lines

    def add(self, path: str, why: str, remedy: str = "", kind: str = "") -> None:
        """Count a file that is left out; `remedy` of the first of its reason stays."""
        item = self.left.get(why)
        if item is None:
            item = self.left[why] = Left(why, 0, path, remedy)
        item.count += 1
        item.first = min(item.first, path)  # whatever the order in which a disk lists them
        if kind:
            item.kinds[kind] += 1


def _shown(path: str) -> str:
    return shortened(spelled_path(path), LONGEST)
