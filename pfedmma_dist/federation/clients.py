"""The private numbers of the clients a rank hosts; a client that never trained costs nothing."""

import numpy as np
import torch
from torch import Tensor


class ClientStore:
    """Rows [P] float32 by client, in one growing arena per shard, in CPU memory."""

    def __init__(
        self, template: Tensor, shards: dict[int, np.ndarray], device: torch.device
    ) -> None:
        """template: private part [P] where every client starts. shards: hosted ones, their
        clients."""
        self.template = template
        self.device = device
        self._shard_of = {int(c): shard for shard, clients in shards.items() for c in clients}
        self._slots: dict[int, dict[int, int]] = {shard: {} for shard in shards}
        self._arenas = {shard: torch.empty(0, template.numel()) for shard in shards}

    def __len__(self) -> int:
        """Count the clients that have trained."""
        return sum(map(len, self._slots.values()))

    def have_trained(self, clients: np.ndarray) -> np.ndarray:
        """Return whether each of these hosted clients has trained [G] bool."""
        return np.array([int(c) in self._slots[self._shard_of[int(c)]] for c in clients], bool)

    def gather(self, clients: np.ndarray) -> Tensor:
        """Return the rows [G, P] of hosted clients on the device, the template where unseen."""
        return torch.stack([self._row(int(client)) for client in clients]).to(self.device)

    def scatter(self, clients: np.ndarray, rows: Tensor) -> None:
        """Keep the rows [G, P] of hosted clients."""
        for client, row in zip(clients, rows.detach().cpu(), strict=True):
            shard = self._shard_of[int(client)]
            slots = self._slots[shard]
            slot = slots.setdefault(int(client), len(slots))
            if slot >= len(self._arenas[shard]):
                grown = torch.empty(max(4, 2 * slot), row.numel())
                grown[:slot] = self._arenas[shard][:slot]
                self._arenas[shard] = grown
            self._arenas[shard][slot] = row

    def state(self, shard: int) -> dict[str, Tensor]:
        """Return ids [n] and rows [n, P] of a shard's trained clients, by id."""
        ids = sorted(self._slots[shard])
        slots = [self._slots[shard][client] for client in ids]
        return {"ids": torch.tensor(ids, dtype=torch.int64), "rows": self._arenas[shard][slots]}

    def load(self, shard: int, state: dict[str, Tensor], trained: np.ndarray) -> None:
        """Take back what `state` returned; ValueError where it cannot have.

        trained: sorted clients of the shard that have trained by now.
        """
        ids, rows = state.get("ids"), state.get("rows")
        wanted = (len(trained), self.template.numel())
        if state.keys() != {"ids", "rows"} or not np.array_equal(ids, trained):
            raise ValueError(
                f"shard {shard} holds other clients than the {len(trained)} that trained"
            )
        if rows.dtype != torch.float32 or rows.shape != wanted or not rows.isfinite().all():
            raise ValueError(
                f"shard {shard} holds rows {list(rows.shape)} {rows.dtype}, not finite ones "
                f"{list(wanted)} torch.float32"
            )
        self._slots[shard] = {int(client): slot for slot, client in enumerate(state["ids"])}
        self._arenas[shard] = state["rows"].clone()

    def _row(self, client: int) -> Tensor:
        shard = self._shard_of[client]
        slot = self._slots[shard].get(client)
        return self.template if slot is None else self._arenas[shard][slot]
