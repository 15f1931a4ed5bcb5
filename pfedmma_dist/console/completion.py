"""Completion: what the word under the cursor may become; a shell asks by `pfedmma complete`.

No method is imported, and nothing of the user's: what plugins register is not offered.
"""

import re
import shlex

from pfedmma_dist.console.commands import RANKS, installed
from pfedmma_dist.console.offers import OFFERS, paths, values
from pfedmma_dist.console.shells import SCRIPTS

FOLDERS = ("--out", "--to", "--canary", "--examples")
"""Options with a path behind them."""

SPECIAL = re.compile(r"([^\w@%+=:,./~-])")
"""What a shell would take for something of its own."""


def script(words: list[str]) -> str:
    """Return the script of a shell, which its start-up file reads; ValueError for another."""
    if len(words) != 1 or words[0] not in SCRIPTS:
        known = "|".join(SCRIPTS)
        raise ValueError(f"give one shell: pfedmma completion {known}")
    return SCRIPTS[words[0]]


def answer(shell: str = "", *words: str) -> list[str]:
    """Return what the word under the cursor may become, as the shell wants it.

    bash hands over its line up to the cursor and replaces what stands behind = or : alone, others
    the words of it.
    """
    given, is_quoted = _split(words[0] if words else "") if shell == "bash" else ([*words], False)
    if not given:
        return []
    found = candidates(given)
    if not is_quoted:
        found = [SPECIAL.sub(r"\\\1", word) for word in found]
    if shell != "bash":
        return found
    current = given[-1] if is_quoted else SPECIAL.sub(r"\\\1", given[-1])
    kept = 0 if is_quoted else max(current.rfind("="), current.rfind(":")) + 1
    return [word[kept:] for word in found]


def candidates(words: list[str]) -> list[str]:
    """Return what the last word may become. words: those after `pfedmma`."""
    *before, current = words
    known = installed()
    if not before:
        names = [*known, "completion", "--help", "--version"]
        return [name for name in names if name.startswith(current)]
    if before[0] == "completion":
        return [name for name in SCRIPTS if name.startswith(current)]
    command = known.get(before[0])
    if command is None:
        return []
    if before[-1] in FOLDERS:
        return paths(current)
    if before[-1] == "--cluster":
        return OFFERS["clusters"](current, before)
    if current.startswith("-"):
        options = [*command.options, *([RANKS] if command.on_ranks else [])]
        return [option for option in options if option.startswith(current)]
    if "=" in current:
        return values(current, before)
    count = sum(not word.startswith("-") for word in before[1:])
    kinds = command.takes[: count + 1][-1:]  # the first word's, the second's; the last repeats
    return [word for kind in kinds for word in OFFERS[kind](current, before)]


def _split(line: str) -> tuple[list[str], bool]:
    """Return the words of a line after the first, the last maybe empty, and whether the last is in
    quotes that are not closed."""
    for quote in ("", "'", '"'):  # the last word may not be closed yet
        try:
            words = shlex.split(line + quote)
        except ValueError:
            continue
        return [*words[1:], *([""] if not quote and line[-1:].isspace() else [])], bool(quote)
    return [], False
