"""Bits: moves of shared rows, sent in few bits and few numbers; what is lost goes with the next.

A client sends its move v = row - start, and what earlier ones have left out, m (error feedback:
Seide et al., Interspeech 2014; Karimireddy et al., ICML 2019):

    v = row - start + m        kept: the largest of |v|, a share `top` of them (Stich et al., 2018)
    s = max |v| / L            L = 2^(bits - 1) - 1, the highest level
    q = floor(v / s + u)       u uniform on [0, 1): E[s q] = v (QSGD, Alistarh et al., NIPS 2017)
    sent: q, s and, where not all are kept, which        m = v - s q

The draws u are a function of seed, round and client; sent are whole levels and one float32.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from pfedmma_dist.exchange import BYTES, Cost
from pfedmma_dist.exchange.uplink import Parcel, Stage
from pfedmma_dist.rng import generator

WHOLE = 32
"""Bits of a number that is sent as it is."""


class Coarse(Stage):
    """Rounds moves to few levels, at random and without bias, and leaves the smallest out."""

    def __init__(self, size: int, bits: int, top: float, feedback: bool, seed: int) -> None:
        """size: S. bits: of a number. top: share of the numbers that is sent, one at least.
        feedback: whether what is left out goes with a client's next upload."""
        self.size, self.bits, self.seed, self.feedback = size, bits, seed, feedback
        self.num_kept = max(1, math.ceil(top * size))
        self.num_memory = size if feedback else 0

    def send(self, parcel: Parcel) -> tuple[Parcel, Tensor]:
        """Return rows that the server can make from what was sent, and what was left out."""
        move = parcel.rows.double() - parcel.start.double()
        if self.feedback:
            move = move + parcel.memory.double()
        sent = self._rounded(self._largest(move), parcel)
        rows = (parcel.start.double() + sent).float()
        memory = (move - sent).float() if self.feedback else parcel.memory
        return replace(parcel, rows=rows, memory=memory), super().send(parcel)[1]

    def _largest(self, move: Tensor) -> Tensor:
        """Return moves [G, S] with zeros for all but the largest; of equals, the first ones."""
        if self.num_kept == self.size:
            return move
        order = move.abs().sort(dim=1, descending=True, stable=True).indices[:, : self.num_kept]
        return torch.zeros_like(move).scatter(1, order, move.gather(1, order))

    def _rounded(self, move: Tensor, parcel: Parcel) -> Tensor:
        """Return moves [G, S] on the levels of each client."""
        if self.bits == WHOLE:
            return move.float().double()
        highest = 2 ** (self.bits - 1) - 1
        step = (move.abs().amax(dim=1, keepdim=True) / highest).float().double()
        rounded = torch.zeros_like(move)
        for index, client in enumerate(parcel.clients.tolist()):
            if step[index] == 0:  # it did not move, or by less than float32 tells
                continue
            draw = generator(self.seed, "rounding", parcel.round_index, client).random(self.size)
            level = (move[index] / step[index] + torch.from_numpy(draw)).floor()
            rounded[index] = level.clamp(-highest, highest) * step[index]
        return rounded

    def cost(self, cost: Cost) -> Cost:
        """Levels go up and, where these are, the step of the levels and which numbers they are of;
        what comes down is whole."""
        bits = self.num_kept * self.bits + (WHOLE if self.bits < WHOLE else 0)
        if self.num_kept < self.size:
            bits += self.num_kept * max(1, math.ceil(math.log2(self.size)))
        others = cost.up - self.size  # what an exchange sends beside rows
        return replace(cost, up=self.num_kept + others, up_bytes=-(-bits // 8) + BYTES * others)
