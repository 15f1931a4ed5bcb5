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
from pfedmma_dist.stopped import Stopped
from pfedmma_dist.world import RankLost, World, speaks

log = logging.getLogger(__name__)

MEND = 2
"""Exit code of an error that the user can mend; its text names key, value and remedy."""


def run(argv: list[str], action: Callable[[Config, World], int]) -> int:
    """Parse the arguments, join the ranks, act, and return the exit code."""
    try:
        config = parse(argv, methods=METHODS, sources=SOURCES)
    except ValueError as error:
        if speaks():  # the same words on every rank
            sys.stderr.write(f"error: {spelled(str(error))}\n")
        return MEND
    if config is None:
        return 0
    world = None
    try:
        world = World.connect(config.run.device, config.run.patience)
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
        sys.stderr.write(f"error: {spelled(str(error))}; usage: python -m pfedmma_dist.{usage}\n")
        return MEND
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


def _tell(error: Exception, world: World | None) -> None:
    """Print an error once: those that all ranks share are rank 0's to tell."""
    words, shared = spelled(str(error)), isinstance(error, (CheckpointError, TogetherError))
    if world is None or world.first:
        sys.stderr.write(f"error: {words}\n")
    elif not shared:
        sys.stderr.write(f"[rank {world.rank}] error: {words}\n")
