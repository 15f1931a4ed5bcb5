"""The pool of experts: beside the mean, clients are handed what others sent last."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.exchange import Cost, Download
from pfedmma_dist.exchange.average import demand
from pfedmma_dist.exchange.gathered import Gathered, Opened
from pfedmma_dist.exchange.server import Server
from pfedmma_dist.rng import generator


class Choice(Enum):
    """Whose prompts become a client's experts."""

    nearest = "nearest"
    random = "random"


@dataclass(frozen=True, eq=False)
class Upload:
    """What a client once sent: a constant, alive as long as a client needs it."""

    row: Tensor  # [S] float32
    derived: dict[Any, Any] = field(default_factory=dict)
    """What a method computed from the row alone, by what else it took: computed once."""


class ExpertPool(Gathered):
    """FedAvg beside a pool of all clients' last uploads (pFedMoAP, Luo et al., ICLR 2025).

    A client trains from the mean. From its second participation on it is also handed the uploads of
    up to E others, as the round before left them: `nearest` in L2 to its own last one, ties by
    number, or `random`, in an order drawn once for each client. It is scored with what its training
    left it with: its own upload and the experts of that training; the mean and no expert where it
    never trained: a gate that saw no expert yet is worth nothing. (Published code adds uploads in
    the middle of a round.) `Download.extra` is one tuple of `Upload`s per client.

    Every rank holds every upload that is a client's last one or some client's expert, each once: at
    S = 8,192 32 KiB, and two of them per client where all take part in all rounds (640 KiB at 10
    clients, 64 MiB at 1,000); 1 + E at worst; none for a client that never trained.
    """

    uniform = False

    def __init__(
        self,
        template: Tensor,
        num_experts: int,
        choice: Choice,
        seed: int,
        server: Server | None = None,
    ) -> None:
        """template: shared part [S] float32. num_experts: E. server: see `Average`."""
        super().__init__(template, server, num_experts)
        self.num_experts, self.choice, self.seed = num_experts, choice, seed
        self.last: dict[int, Upload] = {}  # by client, where it has trained
        self.experts: dict[int, tuple[Upload, ...]] = {}  # those it trained with last
        self.handed: dict[int, list[int]] = {}  # in the open round, by client hosted here: whose

    def download(self, clients: np.ndarray, *, training: bool) -> Download:
        """Return mean and new experts for training; for scoring what training left."""
        if training:
            chosen = self._choose(clients.tolist())
            self.handed.update(chosen)
            experts = [tuple(self.last[other] for other in own) for own in chosen.values()]
            return Download(self.shared.expand(len(clients), -1), experts)
        own = [self.last.get(client) for client in clients.tolist()]
        rows = [self.shared if upload is None else upload.row for upload in own]
        experts = [self.experts.get(client, ()) for client in clients.tolist()]
        return Download(torch.stack(rows), experts)

    def beside(self, client: int) -> Tensor:
        """Return whose uploads a client was handed for the open round [E], -1 for none."""
        handed = torch.full((self.num_experts,), -1)
        others = self.handed[client]
        handed[: len(others)] = torch.tensor(others, dtype=torch.int64)
        return handed

    def combine(self, mean: Tensor, opened: Opened) -> Tensor:
        """Return what the server makes of the round, once the uploads are in the pool."""
        for client, own in zip(opened.clients, opened.beside.tolist(), strict=True):
            self.experts[client] = tuple(self.last[other] for other in own if other >= 0)
        for client, row in zip(opened.clients, opened.rows, strict=True):
            self.last[client] = Upload(row.clone())  # a view would hold the whole round's rows
        self.handed = {}
        return super().combine(mean, opened)

    def state(self) -> dict[str, Tensor]:
        """Return the mean, the uploads [n, S], and which of them [k, 1 + E] clients [k] hold."""
        clients = sorted(self.last)
        places: dict[Upload, int] = {}
        held = torch.full((len(clients), 1 + self.num_experts), -1)
        for index, client in enumerate(clients):
            own = (self.last[client], *self.experts[client])
            for place, upload in enumerate(own):
                held[index, place] = places.setdefault(upload, len(places))
        rows = [self.shared.new_empty(0, len(self.shared)), *(u.row[None] for u in places)]
        numbers = torch.tensor(clients, dtype=torch.int64)
        return {**super().state(), "clients": numbers, "held": held, "uploads": torch.cat(rows)}

    def load(self, state: dict[str, Tensor], trained: np.ndarray) -> None:
        """Take back what `state` returned."""
        num_uploads = len(state.get("uploads", ()))
        pool = {
            "clients": (torch.int64, (len(trained),)),
            "held": (torch.int64, (len(trained), 1 + self.num_experts)),
            "uploads": (torch.float32, (num_uploads, len(self.shared))),
        }
        mean = {name: tensor for name, tensor in state.items() if name not in pool}
        demand({name: state[name] for name in pool if name in state}, pool)
        held = state["held"]
        if not np.array_equal(state["clients"], trained):
            raise ValueError(f"the pool is of other clients than the {len(trained)} that trained")
        if bool((held < -1).any() or (held >= num_uploads).any() or (held[:, 0] < 0).any()):
            raise ValueError("the pool names uploads that it does not hold")
        super().load(mean, trained)
        uploads = [Upload(row.clone()) for row in state["uploads"]]
        self.last, self.experts = {}, {}
        for client, held in zip(state["clients"].tolist(), state["held"].tolist(), strict=True):
            own, *experts = (uploads[place] for place in held if place >= 0)
            self.last[client], self.experts[client] = own, tuple(experts)

    def cost(self) -> Cost:
        """The upload, E experts where as many others have trained, and apart from them the mean."""
        num_shared = self.shared.numel()
        return Cost(up=num_shared, down=self.num_experts * num_shared, start=num_shared)

    def _choose(self, clients: list[int]) -> dict[int, list[int]]:
        """Return whose uploads each client gets that trains now, none before its first."""
        known = sorted(self.last)
        rows = torch.stack([self.last[other].row for other in known]) if known else self.shared
        chosen: dict[int, list[int]] = {}
        for client in clients:
            order = self._order(client, known, rows) if client in self.last else []
            chosen[client] = [known[place] for place in order if known[place] != client]
        return {client: own[: self.num_experts] for client, own in chosen.items()}

    def _order(self, client: int, known: list[int], rows: Tensor) -> list[int]:
        """Sort the places of the known clients, of last uploads [k, S], for one of them."""
        if self.choice is Choice.random:
            keys = generator(self.seed, "experts", client).random(known[-1] + 1)[known]
        else:
            # Pair by pair: through a matrix product, equal rows would differ by rounding.
            mode = "donot_use_mm_for_euclid_dist"
            keys = torch.cdist(self.last[client].row[None], rows, compute_mode=mode)[0].numpy()
        return np.argsort(keys, kind="stable").tolist()
