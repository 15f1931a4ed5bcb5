"""Let all ranks fail together: an error of one rank becomes the same error of every rank.

A rank that raised alone would leave the others waiting in their next collective.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # who only reads runs does without torch
    from pfedmma_dist.world import World

T = TypeVar("T")


class TogetherError(ValueError):
    """Carry what went wrong on whichever rank; the same text on all of them, rank 0's to tell."""


def together(world: World, action: Callable[[], T], *errors: type[Exception]) -> T:
    """Return this rank's `action()`; one of `errors` on any rank raises TogetherError on all."""
    problem, value = "", None
    try:
        value = action()
    except errors as error:
        problem = str(error) or type(error).__name__
    problems = [text for text in world.gather_texts(problem) if text]
    if problems:
        raise TogetherError(problems[0])
    return value  # type: ignore[return-value]
