"""What the commands have in common: arguments to a configuration, ranks, errors, exit codes."""

import logging
import os
import sys
from collections.abc import Callable

from pfedmma_dist.arguments import parse
from pfedmma_dist.config import Config
from pfedmma_dist.data.sources import SOURCES
from pfedmma_dist.methods import METHODS
from pfedmma_dist.run.checkpoint import CheckpointError
from pfedmma_dist.run.together import TogetherError
from pfedmma_dist.world import World

log = logging.getLogger(__name__)

MEND = 2
"""Exit code of an error that the user can mend; its text names key, value and remedy."""


def run(argv: list[str], action: Callable[[Config, World], int]) -> int:
    """Parse the arguments, join the ranks, act, and return the exit code."""
    try:
        config = parse(argv, methods=METHODS, sources=SOURCES)
    except ValueError as error:
        if os.environ.get("RANK", "0") == "0":  # the same words on every rank
            sys.stderr.write(f"error: {error}\n")
        return MEND
    if config is None:
        return 0
    world = None
    try:
        world = World.connect(config.run.device)
        return action(config, world)
    except (ValueError, CheckpointError) as error:
        _tell(error, world)
        return MEND
    finally:
        if world is not None:
            world.close()


def _tell(error: Exception, world: World | None) -> None:
    """Print an error once: those that all ranks share are rank 0's to tell."""
    shared = isinstance(error, CheckpointError) or isinstance(error.__cause__, TogetherError)
    if world is None or world.first:
        sys.stderr.write(f"error: {error}\n")
    elif not shared:
        sys.stderr.write(f"[rank {world.rank}] error: {error}\n")
