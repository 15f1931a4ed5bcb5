"""What `classify` and `serve` have in common: their words, and the run that is asked."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence

from rich.console import Console

from pfedmma_dist.command import MEND
from pfedmma_dist.home.trained import Trained
from pfedmma_dist.run.checkpoint import CheckpointError
from pfedmma_dist.run.logs import configure_logging
from pfedmma_dist.serving.answers import Model, checked
from pfedmma_dist.spelling import hint, spelled
from pfedmma_dist.world import World

OPTIONS = ("--client", "--device", "--set")


def parser(name: str) -> argparse.ArgumentParser:
    """Return what reads the words of a command: a run, and who is asked."""
    found = argparse.ArgumentParser(
        prog=f"python -m pfedmma_dist.{name}", add_help=False, allow_abbrev=False
    )
    found.add_argument("--help", "-h", action="store_true")
    found.add_argument("run", metavar="RUN", nargs="?")
    found.add_argument("--client", metavar="N", default="0")
    found.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    found.add_argument("--set", metavar="KEY=VALUE", action="append", default=[])
    return found


def act(
    words: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    manual: str,
    known: Sequence[str],
    action: Callable[[argparse.Namespace], int],
) -> int:
    """Read the command line, act, and return the exit code. known: options of this command."""
    asked, rest = words.parse_known_intermixed_args(argv)
    if asked.help:
        sys.stdout.write(manual)
        return 0
    for word in rest:
        flag = word.partition("=")[0]
        words_of = f"{flag} is unknown{hint(flag, (*OPTIONS, *known))}"
        told = words_of if flag.startswith("-") else f"{word}: there is one RUN alone"
        sys.stderr.write(f"error: {spelled(told)}; --help lists all\n")
        return MEND
    try:
        if asked.run is None:
            raise ValueError(f"give a run folder: {words.prog} RUN ...; --help tells more")
        return action(asked)
    except (ValueError, CheckpointError) as error:
        sys.stderr.write(f"error: {spelled(str(error))}\n")
        return MEND
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def opened(asked: argparse.Namespace) -> tuple[Trained, Console]:
    """Return the run, and the console on standard error; checks who is asked."""
    console = configure_logging(World.alone(), None)
    trained = Trained.open(asked.run, device=asked.device, words=asked.set)
    asked.client = checked(asked.client, trained, "--client")
    return trained, console


def remark(model: Model, asked: str) -> str:
    """Return what one should know of who is asked; nothing where there is nothing."""
    if not asked.isdecimal() or model.has_trained(int(asked)):
        return ""
    return f"client {asked} never took part in a round: it has what every client begins with"
