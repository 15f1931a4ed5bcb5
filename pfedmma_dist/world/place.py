"""Where this rank stands among all, as the launcher's variables tell it: read, and checked.

What is half set, empty, no number, out of range or contradicted by another launcher is a
ValueError with name, value and remedy: a rank that takes itself for another one, or for the only
one, waits for nobody or for ever.
"""

import logging
import os
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass

from pfedmma_dist.spelling import quoted
from pfedmma_dist.world.launchers import (
    READ_NAMES,
    SRUN,
    STORE_OF_TORCHRUN,
    TORCHRUN,
    UNREAD,
    Launcher,
)
from pfedmma_dist.world.point import meeting_point
from pfedmma_dist.world.readings import Environment, Reading, readings

Remark = tuple[int, str]


@dataclass(frozen=True)
class Place:
    """This rank, how many there are, its number on its host, and how that is known."""

    rank: int = 0
    size: int = 1
    local_rank: int | None = None  # None: the launcher does not say
    host: str = ""  # where the ranks meet
    port: int = 0
    launcher: Launcher | None = None
    store_of_torchrun: bool = False  # which keeps one for its ranks, over restarts
    by_hand: bool = False  # no launcher vouches for the variables: they may be a shell's leftovers
    to_unset: str = ""  # variables whose absence leaves one rank alone
    remarks: tuple[Remark, ...] = ()  # what there is to say, once somebody listens

    @property
    def known_by(self) -> str:
        """Name the variable that gives the size, with its value."""
        return f"{self.launcher.size}={self.size}" if self.launcher else f"{self.size}"


def find_place(env: MutableMapping[str, str] | None = None) -> Place:
    """Return the place that the innermost launcher gives, as LAUNCHERS orders them.

    Sets MASTER_ADDR and MASTER_PORT where a launcher that does not, as srun, lets them be known:
    ranks of one host find each other's files by them.
    """
    env = os.environ if env is None else env
    found = list(readings(env))
    if not found:
        return Place(remarks=tuple(_lone_remarks(env, known=False)))
    inner, *others = found
    remarks = list(_compare(env, inner, [other for other in others if other.size > 1]))
    if inner.size == 1:
        return Place(launcher=inner.launcher, remarks=(*remarks, *_lone_remarks(env, known=True)))
    agreeing = [inner, *(other for other in others if inner.same(other))]
    host, port, made = meeting_point(env, agreeing)
    env["MASTER_ADDR"], env["MASTER_PORT"] = host, str(port)
    local = next((each.local_rank for each in agreeing if each.local_rank is not None), None)
    by_hand = not inner.live and len(agreeing) == 1
    name = f"{' and '.join(inner.launcher.variables[:2])} set by hand"
    who = name if by_hand else agreeing[-1].launcher.name
    words = f"{inner.size} ranks, by {who}, meet at {host}:{port}{made}"
    return Place(
        inner.rank,
        inner.size,
        local,
        host,
        port,
        inner.launcher,
        inner.launcher is TORCHRUN and inner.live and env.get(STORE_OF_TORCHRUN) == "True",
        by_hand,
        inner.launcher.set_in(env),
        ((logging.INFO, words), *remarks),
    )


def own_rank(env: Environment | None = None) -> int | None:
    """Return the rank of this process where it is one of several; None where it is alone, or where
    that is not known: what is wrong with the variables is told where ranks are joined."""
    try:
        inner = next(readings(os.environ if env is None else env), None)
    except ValueError:
        return None
    return inner.rank if inner is not None and inner.size > 1 else None


def speaks(env: Environment | None = None) -> bool:
    """Say whether this process is to tell what all ranks would: rank 0, or one not known."""
    return not own_rank(env)


def tasks_cores(env: Environment, size: int) -> int | None:
    """Return the cores of each task of a step of srun whose tasks are the ranks; else None."""
    cores, tasks = (env.get(name, "") for name in ("SLURM_CPUS_PER_TASK", SRUN.size))
    if not (cores.isdecimal() and tasks == str(size)):
        return None
    return int(cores) or None


def _compare(env: Environment, inner: Reading, others: list[Reading]) -> Iterator[Remark]:
    """Say which other launchers are passed over; ValueError where they cannot all be right."""
    for other in others:
        if inner.same(other):
            continue
        nested = inner.size > 1 or inner.launcher is TORCHRUN
        if not (nested if inner.live else inner.inside(other)):
            raise ValueError(
                f"{inner.launcher.rank}: {inner.rank} of {inner.launcher.size}={inner.size}, but "
                f"{other.launcher.name} says {other}; unset {inner.launcher.set_in(env)} to follow "
                f"{other.launcher.name}, or else unset {other.launcher.set_in(env)}"
            )
        if inner.size == 1:
            yield (
                logging.WARNING,
                f"torchrun has started one rank alone inside each of {other.size} tasks "
                f"({other}); to let them be ranks of one run, give torchrun --nnodes and "
                "--rdzv-endpoint, or leave torchrun out",
            )
        else:
            yield logging.INFO, f"{other}, of {other.launcher.name}, is passed over"


def _lone_remarks(env: Environment, known: bool) -> Iterator[Remark]:
    """Say what speaks for more ranks than this one; ValueError where it is sure.

    known: a launcher that is read has started this rank.
    """
    for rank, size in UNREAD.items():
        told = {name: env[name].strip() for name in (rank, size) if env.get(name, "").strip()}
        if rank in told and (told[rank] != "0" or told.get(size, "1") != "1"):
            raise ValueError(
                f"{rank}: {quoted(told[rank])}"
                f"{f' of {size}={told[size]}' if size in told else ''} is of a launcher that this "
                f"program does not read (it reads {READ_NAMES}), so each rank would be alone; "
                f"start with `{TORCHRUN.example}`, or set RANK=${rank}, WORLD_SIZE, MASTER_ADDR "
                f"and MASTER_PORT, or for runs of one rank each: unset {' '.join(told)}"
            )
        if rank in told and size not in told and not known:
            yield logging.WARNING, f"{rank}={told[rank]} is not read: this is one rank alone"
    tasks = env.get("SLURM_NTASKS", "")
    if tasks.isdecimal() and int(tasks) > 1 and SRUN.size not in env:
        yield (
            logging.WARNING,
            f"one rank alone, though SLURM_NTASKS={tasks}: srun has not started it; for {tasks} "
            "ranks put srun before the command",
        )
    if env.get(TORCHRUN.lives) and TORCHRUN.rank not in env:
        yield (
            logging.WARNING,
            f"{TORCHRUN.lives}={quoted(env[TORCHRUN.lives])} is set without RANK and WORLD_SIZE, "
            "as a torchrun leaves it behind: this is one rank alone; unset it",
        )
