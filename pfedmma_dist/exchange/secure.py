"""Secure sums: rows that go up under masks, which cancel in the sum of a round to the bit.

Bonawitz et al., Practical secure aggregation, CCS 2017, over whole numbers modulo 2^64, of which
the sums of this program are made anyway. Client u of a round's n sends

    y_u = x_u + PRG(b_u) + sum_{v > u} PRG(s_uv) - sum_{v < u} PRG(s_uv)

with a seed b_u of its own and one s_uv that it agrees on with each other client. The server adds up
y_u of those that stay. With shares from t of these it puts together b_u of all that stay, and the
key of each that has gone, and takes out what is left of the masks.

Masks are drawn, shares made and secrets put together as the protocol has it, so a mistake would
show in every bit. Key agreement is Diffie and Hellman's in a group that is far too small to be safe
(the ledger counts X25519's bytes), all secrets follow from the run's seed, and a client's image
count is not masked. Every rank draws the masks of its own clients and plays the server.
"""

import hashlib
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pfedmma_dist.exchange import BYTES, Cost
from pfedmma_dist.exchange.shamir import PRIME, share, weights
from pfedmma_dist.rng import generator

BASE = 43
"""Of the powers modulo PRIME that clients make public."""

KEY_BYTES, SHARE_BYTES, TAG_BYTES, MASKED_BYTES = 32, 16, 16, 8
"""A public key (X25519); a share; what a sealed message is longer by; a masked number."""


class Masking:
    """The masks of the open round."""

    def __init__(self, size: int, seed: int, threshold: float) -> None:
        """size: S. seed: the run's. threshold: share of a round's clients that must stay."""
        self.size, self.seed, self.threshold = size, seed, threshold
        self.agreed: list[int] = []
        self.stayed: list[int] = []

    def open(self, round_index: int, agreed: np.ndarray, stayed: np.ndarray) -> None:
        """Let clients agree on seeds, and some of them stay until the round closes."""
        self.round_index, self.agreed, self.stayed = round_index, agreed.tolist(), stayed.tolist()
        self.needed = self.check(round_index, len(agreed), len(stayed))
        self.holders = [1 + self.agreed.index(one) for one in self.stayed[: self.needed]]
        self.weights = weights(self.holders)
        self.keys = {client: self._secret("key", client) for client in self.agreed}
        self.public = {client: pow(BASE, own, PRIME) for client, own in self.keys.items()}

    def check(self, round_index: int, num_agreed: int, num_stayed: int) -> int:
        """Return how many clients must stay to unmask a round's sum; ValueError where too few
        do."""
        needed = max(2, int(np.ceil(self.threshold * num_agreed)))
        if num_stayed < needed:
            raise ValueError(
                f"exchange.secure: {num_stayed} of {num_agreed} clients stay in round "
                f"{round_index + 1}, and it takes {needed} to unmask their sum "
                "(exchange.threshold, 2 at least); raise federation.fraction, lower "
                "exchange.threshold, or set exchange.secure=false"
            )
        return needed

    def mask(self, clients: np.ndarray, rows: Tensor) -> Tensor:
        """Return what clients [G] send in place of rows [G, S] int64."""
        masked = rows.numpy().view(np.uint64).copy()
        for row, client in zip(masked, clients.tolist(), strict=True):
            row += self._stream(self._secret("self", client))
            for other in self.agreed:
                if other != client:
                    self._pair(row, client, self.keys[client], other)
        return torch.from_numpy(masked.view(np.int64))

    def unmask(self, total: Tensor) -> Tensor:
        """Return the sum of the rows of those that stayed [S] int64; total: of what they sent."""
        left = total.numpy().view(np.uint64).copy()
        for client in self.stayed:
            left -= self._stream(self._rebuilt("self", client))
        for gone in sorted(set(self.agreed) - set(self.stayed)):
            key = self._rebuilt("key", gone)
            for client in self.stayed:
                self._pair(left, gone, key, client)  # what it would have sent cancels the rest
        return torch.from_numpy(left.view(np.int64))

    def cost(self, cost: Cost, num_clients: int) -> Cost:
        """Return the traffic of a client in a round of so many.

        Up: two public keys, sealed shares of two secrets for each other client, the masked row, a
        share of one secret of each client. Down: the keys and sealed shares of the others, the
        shared part, and who has stayed.
        """
        others, sealed = num_clients - 1, 2 * SHARE_BYTES + TAG_BYTES
        beside = cost.up - self.size
        up = 2 * KEY_BYTES + others * sealed + MASKED_BYTES * self.size + num_clients * SHARE_BYTES
        down = others * (2 * KEY_BYTES + sealed) + -(-num_clients // 8)
        return replace(cost, up_bytes=up + BYTES * beside, down_bytes=cost.bytes_down + down)

    def _pair(self, row: np.ndarray, client: int, key: int, other: int) -> None:
        """Add to a row [S], in place, the mask of a client towards another one."""
        stream = self._stream(pow(self.public[other], key, PRIME))
        if other > client:
            row += stream
        else:
            row -= stream

    def _secret(self, purpose: str, client: int) -> int:
        """Return a client's secret of the round."""
        return self._drawn(f"secure {purpose}", client, 1)[0]

    def _rebuilt(self, purpose: str, client: int) -> int:
        """Return a client's secret of the round, from the shares of the first that stayed."""
        others = self._drawn(f"secure {purpose} shares", client, self.needed - 1)
        shares = share(self._secret(purpose, client), others, self.holders)
        return sum(w * s for w, s in zip(self.weights, shares, strict=True)) % PRIME

    def _drawn(self, purpose: str, client: int, count: int) -> list[int]:
        """Return numbers below PRIME, a function of seed, round and client."""
        rng = generator(self.seed, purpose, self.round_index, client)
        raw = rng.bytes(16 * count)
        return [int.from_bytes(raw[16 * i : 16 * i + 16], "little") % PRIME for i in range(count)]

    def _stream(self, secret: int) -> np.ndarray:
        """Return the mask [S] uint64 that a secret stands for in this round."""
        words = b"mask" + self.round_index.to_bytes(8, "little") + secret.to_bytes(16, "little")
        key = int.from_bytes(hashlib.blake2b(words, digest_size=16).digest(), "little")
        return np.random.Philox(key=key).random_raw(self.size)
