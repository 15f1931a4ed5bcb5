"""Time secure sums of a round: `python benchmarks/secure.py [--clients 100] [--gone 5]`.

Masks, shares and unmasking of one round at S = 3,072 numbers, all clients on one rank, one thread,
beside the plain sum of the same rows; the two sums are held to the same bits.
"""

import argparse
import time

import numpy as np
import torch

from pfedmma_dist.exchange.secure import Masking


def main() -> None:
    """Time one round and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--gone", type=int, default=5, help="of them, after they have masked")
    parser.add_argument("--numbers", type=int, default=3072)
    words = parser.parse_args()
    torch.set_num_threads(1)
    rng, agreed = np.random.default_rng(0), np.arange(words.clients)
    stayed = np.sort(rng.choice(agreed, words.clients - words.gone, replace=False))
    rows = torch.from_numpy(rng.integers(-(2**40), 2**40, (words.clients, words.numbers)))
    there = torch.from_numpy(np.isin(agreed, stayed))
    masking, marks = Masking(words.numbers, 1, 0.67), [time.process_time()]
    masking.open(0, agreed, stayed)
    marks.append(time.process_time())
    sent = masking.mask(agreed, rows)
    marks.append(time.process_time())
    total = masking.unmask(sent[there].sum(dim=0))
    marks.append(time.process_time())
    plain = rows[there].sum(dim=0)
    marks.append(time.process_time())
    assert torch.equal(total, plain)
    agree, mask, unmask, beside = np.diff(marks)
    print(
        f"{words.clients} clients, {words.gone} gone, {words.numbers:,} numbers, CPU seconds: keys "
        f"{agree:.3f}, masks {mask:.3f}, unmasking {unmask:.3f}, together "
        f"{agree + mask + unmask:.3f}; the plain sum {beside:.4f}"
    )


if __name__ == "__main__":
    main()
