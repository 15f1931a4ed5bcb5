"""A glance at the words of a command before it imports what takes seconds.

What `--help` and `--list` ask for is written, and a slip that the words alone show is told, as
`command.run` would: from outlines of the methods, without torch. All else is left to the command,
and so is a slip of one of several ranks.
"""

import sys
from collections.abc import Callable

from pfedmma_dist.config.command_line import parse, read
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.ending import at_once
from pfedmma_dist.outline import outlines
from pfedmma_dist.spelling import spelled
from pfedmma_dist.world import own_rank

LEFT = "--print-config"
"""The flag that shows values which a method has checked."""


def leave_early(
    argv: list[str], completed: Callable[[list[str]], list[str]] = list, own: tuple[str, ...] = ()
) -> None:
    """End the process where a glance is enough.

    completed: adds the presets that the command begins with. own: flags of the command's own.
    """
    at_once()
    words = completed([word for word in argv if word not in own])
    try:
        if any(word.startswith("-") and word != LEFT for word in words):
            parse(words, methods=outlines(), sources=SOURCES)
            sys.exit(0)
        read([word for word in words if word != LEFT], methods=outlines(), sources=SOURCES)
    except ValueError as error:
        if own_rank() is not None:  # to whom the command tells it, as it may be this rank's alone
            return
        sys.stderr.write(f"error: {spelled(str(error))}\n")
        sys.exit(2)  # command.MEND


def leave_with(manual: Callable[[], str]) -> None:
    """End the process with the text of `--help` where that is asked for."""
    at_once()
    if not {"--help", "-h"}.isdisjoint(sys.argv[1:]):
        sys.stdout.write(manual())
        sys.exit(0)
