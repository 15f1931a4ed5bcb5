"""Write names of the user's, which may hold anything, where people read them."""

import unicodedata

LONGEST = 40
"""Characters of a name in figures and in the terminal."""

SHAPELESS = "\u200b\u200c\u200d"
"""Not printable by themselves, but scripts without spaces, and Persian and Indian ones, have them
between letters."""


def printable(name: str) -> str:
    """Return a name on one line: what cannot be printed by its escape, as in `a\\nb`."""
    return name if name.isprintable() else "".join(map(_shown, name))


def label(name: str, longest: int = LONGEST) -> str:
    """Return a name as it stands beside others: printable, and cut in its middle if it is long."""
    name = printable(name)
    if len(name) <= longest:
        return name
    tail = longest // 3
    return f"{name[: longest - tail - 1]}…{name[-tail:]}"


def _shown(character: str) -> str:
    if character.isprintable() or character in SHAPELESS or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode()
