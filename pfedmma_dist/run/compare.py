"""Say whether a folder's saved configuration and the one asked for are the same run."""

from collections.abc import Iterator, Mapping
from typing import Any

FREE = (
    "run.folder",
    "run.device",
    "run.patience",
    "run.checkpoint_every",
    "run.keep_checkpoints",
    "clip.cache_memory",
    "clip.cache_folder",
)
"""Keys that cannot reach a result, free to change between two starts: where things are kept and how
often they are saved. run.threads and run.deterministic decide the order of a kernel's sums and are
compared; run.device is free so that a run may move, its bits being promised per type of device."""

OPEN = ("federation.first_round_all", "federation.cohort_size", "run.threads")
"""Keys whose null leaves the choice to the program, at a later start to what the run began with.
Every other null is a value: clip.pretrained=null means random weights."""


def compare(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (dotted key, saved, wanted) of each key that makes `wanted` another run than `saved`.

    Both are nested plain values (enums by name); an absent key counts as null.
    """
    left, right = dict(_leaves(saved)), dict(_leaves(wanted))
    return [
        (key, left.get(key), right.get(key))
        for key in dict.fromkeys([*left, *right])
        if key not in FREE
        and left.get(key) != right.get(key)
        and not (key in OPEN and right.get(key) is None)
    ]


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
