"""Where the ranks of one start meet: a store that all of them reach, with a note of each in it."""

import socket
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import torch.distributed as dist

from pfedmma_dist.world.address import PAUSE_SECONDS, check_own, knock, listen, resolve
from pfedmma_dist.world.place import Place
from pfedmma_dist.world.roster import Roster, numbers
from pfedmma_dist.world.waiting import NAME_SECONDS, RankLost, Vigil, watched

START_SECONDS = 1800.0
"""How long ranks wait for each other to start."""

STORE_SECONDS = 10.0
"""How long torchrun's store may take to answer; it is there before the ranks are."""

STRANGER = "what listens there does not speak as rank 0 does"


def meet(place: Place, patience: float | None = None) -> tuple[dist.Store, Roster]:
    """Return the store of this start of the ranks, and their notes, once all of them are there.

    patience: seconds to wait for them; None: START_SECONDS.

    RankLost where one does not come, or where the store goes, as it does with its torchrun;
    ValueError where what the launcher or the user has set cannot bring them together.
    """
    try:
        return _meet(place, START_SECONDS if patience is None else patience)
    except dist.DistError as error:
        raise RankLost(
            f"the ranks' store at {place.host}:{place.port} does not answer, as where torchrun or "
            f"rank 0 has ended; start the same command again ({_first_line(error)})"
        ) from error


def _meet(place: Place, patience: float) -> tuple[dist.Store, Roster]:
    rank, size = place.rank, place.size
    remedy = "look why they did not start, or what keeps hosts apart"
    if place.by_hand:  # as a shell may still hold them
        remedy += f", or for one rank alone: unset {place.to_unset}"
    vigil = Vigil(patience, NAME_SECONDS, remedy, advises=place.by_hand)
    if place.store_of_torchrun:
        keeper = None
        _await_torchrun(place)
        limit = timedelta(seconds=START_SECONDS)
        whole = watched(
            lambda: next(dist.rendezvous("env://", rank, size, timeout=limit))[0],
            vigil,
            lambda: f"torchrun's store at {_where(place)}, where something listens, to answer",
        )
        store: dist.Store = dist.PrefixStore(_fresh_name(whole, place, vigil), whole)
    else:
        keeper = 0
        store = _own_store(place, vigil)
        _take_seat(store, place)
    roster = Roster(dist.PrefixStore("roster", store), rank, size, keeper, _where(place))
    _until(
        lambda: not roster.absent(),
        vigil,
        lambda: _not_started(roster.absent(), place),
        lambda: min(set(range(size)) - set(roster.absent()), default=rank) == rank,
    )
    roster.read(roster.store)
    vigil.end()
    return dist.PrefixStore("group", store), roster


def _await_torchrun(place: Place) -> None:
    """Wait until torchrun's store answers; RankLost where it does not.

    torch's own client tries each address of the host for its whole limit, one after the other.
    """
    resolve(
        place.host,
        "give torchrun on that host --local-addr, or --master-addr, with an address that all hosts "
        "know",
    )
    end = time.monotonic() + STORE_SECONDS
    while problem := knock(place.host, place.port):
        if time.monotonic() > end:
            raise RankLost(
                f"torchrun's store at {_where(place)} does not answer ({problem}), as where "
                "torchrun has ended; start the same command again, or where no torchrun has "
                f"started this: unset {place.to_unset} TORCHELASTIC_RUN_ID "
                "TORCHELASTIC_USE_AGENT_STORE"
            )
        time.sleep(PAUSE_SECONDS)


def _own_store(place: Place, vigil: Vigil) -> dist.Store:
    """Return a store that rank 0 keeps."""
    host, port, size = place.host, place.port, place.size
    resolve(host, "set it to a name or address of rank 0's host that all hosts know")
    if place.rank == 0:
        door = listen(port)
        check_own(host, port)
        limit = timedelta(seconds=START_SECONDS)
        keep = partial(
            dist.TCPStore, host, port, size, True, limit,
            wait_for_workers=False, master_listen_fd=door.detach(),
        )  # fmt: skip
        return watched(keep, vigil, lambda: _silent(place, STRANGER))

    def join() -> dist.Store:
        limit = timedelta(seconds=NAME_SECONDS)
        return dist.TCPStore(host, port, size, False, limit, wait_for_workers=False)

    while True:
        problem = knock(host, port)
        if not problem:  # only now torch's client, which writes traces where nobody answers
            problem = STRANGER
            try:
                store = watched(join, vigil, lambda: _silent(place, STRANGER))
            except dist.DistNetworkError:
                pass
            else:
                store.set_timeout(timedelta(seconds=START_SECONDS))
                return store
        vigil.check(partial(_silent, place, problem))
        time.sleep(5 * PAUSE_SECONDS)


def _silent(place: Place, problem: str) -> str:
    return (
        f"rank 0, which does not answer at {_where(place)} ({problem}), as rank {place.rank} of "
        f"{place.known_by} on host {socket.gethostname()} tries"
    )


def _take_seat(store: dist.Store, place: Place) -> None:
    """Refuse a start whose ranks do not agree how many they are, or that has one of them twice.

    Two starts at one port are such a start: the second's rank 1 finds the first's rank 0.
    """
    assert place.launcher is not None
    size = store.compare_set("size", "", str(place.size)).decode()
    if size != str(place.size):
        raise ValueError(
            f"{place.launcher.size}: {place.size} on rank {place.rank}, but {size} on the rank "
            f"that came first to {_where(place)}; give all ranks the same, or another MASTER_PORT "
            "where these are two starts"
        )
    if store.add(f"seat/{place.rank}", 1) > 1:
        raise ValueError(
            f"{place.launcher.rank}: {place.rank} has come to {_where(place)} already; give each "
            "process a rank of its own, or another MASTER_PORT where these are two starts"
        )


def _where(place: Place) -> str:
    return f"{place.host}:{place.port}"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _fresh_name(store: dist.Store, place: Place, vigil: Vigil) -> str:
    """Return a name for a part of torchrun's store that is new to this start of the ranks.

    torchrun keeps its store over restarts, addresses of dead ranks included: whoever comes first
    calls one of them and hangs. Its restart count cannot tell starts apart, since hosts count for
    themselves (pytorch issue 135712). So rank 0 hands out a name to whoever has started last.
    """
    rank, size = place.rank, place.size
    if rank > 0:
        start = store.add(f"starts/{rank}", 1)
        key = f"name/{rank}/{start}"
        _until(lambda: store.check([key]), vigil, lambda: _not_started([0], place))
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

    _until(handed_out, vigil, lambda: _not_started(without_it(), place))
    return name


def _until(
    holds: Callable[[], bool],
    vigil: Vigil,
    missing: Callable[[], str],
    speaks: Callable[[], bool] = lambda: True,
) -> None:
    while not holds():
        vigil.check(missing, speaks)
        time.sleep(PAUSE_SECONDS)


def _not_started(ranks: list[int], place: Place) -> str:
    return f"{numbers(ranks)} (of {place.known_by}), not started yet, at {_where(place)}"
