"""Who holds what this process wants: a run that came before, or its own neighbour of one start."""

import os
import re
import socket
from pathlib import Path

from pfedmma_dist.world.launchers import READ_NAMES, TORCHRUN

SAME_START_SECONDS = 60.0
"""Processes that began so close to each other may have been started by one command."""


def side_by_side(holder: str) -> str:
    """Return what to add where `holder`, "process N on host H", looks like a rank of this start.

    Ranks of a launcher that is not read take themselves for alone, and all want one run folder.
    """
    found = re.fullmatch(r"process (\d+) on host (\S+)", holder)
    if not found or found[2] != socket.gethostname():
        return ""
    own, other = os.getpid(), int(found[1])
    try:
        apart = abs(_began(other) - _began(own))
        same = _words(other) == _words(own)
    except (OSError, ValueError, IndexError):  # it has ended, or /proc is another system's
        return ""
    if not same or apart > SAME_START_SECONDS or other == own:
        return ""
    return (
        f"; that one was started {apart:.0f} s apart from this one with the same arguments: if "
        "they are meant as ranks of one run, their launcher is none that this program reads (it "
        f"reads {READ_NAMES}), so start them with `{TORCHRUN.example}`"
    )


def _began(process: int) -> float:
    """Return when a process began, in seconds since the system did."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _words(process: int) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()
