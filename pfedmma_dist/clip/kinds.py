"""Kinds: one kind of image features or several, and features in the same form."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from torch import Tensor

from pfedmma_dist.clip.model import ImageFeatures

Kinds = ImageFeatures | tuple[ImageFeatures, ...]
"""What is read of an image."""

Read = Tensor | tuple[Tensor, ...]
"""The features of one kind, or a tuple of those of each kind in their order."""


T = TypeVar("T")


def listed(things: T | tuple[T, ...]) -> tuple[T, ...]:
    """Return kinds, or features, as a tuple also where there is one."""
    return things if isinstance(things, tuple) else (things,)


def shaped(kinds: Kinds, found: Sequence[Tensor]) -> Read:
    """Return the features found of `listed` kinds in the form in which the kinds stand."""
    return tuple(found) if isinstance(kinds, tuple) else found[0]


def mapped(features: Read, change: Callable[[Tensor], Tensor]) -> Read:
    """Apply a function to the features of every kind."""
    return tuple(map(change, features)) if isinstance(features, tuple) else change(features)
