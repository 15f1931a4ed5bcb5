"""Randomness as a function of (seed, purpose, keys): nothing random is ever carried along.

Any rank can so draw any client's numbers of any round, and a resumed run draws the same ones.
"""

import hashlib
from dataclasses import dataclass

import numpy as np


def generator(seed: int, purpose: str, *keys: int) -> np.random.Generator:
    """Return the counter-based generator of these words; equal words, equal numbers."""
    words = ":".join([str(seed), purpose, *(str(int(key)) for key in keys)])
    digest = hashlib.blake2b(words.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


@dataclass(frozen=True)
class Key:
    """What the randomness of one client's local step is a function of."""

    seed: int
    round_index: int
    client: int
    step: int  # of the round

    def generator(self, purpose: str) -> np.random.Generator:
        """Return the generator of a purpose; the same at any world size and in any cohort."""
        keys = self.round_index, self.client, self.step
        return generator(self.seed, f"step {purpose}", *keys)
