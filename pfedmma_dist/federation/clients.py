"""The private numbers of the clients a rank hosts; a client that never trained costs nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.federation.rowtable import RowTable
from pfedmma_dist.pieces import CHUNK, Changing, Parts, Piece


class ClientStore:
    """Rows [P] float32 by client, in one growing table in CPU memory; beyond `budget` bytes of them
    in a nameless file in `folder`."""

    def __init__(
        self,
        template: Tensor,
        shards: dict[int, np.ndarray],
        device: torch.device,
        budget: float = float("inf"),
        folder: Path = Path(),
    ) -> None:
        """template: private part [P] where every client starts. shards: hosted ones, their
        clients."""
        self.template, self.device, self.budget, self.folder = template, device, budget, folder
        most = max((int(own.max()) for own in shards.values() if len(own)), default=-1)
        self._shard_of = np.full(most + 1, -1, np.int64)
        for shard, own in shards.items():
            self._shard_of[own] = shard
        self._has_row = np.zeros(most + 1, bool)
        self._slots: dict[int, dict[int, int]] = {shard: {} for shard in shards}
        self._table = RowTable(template.numel())
        self._free: list[int] = []  # places that hold nobody's row
        self._stamps: dict[int, dict[int, int]] = {shard: {} for shard in shards}
        self._pieces: dict[int, Sequence[Piece]] = dict.fromkeys(shards, ())
        self._time = 0

    def __len__(self) -> int:
        """Count the clients that have trained."""
        return sum(map(len, self._slots.values()))

    def have_trained(self, clients: np.ndarray) -> np.ndarray:
        """Return whether each of these hosted clients has trained [G] bool."""
        assert (self._shard_of[clients] >= 0).all(), "a client that is hosted elsewhere"
        return self._has_row[clients]

    def gather(self, clients: np.ndarray) -> Tensor:
        """Return the rows [G, P] of hosted clients on the device, the template where unseen."""
        return self._rows(clients).to(self.device)

    def scatter(self, clients: np.ndarray, rows: Tensor) -> None:
        """Keep the rows [G, P] of hosted clients."""
        for client, row in zip(clients, rows.detach().cpu(), strict=True):
            self._keep(self._shard(int(client)), int(client), row)

    def state(self, shard: int) -> "ShardState":
        """Return what a shard's trained clients hold, by id; it is read when it is asked for."""
        return ShardState(self, shard)

    def load(self, shard: int, state: Mapping[str, Tensor] | Parts, trained: np.ndarray) -> None:
        """Take back what `state` returned; ValueError where it cannot have.

        trained: sorted clients of the shard that have trained by now.
        """
        states = state.states if isinstance(state, Parts) else [dict(state)]
        _refuse_strange(shard, states, self.template.numel(), trained)
        self._free += self._slots[shard].values()
        self._has_row[[*self._slots[shard]]] = False
        self._slots[shard], self._stamps[shard], self._pieces[shard] = {}, {}, ()
        newest = {client: n for n, part in enumerate(states) for client in part["ids"].tolist()}
        for n, part in enumerate(states):
            for client, row in zip(part["ids"].tolist(), part["rows"], strict=True):
                if newest[client] == n:
                    self._keep(shard, client, row)
        if isinstance(state, Parts):
            own = self._stamps[shard]
            self._pieces[shard] = [
                replace(
                    piece,
                    stamps=np.array([own[i] if newest[i] == n else -1 for i in piece.ids.tolist()]),
                )
                for n, piece in enumerate(state.pieces)
            ]

    def _keep(self, shard: int, client: int, row: Tensor) -> None:
        slots = self._slots[shard]
        place = slots.get(client)
        if place is None:
            place = slots[client] = self._free.pop() if self._free else self._table.count
            self._has_row[client] = True
        self._table.write(place, row)
        if self._table.in_memory > self.budget:
            self._table.move_to(self.folder)
        self._time += 1
        self._stamps[shard][client] = self._time

    def _rows(self, clients: np.ndarray) -> Tensor:
        """Return the rows [n, P] of hosted clients."""
        rows = torch.empty(len(clients), self.template.numel())
        for row, client in zip(rows, clients.tolist(), strict=True):
            place = self._slots[self._shard(client)].get(client)
            if place is None:
                row.copy_(self.template)
            else:
                self._table.read_into(row, place)
        return rows

    def _shard(self, client: int) -> int:
        shard = int(self._shard_of[client]) if client < len(self._shard_of) else -1
        if shard < 0:
            raise KeyError(client)
        return shard


class ShardState(Changing):
    """What a shard's trained clients hold now; `rows` are copied when they are asked for."""

    def __init__(self, store: ClientStore, shard: int) -> None:
        self._store, self._shard = store, shard
        stamps = store._stamps[shard]
        self.ids = np.array(sorted(stamps), np.int64)
        self.stamps = np.array([stamps[client] for client in self.ids.tolist()], np.int64)
        self.width = store.template.numel()

    def __getitem__(self, name: str) -> Tensor:
        if name == "ids":
            return torch.from_numpy(self.ids.copy())
        if name == "rows":
            return torch.cat([torch.empty(0, self.width), *self.chunks(self.ids)])
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(("ids", "rows"))

    def __len__(self) -> int:
        return 2

    @property
    def pieces(self) -> Sequence[Piece]:
        return self._store._pieces[self._shard]

    def keep(self, pieces: Sequence[Piece]) -> None:
        self._store._pieces[self._shard] = pieces

    def chunks(self, ids: np.ndarray) -> Iterator[Tensor]:
        step = max(1, CHUNK // max(1, 4 * self.width))
        for start in range(0, len(ids), step):
            yield self._store._rows(ids[start : start + step])


def _refuse_strange(
    shard: int, states: Sequence[Mapping[str, Tensor]], width: int, trained: np.ndarray
) -> None:
    """Raise ValueError for what no store has returned."""
    if any(part.keys() != {"ids", "rows"} for part in states):
        raise ValueError(f"shard {shard} holds other tensors than ids and rows")
    single = len(states) == 1
    found = states[0]["ids"] if single else np.unique(np.concatenate([p["ids"] for p in states]))
    if not np.array_equal(found, trained):
        raise ValueError(f"shard {shard} holds other clients than the {len(trained)} that trained")
    for part in states:
        rows, wanted = part["rows"], (len(part["ids"]), width)
        if (
            part["ids"].dtype != torch.int64
            or rows.dtype != torch.float32
            or rows.shape != wanted
            or not _finite(rows)
        ):
            raise ValueError(
                f"shard {shard} holds rows {list(rows.shape)} {rows.dtype}, not finite ones "
                f"{list(wanted)} torch.float32"
            )


def _finite(rows: Tensor) -> bool:
    """Say whether all rows are finite, looking at some at a time."""
    step = max(1, CHUNK // max(1, 4 * rows.shape[1]))
    return all(bool(part.isfinite().all()) for part in rows.split(step))
