"""What the commands have in common: arguments to a configuration, ranks, errors, exit codes."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from pfedmma_dist.config.command_line import parse, unread
from pfedmma_dist.config.keys import Config
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS
from pfedmma_dist.run.checkpoint import CheckpointError
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.together import TogetherError
from pfedmma_dist.spelling import spelled
from pfedmma_dist.start import agree
from pfedmma_dist.stopped import Stopped
from pfedmma_dist.world import (
    RankLost,
    Refused,
    Verdict,
    World,
    own_rank,
    said,
    speaks,
    tell_others,
)

log = logging.getLogger(__name__)

MEND = 2
"""Exit code of an error that the user can mend; its text names key, value and remedy."""


def run(argv: list[str], action: Callable[[Config, World], int]) -> int:
    """Parse the arguments, join the ranks, act, and return the exit code."""
    try:
        config = parse(argv, methods=METHODS, sources=SOURCES)
    except ValueError as error:
        return refuse(str(error))
    if config is None:
        return 0
    world = None
    try:
        world = World.connect(config.run.device, config.run.patience)
        agree(config, world)
        for words in unread(argv, config).values() if world.first else ():
            sys.stderr.write(f"warning: {spelled(words)}\n")
        return action(config, world)
    except (ValueError, CheckpointError) as error:
        _tell(error, world)
        return MEND
    except RankLost as error:
        if world is None:
            sys.stderr.write(f"error: {error}\n")
        else:
            log.error("%s", error)
        return 1
    except Stopped as stopped:
        log.warning("%s", stopped)
        if world is not None:
            world.say_leaving()
        return stopped.code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    finally:
        if world is not None:
            world.close()


def of_run(
    words: list[str],
    manual: str,
    usage: str,
    action: Callable[[Config, RunFolder, World], int],
) -> int:
    """Act on the run whose folder is the first word, with what the others change of it, and return
    the exit code. manual: for --help. usage: such as "evaluate RUN [key=value ...]"."""
    if {"--help", "-h"} & {*words}:
        sys.stdout.write(manual)
        return 0
    folder = RunFolder(words[0] if words else "RUN")
    try:
        folder.refuse_none()
    except ValueError as error:
        return refuse(f"{error}; usage: python -m pfedmma_dist.{usage}")
    return run([str(folder.config), *words[1:]], lambda cfg, world: action(cfg, folder, world))


def leave(code: int) -> NoReturn:
    """End the process without winding down the interpreter.

    A thread of gloo's that still lets go of a tensor then aborts the process (2 of 12 starts that
    ended in an error, torch 2.15), and torchrun reports a crash in place of our exit code.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def refuse(problem: str) -> int:
    """Print why this rank cannot begin, tell the others, who would wait for it, and return MEND.

    What all have met is printed once. Rank 0 prints its own at once, as the others may not come.
    """
    first = speaks()
    if first:
        sys.stderr.write(f"error: {spelled(problem)}\n")
        sys.stderr.flush()
    found = tell_others(Verdict(problem))
    if found is None and not first:
        sys.stderr.write(f"[rank {own_rank()}] error: {spelled(problem)}\n")
    elif found is not None and first:
        others = said(found, but=problem)
        sys.stderr.writelines(f"error: {spelled(words)}\n" for words in others)
    return MEND


def _tell(error: Exception, world: World | None) -> None:
    """Print an error once: those that all ranks share are rank 0's to tell."""
    words = spelled(str(error))
    shared = isinstance(error, (CheckpointError, TogetherError, Refused))
    first = speaks() if world is None else world.first
    if first or (world is None and not shared):
        sys.stderr.write(f"error: {words}\n")
    elif world is not None and not shared:
        sys.stderr.write(f"[rank {world.rank}] error: {words}\n")
