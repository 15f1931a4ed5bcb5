"""Entry: one image of a data set, by name, before it has a number."""

from enum import Enum
from pathlib import Path
from typing import NamedTuple


class Part(Enum):
    """What an image is for; `val` images are left out unless `data.validation` asks for them."""

    train = "train"
    val = "val"
    test = "test"


class Entry(NamedTuple):
    """One image, by name."""

    path: str  # relative to the image folder, with forward slashes
    name: str  # of its class, as the source spells it
    part: Part | None  # None: yet to be drawn
    domain: str = ""
    client: str = ""
    file: Path | None = None  # the list that names it
    line: int = 0  # in that list; 0: it has no lines

    @property
    def place(self) -> str:
        """Say where it is listed."""
        if self.file is None:
            return self.path
        return f"{self.file}, line {self.line}" if self.line else f"{self.file}: {self.path}"
