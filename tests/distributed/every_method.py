"""Have runs stopped one after another: `every_method.py FOLDER METHOD ... -- [key=value ...]`.

Rank 1 is asked to stop in the middle of round 1 of each; the runs are FOLDER/METHOD.
"""

import sys

from driver import MISHAPS, arrange

from pfedmma_dist import command, train
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.run.signals import STOPPED


def stopped(words: list[str]) -> int:
    """Train until the stop; return the exit code."""
    undisturbed = Federation.round
    arrange(MISHAPS["term"], rank=1, round_index=1)
    try:
        return train.main(words)
    finally:
        Federation.round = undisturbed


if __name__ == "__main__":
    cut = sys.argv.index("--")
    (folder, *names), words = sys.argv[1:cut], sys.argv[cut + 1 :]
    runs = ([*words, f"method.name={name}", f"run.folder={folder}/{name}"] for name in names)
    command.leave(0 if {stopped(run) for run in runs} == {STOPPED} else 1)
