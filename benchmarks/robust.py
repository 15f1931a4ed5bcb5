"""Time rules on a round of uploads, by one thread: `python -m benchmarks.robust`.

Prints, for each rule, the least CPU seconds of some tries and its most memory beside the uploads,
at S = 3,072 (pFedMMA) and as many clients as asked for.
"""

import argparse
import resource
import time

import numpy as np
import torch

from pfedmma_dist.exchange.robust import CENTRES, Guard, Opening, centre
from pfedmma_dist.world import to_fixed

TRIES = 3


def drawn(num_clients: int, num_shared: int) -> Opening:
    """Return uploads that lie about a start as those of a round do, a tenth of them far away."""
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((num_clients, num_shared)).astype(np.float32)
    rows[: num_clients // 10] *= 10
    counts = rng.integers(1, 100, num_clients)
    weight = to_fixed(torch.from_numpy(counts / counts.sum()))
    return Opening(torch.from_numpy(rows), weight, torch.zeros(num_shared))


def main() -> None:
    """Time each rule."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--clients", type=int, default=1000)
    words.add_argument("--shared", type=int, default=3072)
    words.add_argument("--byzantine", type=int, default=100)
    words.add_argument("--rules", nargs="*", default=list(CENTRES))
    asked = words.parse_args()
    torch.set_num_threads(1)
    found = drawn(asked.clients, asked.shared)
    size = found.rows.numel() * 4 / 2**20
    print(f"{asked.clients:,} uploads of {asked.shared:,} numbers: {size:.1f} MiB")
    for name in asked.rules:
        seconds = []
        for _ in range(TRIES):
            begin = time.process_time()
            centre(name, found, Guard(byzantine=asked.byzantine))
            seconds.append(time.process_time() - begin)
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        print(f"{name:18} {1000 * min(seconds):8.0f} ms CPU, peak so far {most:,.0f} MiB")


if __name__ == "__main__":
    main()
