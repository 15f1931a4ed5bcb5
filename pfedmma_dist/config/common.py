"""Common: what all ranks of one start must be given alike, or they would not meet."""

from collections.abc import Iterator

from pfedmma_dist.config.identity import defaults, flat, meaning
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.meaning import Role
from pfedmma_dist.config.merge import Methods, shown

TOGETHER = ("run.checkpoint_every", "run.keep_checkpoints", "run.pause_after")
"""Keys of where and with what a run works that its ranks act on together."""

NAMED = 6
"""Differing keys that a message names."""


def common(config: Config, methods: Methods) -> str:
    """Return what departs from the defaults in the keys that ranks must share, a line each.

    Places, memory, devices and threads are a host's own; what lies at a place is compared itself.
    """
    usual = defaults(config.method["name"], methods, config.server.rule)
    return "\n".join(
        f"{key}={shown(value)}"
        for key, value in sorted(flat(config).items())
        if value != usual.get(key) and _is_shared(key)
    )


def differing(theirs: str, ours: str, rank: int) -> str:
    """Say in which keys lines of a rank differ from those of rank 0, ours."""
    found = list(_differing(dict(_pairs(theirs)), dict(_pairs(ours)), rank))
    more = [f"{len(found) - NAMED} more keys"] if len(found) > NAMED else []
    return "; ".join(found[:NAMED] + more)


def _differing(theirs: dict[str, str], ours: dict[str, str], rank: int) -> Iterator[str]:
    for key in dict.fromkeys([*theirs, *ours]):
        one, other = (each.get(key, "the default") for each in (theirs, ours))
        if one != other:
            yield f"{key}: {one} on rank {rank}, {other} on rank 0"


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split("\n"):
        key, _, value = line.partition("=")
        if key:
            yield key, value


def _is_shared(key: str) -> bool:
    told = meaning(key)
    return key in TOGETHER or (told.role is not Role.RESOURCE and not told.by_content)
