"""Let all ranks fail together: an error of one rank becomes the same error of every rank.

A rank that raised alone would leave the others waiting in their next collective.
"""

from __future__ import annotations

import hashlib
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
    problems = world.gather_texts(problem)
    first = next((rank for rank, text in enumerate(problems) if text), None)
    if first is None:
        return value  # type: ignore[return-value]
    where = f" (rank {first} of {world.size}, and not rank 0)" if first else ""
    raise TogetherError(f"{problems[first]}{where}")


def unlike(world: World, words: str) -> tuple[int, str, str] | None:
    """Return the first rank that says something else than rank 0 does, what that is, and what rank
    0 says, both as far as they travel; None where all say the same. Collective."""
    same, *others = world.gather_texts(hashlib.sha256(words.encode()).hexdigest())
    rank = next((rank for rank, one in enumerate(others, 1) if one != same), None)
    if rank is None:
        return None
    told = world.gather_texts(words)
    return rank, told[rank], told[0]
