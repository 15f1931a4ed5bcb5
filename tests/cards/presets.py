"""Presets of methods, and the rows of sweeps that run them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pfedmma_dist.config.command_line import resolve_method
from pfedmma_dist.config.documents import read_yaml
from pfedmma_dist.methods import METHODS

ROOT = Path(__file__).parents[2]
PUBLISHED = ("_paper", "_released")
"""Ends of the names of presets that hold a published recipe."""
GLYPHS = "glyphs"
"""The folder of presets for the weights of that name."""
NUM_CLASSES, NUM_IMAGES = 50, 80
"""What is counted: the softmax, and a client's images, of the table in docs/method-table.md."""


@dataclass(frozen=True)
class Preset:
    """One YAML file of configs/method."""

    path: str  # from the root of the project
    comment: str  # the lines on top, joined
    body: str
    method: str
    options: Any

    @property
    def stem(self) -> str:
        """Its name."""
        return Path(self.path).stem

    @property
    def is_published(self) -> bool:
        """Whether it holds a published recipe."""
        return self.stem.endswith(PUBLISHED)

    @property
    def is_for_glyphs(self) -> bool:
        """Whether it is for the mini-CLIP."""
        return Path(self.path).parent.name == GLYPHS

    @property
    def called(self) -> str:
        """The name of what it reproduces: the first word of its comment."""
        return re.split(r"'s\b|[ :,]", self.comment, maxsplit=1)[0]


@cache
def presets() -> tuple[Preset, ...]:
    """Return all presets, sorted by path."""
    return tuple(map(_read, sorted((ROOT / "configs" / "method").rglob("*.yaml"))))


def presets_of(method: str) -> list[Preset]:
    """Return the presets of a method, its own first."""
    found = [preset for preset in presets() if preset.method == method]
    return sorted(found, key=lambda preset: (preset.stem != method, preset.is_for_glyphs))


def _read(path: Path) -> Preset:
    lines = path.read_text(encoding="utf-8").splitlines()
    num_comments = next(i for i, line in enumerate(lines) if not line.startswith("#"))
    comment = " ".join(line.removeprefix("#").strip() for line in lines[:num_comments])
    section = read_yaml(path)["method"]
    name, options = resolve_method(section, METHODS)
    body = "\n".join(lines[num_comments:])
    return Preset(path.relative_to(ROOT).as_posix(), comment, body, name, options)


@dataclass(frozen=True)
class SweepRow:
    """One row of a sweep file: a preset of a method, and what the row changes of it."""

    sweep: str
    label: str
    data: str  # path of the preset of data, or nothing
    preset: str  # path
    others: tuple[str, ...]  # words but the presets


@cache
def sweep_rows() -> tuple[SweepRow, ...]:
    """Return the rows of all sweeps that name a preset of a method."""
    return tuple(_rows())


def _rows() -> Iterator[SweepRow]:
    for path in sorted((ROOT / "configs" / "sweep").glob("*.yaml")):
        for label, words in read_yaml(path).get("rows", {}).items():
            paths = [word for word in words if word.startswith("configs/method/")]
            others = tuple(word for word in words if not word.startswith("configs/"))
            data = next((word for word in words if word.startswith("configs/data/")), "")
            for preset in paths[-1:]:
                yield SweepRow(path.stem, str(label), data, preset, others)
