"""Train, and meet with a mishap on the way: `driver.py MISHAP RANK ROUND [key=value ...]`.

The mishap comes over one rank in the middle of a round, after its first cohort, and at the first
start only: a restart by torchrun is spared.
"""

import os
import signal
import sys
from collections.abc import Callable

import torch

from pfedmma_dist import command, train
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.trainer import LocalTrainer
from pfedmma_dist.run import signals


def twice() -> None:
    """Be asked to stop, and then, without waiting, once more."""
    signals.ECHO_SECONDS = -1.0
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)


def fill() -> None:
    """Leave the device no memory for another step."""

    def full(*words: object, **more: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    LocalTrainer.gradient = full


MISHAPS: dict[str, Callable[[], None]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "term": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "twice": twice,
    "hang": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "fill": fill,
    "orphan": lambda: os.kill(os.getppid(), signal.SIGKILL),
}


def arrange(mishap: Callable[[], None], rank: int, round_index: int) -> None:
    """Let the mishap come over `rank` after its first cohort of a round."""
    train_round = Federation.round

    def round_with_mishap(self: Federation, index: int, *words: object) -> object:
        advance = self.on_cohort

        def after_cohort(num_clients: int) -> None:
            advance(num_clients)
            self.on_cohort = advance
            mishap()

        if (self.world.rank, index) == (rank, round_index):
            self.on_cohort = after_cohort
        return train_round(self, index, *words)

    Federation.round = round_with_mishap


if __name__ == "__main__":
    name, rank, round_index, *words = sys.argv[1:]
    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        arrange(MISHAPS[name], int(rank), int(round_index))
    command.leave(train.main(words))
