"""Spell text as a terminal, a list of lines and a batch script can hold it."""

import os
import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from pathlib import Path

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, line breaks, and bytes that are no UTF-8, as Python reads them: what they do
to a terminal, a batch script or a CSV file is never what the name of something should do."""

BYTES = re.compile("[\udc80-\udcff]")
"""What Python makes of single bytes that are no UTF-8."""

LONGEST = 80
"""Characters of a value that a message shows."""

NAMED = 3
"""Values of a list that a message shows."""


def spelled(message: str) -> str:
    """Return a message for people with its control characters written out, line breaks left."""
    return CONTROL.sub(lambda found: found[0] if found[0] == "\n" else _written(found[0]), message)


def spelled_path(path: str | Path) -> str:
    """Return a path, which may hold any byte, on one line: `caf\\xe9` for what is no UTF-8."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return CONTROL.sub(lambda found: _written(found[0]), text)


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that `name` may have meant, best first, at most three.

    One of a paper, as in pFedMMA or Tip-Adapter-F, is that of `pfedmma` and `tip_adapter_f`.
    """
    known = list(known)
    same = [key for key in known if _bare(key) == _bare(name)]
    if same and name not in known:
        return same[:3]
    ends = {key: key.rpartition(".")[2] for key in known}
    end = name.rpartition(".")[2]
    alike = get_close_matches(end, ends.values())
    return (
        [key for key in known if ends[key] == end]
        or get_close_matches(name, known)
        or [key for key in known if ends[key] in alike]
    )[:3]


def hint(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean ...?`, or nothing."""
    names = nearest(name, known)
    return f"; did you mean {' or '.join(names)}?" if names else ""


def quoted(value: object) -> str:
    """Return a value as Python writes it, without the middle of a long one."""
    return shortened(repr(value))


def shortened(text: str, most: int = LONGEST) -> str:
    """Return a text without the middle of a long one. most: characters that stay."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def listed(values: Collection[object], most: int = NAMED) -> str:
    """Return the first values of a list as Python writes them, and how many more there are."""
    first = ", ".join(quoted(value) for value in list(values)[:most])
    return f"{first} and {len(values) - most:,} more" if len(values) > most else first


def control_in(text: str) -> str | None:
    """Return the first control character of a text as Python writes it; None where there is none.

    Completes "holds ...". A byte that is no UTF-8 is called so.
    """
    found = CONTROL.search(text)
    if found is None:
        return None
    if BYTES.match(found[0]):
        return f"a byte that is no UTF-8, {found[0].encode('utf-8', 'surrogateescape')!r}"
    return f"the control character {found[0]!r}"


def _bare(name: str) -> str:
    """Return a name in small letters, without what joins its words."""
    return re.sub(r"[-_\s]", "", name).casefold()


def _written(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
