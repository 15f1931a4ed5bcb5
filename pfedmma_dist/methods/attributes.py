"""Attributes: texts about each class, from a file that the user gives (FedMVP)."""

import hashlib
import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.params import ParamSpec
from pfedmma_dist.reading import from_json
from pfedmma_dist.spelling import NAMED, hint, quoted

log = logging.getLogger(__name__)

KEY = "method.attributes"
EXAMPLE = 'an object such as {"cat": ["a photo of a cat, which has whiskers", "..."], ...}'


@dataclass(frozen=True)
class Attributes:
    """As many texts of each class, whatever class set it is in."""

    file: Path
    texts: dict[str, tuple[str, ...]]  # class name, as in a prompt -> its texts

    def check(self, names: Collection[str]) -> None:
        """Refuse class names without texts, and tell the classes of the file that are no such."""
        missing = [name for name in names if name not in self.texts]
        if missing:
            near = hint(missing[0], self.texts) if len(missing) == 1 else ""
            raise ValueError(
                f"{KEY}: {self.file} has no texts of {len(missing)} of {len(names)} classes: "
                f"{_some(missing)}{near}; add them, spelled as in a prompt (data.class_names "
                f"spells them otherwise), or set {KEY}=null"
            )
        more = [name for name in self.texts if name not in names]
        if more:
            words = "%s: %d classes of %s are not in this run, and not read: %s"
            log.info(words, KEY, len(more), self.file, _some(more))

    def vectors(self, text: ClassText) -> Tensor:
        """Return the unit vectors [C, a, D] of the texts of these classes."""
        return text.described(tuple(self.texts[name] for name in text.names))

    def digest(self) -> ParamSpec:
        """Return what tells one content from another, frozen: a checkpoint of another is refused.

        32 whole numbers up to 255, the sha256 of the texts in the order of their classes.
        """
        content = hashlib.sha256(repr(sorted(self.texts.items())).encode()).digest()
        numbers = torch.from_numpy(np.frombuffer(content, np.uint8).astype(np.float32))
        return ParamSpec("attributes", (len(numbers),), lambda rng, shape: numbers, frozen=True)


def read_attributes(file: Path) -> Attributes:
    """Return what a JSON file says of classes: name -> texts. ValueError where it is no such."""
    try:
        content = from_json(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{KEY}: cannot read {file}: {error.strerror}; name {EXAMPLE}") from error
    except ValueError as error:  # no UTF-8, or no JSON
        raise ValueError(f"{KEY}: {file} is no valid JSON ({error}); write {EXAMPLE}") from error
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{KEY}: {file} names no class; write {EXAMPLE}")
    for name, texts in content.items():
        is_list = isinstance(texts, list) and texts
        if not is_list or not all(isinstance(text, str) and text.strip() for text in texts):
            raise ValueError(
                f"{KEY}: {file}: {quoted(name)} is not followed by a list of texts; write {EXAMPLE}"
            )
    first, *others = content
    most = len(content[first])
    for name in others:
        if len(content[name]) != most:
            raise ValueError(
                f"{KEY}: {file}: {quoted(name)} has {len(content[name])} texts, and "
                f"{quoted(first)} has {most}; write equally many of every class"
            )
    return Attributes(file, {name: tuple(texts) for name, texts in content.items()})


def _some(names: list[str]) -> str:
    """Name the first few."""
    more = ", ..." if len(names) > NAMED else ""
    return ", ".join(map(quoted, names[:NAMED])) + more
