"""Host and port at which the ranks of a start meet, where the launcher lets them be known."""

import re
import zlib
from collections.abc import Sequence

from pfedmma_dist.spelling import quoted
from pfedmma_dist.world.launchers import TORCHRUN
from pfedmma_dist.world.readings import Environment, Reading

PORTS = (20000, 10000)
"""Where ports made of a job's number begin, and how many there are."""


def meeting_point(env: Environment, readings: Sequence[Reading]) -> tuple[str, int, str]:
    """Return host and port of the ranks' store, and of what they were made where not given."""
    host, port, made = env.get("MASTER_ADDR", "").strip(), 0, []
    if "MASTER_PORT" in env:
        port = _port(env["MASTER_PORT"])
    for launcher, one_host in ((each.launcher, each.local_size == each.size) for each in readings):
        if not host and env.get(launcher.nodes):
            host = _first_host(env[launcher.nodes])
            made.append(launcher.nodes)
        elif not host and one_host and launcher is not TORCHRUN:
            host = "127.0.0.1"
            made.append(f"{launcher.local_size}={env[launcher.local_size].strip()}")
        numbers = [env[name] for name in launcher.job if env.get(name)]
        if not port and numbers:
            port = _port_of(numbers)
            made += [name for name in launcher.job if env.get(name)]
    absent = [name for name, value in (("MASTER_ADDR", host), ("MASTER_PORT", port)) if not value]
    if absent:
        raise ValueError(
            f"{' and '.join(absent)}: not set, so {readings[0]} cannot meet the others; start them "
            f"with `{readings[-1].launcher.example}`, or set host and port of rank 0, or for one "
            f"rank alone: unset {readings[0].launcher.set_in(env)}"
        )
    return host, port, f" (made of {', '.join(made)})" if made else ""


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text.strip()) or not 1 <= int(text) <= 65535:
        what = "is no port from 1 to 65535" if text.strip() else "is empty"
        raise ValueError(
            f"MASTER_PORT: {quoted(text)} {what}; set a free one, the same for all ranks, such as "
            "29500"
        )
    return int(text)


def _port_of(numbers: list[str]) -> int:
    """Return a port made of a job's number and of its step's: steps can run at the same time."""
    job, step = (*numbers, "0")[:2]
    number = int(job) if job.isdecimal() else zlib.crc32(job.encode(errors="replace"))
    number += 1009 * int(step) if step.isdecimal() else 0
    return PORTS[0] + number % PORTS[1]


def _first_host(nodes: str) -> str:
    """Return the first name of a SLURM node list: `gpu[03-07,9],cpu1` -> `gpu03`."""
    first = re.split(r",(?![^\[]*\])", nodes)[0]
    return re.sub(r"\[([^],-]*)[^]]*\]", r"\1", first)
