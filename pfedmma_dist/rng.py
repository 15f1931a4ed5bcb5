"""Randomness as a function of (seed, purpose, keys): nothing random is ever carried along.

Any rank can so draw any client's numbers of any round, and a resumed run draws the same ones.
"""

import hashlib

import numpy as np


def generator(seed: int, purpose: str, *keys: int) -> np.random.Generator:
    """Return the counter-based generator of these words; equal words, equal numbers."""
    words = ":".join([str(seed), purpose, *(str(int(key)) for key in keys)])
    digest = hashlib.blake2b(words.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
