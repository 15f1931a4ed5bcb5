"""Where the ranks of one start meet: a store that all of them reach, with a note of each in it."""

import os
import socket
import time
import uuid
from collections.abc import Callable
from datetime import timedelta

import torch.distributed as dist

from pfedmma_dist.world.roster import Roster
from pfedmma_dist.world.waiting import NAME_SECONDS, RankLost, Vigil

START_SECONDS = 1800.0
"""How long ranks wait for each other to start."""

STORE_SECONDS = 15.0
"""How long torchrun's store may take to answer; it is there before the ranks are."""

PAUSE_SECONDS = 0.02


def meet(rank: int, size: int) -> tuple[dist.Store, Roster]:
    """Return the store of this start of the ranks, and their notes, once all of them are there.

    RankLost where one does not come, or where the store goes, as it does with its torchrun.
    """
    try:
        return _meet(rank, size)
    except dist.DistError as error:
        raise RankLost(
            "the ranks' store does not answer, as where torchrun or rank 0 has ended; start the "
            f"same command again ({error})"
        ) from error


def _meet(rank: int, size: int) -> tuple[dist.Store, Roster]:
    vigil = Vigil(
        START_SECONDS, NAME_SECONDS, "look why they did not start, or what keeps hosts apart"
    )
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        keeper = None
        _knock(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
        limit = timedelta(seconds=START_SECONDS)
        whole, *_ = next(dist.rendezvous("env://", rank, size, timeout=limit))
        store = dist.PrefixStore(_fresh_name(whole, rank, size, vigil), whole)
    else:
        keeper = 0
        store = _own_store(rank, size, vigil)
    roster = Roster(dist.PrefixStore("roster", store), rank, size, keeper)
    _until(lambda: not roster.absent(), vigil, lambda: _not_started(roster.absent()))
    roster.read(roster.store)
    vigil.end()
    return dist.PrefixStore("group", store), roster


def _knock(host: str, port: int) -> None:
    """Wait until torchrun's store answers; RankLost where it does not.

    torch's own client tries each address of the host for its whole limit, one after the other.
    """
    end = time.monotonic() + STORE_SECONDS
    while True:
        try:
            socket.create_connection((host, port), timeout=STORE_SECONDS).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                raise RankLost(
                    f"torchrun's store at {host}:{port} does not answer ({error}), as where "
                    "torchrun has ended; start the same command again"
                ) from error
        time.sleep(PAUSE_SECONDS)


def _own_store(rank: int, size: int, vigil: Vigil) -> dist.Store:
    """Return a store that rank 0 keeps."""
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    if missing:
        raise ValueError(
            f"{' and '.join(missing)}: not set, so ranks cannot meet; start them with torchrun or "
            "srun, or set host and port of rank 0"
        )
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    while True:
        try:
            store = dist.TCPStore(
                host, port, size, rank == 0, timedelta(seconds=NAME_SECONDS),
                wait_for_workers=False, multi_tenant=True,
            )  # fmt: skip
        except dist.DistNetworkError:
            if rank == 0:
                raise
            vigil.check(lambda: f"rank 0, which does not answer at {host}:{port}")
        else:
            store.set_timeout(timedelta(seconds=START_SECONDS))
            return store


def _fresh_name(store: dist.Store, rank: int, size: int, vigil: Vigil) -> str:
    """Return a name for a part of torchrun's store that is new to this start of the ranks.

    torchrun keeps its store over restarts, addresses of dead ranks included: whoever comes first
    calls one of them and hangs. Its restart count cannot tell starts apart, since hosts count for
    themselves (pytorch issue 135712). So rank 0 hands out a name to whoever has started last.
    """
    if rank > 0:
        start = store.add(f"starts/{rank}", 1)
        key = f"name/{rank}/{start}"
        _until(lambda: store.check([key]), vigil, lambda: _not_started([0]))
        name = store.get(key).decode()
        store.set(f"taken/{rank}/{name}", "")
        return name
    name = uuid.uuid4().hex

    def without_it() -> list[int]:
        return [other for other in range(1, size) if not store.check([f"taken/{other}/{name}"])]

    def handed_out() -> bool:
        others = without_it()
        for other in others:
            store.set(f"name/{other}/{store.add(f'starts/{other}', 0)}", name)
        return not others

    _until(handed_out, vigil, lambda: _not_started(without_it()))
    return name


def _until(holds: Callable[[], bool], vigil: Vigil, missing: Callable[[], str]) -> None:
    while not holds():
        vigil.check(missing)
        time.sleep(PAUSE_SECONDS)


def _not_started(ranks: list[int]) -> str:
    return f"{', '.join(f'rank {rank}' for rank in ranks)}, not started yet"
