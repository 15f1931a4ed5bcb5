"""Say whether a folder's saved configuration and the one asked for are the same run."""

from collections.abc import Iterator, Mapping
from typing import Any

FREE = (
    "run.folder",
    "run.device",
    "run.checkpoint_every",
    "run.keep_checkpoints",
    "clip.cache_memory",
    "clip.cache_folder",
)
"""Keys that cannot reach a result, free to change between two starts: where things are kept and how
often they are saved. run.threads and run.deterministic decide the order of a kernel's sums and are
compared; run.device is free so that a run may move, its bits being promised per type of device."""

NULL_IS_A_VALUE = ("clip.pretrained",)
"""Keys whose null is a choice (random weights) and not "decide for me"."""


def compare(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (dotted key, saved, wanted) of each key that makes `wanted` another run than `saved`.

    Both are nested plain values (enums by name). A wanted null leaves the choice to the program and
    so adopts what was chosen at the first start; an absent key counts as null.
    """
    left, right = dict(_leaves(saved)), dict(_leaves(wanted))
    return [
        (key, left.get(key), right.get(key))
        for key in dict.fromkeys([*left, *right])
        if key not in FREE and not _adopts(key, right.get(key)) and left.get(key) != right.get(key)
    ]


def adopt(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return `wanted` with the nulls that `compare` lets pass filled from `saved`."""
    return _adopt(saved, wanted, "")


def _adopt(saved: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    result = dict(wanted)
    for name, value in saved.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            result[name] = _adopt(value, wanted.get(name) or {}, f"{key}.")
        elif _adopts(key, wanted.get(name)) and key not in FREE:
            result[name] = value
    return result


def _adopts(key: str, wanted: Any) -> bool:
    return wanted is None and key not in NULL_IS_A_VALUE


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
