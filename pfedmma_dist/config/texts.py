"""What every text may hold, whatever its key: one line of at most as much as a path."""

from collections.abc import Mapping, Sequence
from typing import Any

from pfedmma_dist.spelling import control_in, quoted

LONGEST_TEXT = 4096
"""Characters of one value: as many as a path may have."""


def refuse_odd_text(key: str, value: Any, where: str) -> None:
    """Refuse a value with a text in it that a batch script, a terminal or a path cannot hold.

    The texts in lists are looked at too, and the names and values of mappings. key: dotted, or
    nothing for a whole file. where: completes the message.
    """
    if isinstance(value, Mapping):
        for name, item in value.items():
            refuse_odd_text(key, name, where)
            refuse_odd_text(f"{key}.{name}".removeprefix("."), item, where)
    elif isinstance(value, str):
        _refuse(f"{key}: {quoted(value)}".removeprefix(": "), value, where)
    elif isinstance(value, Sequence):
        for item in value:
            refuse_odd_text(key, item, where)


def _refuse(name: str, text: str, where: str) -> None:
    held = control_in(text)
    if held is not None:
        raise ValueError(f"{name} holds {held}; write one line of plain text{where}")
    if len(text) > LONGEST_TEXT:
        raise ValueError(
            f"{name} has {len(text):,} characters; at most {LONGEST_TEXT:,} fit{where}"
        )
