"""Verdict: what each rank says to all once they have met: that it can begin, or why it cannot.

A rank that ended with its reason alone would leave the others to wait for it, and its words to
whoever looks at that rank's output.
"""

import json
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field

import torch.distributed as dist

from pfedmma_dist.world.meeting import meet
from pfedmma_dist.world.place import find_place
from pfedmma_dist.world.waiting import RankLost

TELL_SECONDS = 120.0
"""How long a rank that cannot begin waits for the others to start, to tell them."""

HEARD_SECONDS = 10.0
"""How long ranks stay, once they have met, until all have heard."""

PRINTED_SECONDS = 0.3
"""In which the others know that rank 0 leaves, and in which it has then printed why."""

PAUSE_SECONDS = 0.02


class Refused(ValueError):
    """Carry why some rank cannot begin; the same text on all of them, rank 0's to tell."""


@dataclass(frozen=True)
class Verdict:
    """What a rank says of itself."""

    problem: str = ""  # why it cannot begin, as a user mends it; nothing where it can
    host: str = field(default_factory=socket.gethostname)
    device: str = ""  # kind of what it computes on


def heard(store: dist.Store, rank: int, size: int, own: Verdict) -> list[Verdict]:
    """Say this rank's verdict and return those of all ranks in their order.

    Where one cannot begin nobody leaves before all have heard: the store may end with its rank.
    """
    store.set(f"verdict/{rank}", json.dumps(vars(own)))
    texts = store.multi_get([f"verdict/{other}" for other in range(size)])
    found = [Verdict(**json.loads(text)) for text in texts]
    store.add("heard", 1)
    if any(one.problem or one.device != found[0].device for one in found):
        _part(store, rank, size)
    return found


def _part(store: dist.Store, rank: int, size: int) -> None:
    """Wait until all have heard, rank 0 until the others know it, and those until it has spoken: a
    launcher that sees one end ends the others."""
    end = time.monotonic() + HEARD_SECONDS
    with suppress(RuntimeError):  # whoever keeps the store has left
        while time.monotonic() < end:
            if store.add("heard", 0) == size if rank == 0 else store.check(["left"]):
                break
            time.sleep(PAUSE_SECONDS)
        if rank == 0:
            store.set("left", "")
    time.sleep(PRINTED_SECONDS if rank == 0 else 2 * PRINTED_SECONDS)


def check(found: list[Verdict]) -> None:
    """Raise Refused where a rank cannot begin, or computes on another kind of device than rank 0.

    found: of all ranks, in their order.
    """
    told = said(found)
    if told:
        raise Refused("; and ".join(told))
    for rank, one in enumerate(found):
        if one.device != found[0].device:
            raise Refused(
                f"run.device: rank {rank}, on host {one.host}, computes on {one.device}, and "
                f"rank 0 on {found[0].device}; set run.device=cpu, or look for CUDA on each host"
            )


def said(found: list[Verdict], but: str = "") -> list[str]:
    """Return why ranks cannot begin, each reason once with the first rank that has it.

    but: a reason that is told already.
    """
    each = reversed(list(enumerate(found)))
    first = {one.problem: rank for rank, one in each if one.problem not in ("", but)}
    return [
        f"{problem} (rank {rank} of {len(found)}, on host {found[rank].host})"
        for problem, rank in sorted(first.items(), key=lambda item: item[1])
    ]


def tell_others(own: Verdict) -> list[Verdict] | None:
    """Tell the other ranks that this one cannot begin; return what all say, None where they could
    not be told, as where they do not come or this rank does not know where it stands."""
    with suppress(ValueError, RankLost, RuntimeError):
        place = find_place()
        if place.size > 1:
            store, _ = meet(place, TELL_SECONDS)
            return heard(store, place.rank, place.size, own)
    return None
