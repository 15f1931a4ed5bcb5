"""Sending: what the clients of a cohort send of their shared part after training."""

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from pfedmma_dist.exchange.uplink import Parcel
from pfedmma_dist.federation.protection import tells
from pfedmma_dist.federation.released.references import referred
from pfedmma_dist.federation.tally import Tally
from pfedmma_dist.federation.trainer import LocalResult

if TYPE_CHECKING:
    from pfedmma_dist.federation.federation import Federation


def tally_of(federation: "Federation", round_index: int, arrived: np.ndarray) -> Tally:
    """Return the empty sums of a round; arrived: sorted clients whose uploads arrive."""
    own = federation
    return Tally(
        own.sizes, own.num_seen, arrived, own.corrections,
        told=tells(own.cfg.privacy), only=referred(own, round_index),
    )  # fmt: skip


def send(
    federation: "Federation",
    clients: np.ndarray,  # [G]
    start: Tensor,  # [G, P + S] their rows before they trained
    result: LocalResult,
    tally: Tally,
    arrived: np.ndarray,  # sorted clients of the round whose uploads arrive, over all ranks
) -> Tensor:
    """Send what is shared, and count it; return what clients keep of their uplink [G, U].

    Of a client whose upload does not arrive nothing counts, and what it keeps is as before.
    """
    kept, there = federation.of_uplink(clients), np.flatnonzero(np.isin(clients, arrived))
    if len(there) == len(clients):
        return _sent(federation, clients, start, result, tally, kept)
    if len(there):
        kept = kept.clone()
        own = clients[there], start[there], result.of(there)
        kept[there] = _sent(federation, *own, tally, kept[there])
    return kept


def _sent(
    federation: "Federation",
    clients: np.ndarray,
    start: Tensor,
    result: LocalResult,
    tally: Tally,
    kept: Tensor,  # [G, U]
) -> Tensor:
    """Return what these clients, who all get through, keep of their uplink [G, U]."""
    begin, uplink, weight = federation.layout.num_private, federation.uplink, tally.of_mean(clients)
    shared = result.theta[:, begin:]
    tally.add(clients, result)
    if not uplink.stages:
        sent = shared if result.sums is None else result.sums
        federation.exchange.upload(clients, sent, weight)
        return kept
    rows = (start[:, begin:], shared, weight, kept, result.loss)
    parcel = uplink.send(Parcel(clients, uplink.round_index, *(x.detach().cpu() for x in rows)))
    federation.exchange.upload(clients, parcel.rows, parcel.weight)
    return parcel.memory.to(kept.device)
