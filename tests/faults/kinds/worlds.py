"""Other numbers of ranks after a kill or a stop: W1 begins, W2 goes on."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from itertools import permutations

from pfedmma_dist.federation.federation import Federation
from tests.faults.base import Base, kill_in_round
from tests.faults.place import Place
from tests.faults.ranks import Hook
from tests.faults.trial import Ending, Kind, Trial, Verdict
from tests.faults.whole import Whole

SIZES = (1, 2, 3, 4, 8)
METHODS = ("pfedmma", "pfedmoap", "lora")
CHANGES = {
    "federation__num_shards": 8, "federation__fraction": 0.7, "data__num_clients": 11,
    "data__task": "label_shift", "data__partition": "iid", "run__checkpoint_every": 1,
}  # fmt: skip


def change(
    place: Place, first: int, second: int, stop: bool, changes: dict[str, object], whole: Whole
) -> Iterator[Verdict]:
    """Begin with some ranks, kill or stop them in round 2, and go on with others."""
    words = place.words(**changes)
    hook = stop_in_round(2) if stop else kill_in_round(2)
    before = place.start(words, first, hook).wait()
    name = f"{first} -> {second}, {'stopped' if stop else 'killed'}, {changes['method__name']}"
    codes = {end.code for end in before}
    if codes != ({75} if stop else {-9}):
        yield Verdict(name, Ending.FAILED, f"the first start ended with {codes}")
        return
    yield place.judge(name, place.start(words, second).wait(), whole, before=before)


def stop_in_round(round_index: int) -> Hook:
    """Return a hook that asks the last rank to stop as a round begins."""

    def hook(rank: int) -> None:
        original = Federation.round

        def round_asked(self: Federation, index: int, *words: object) -> object:
            if index == round_index and self.world.rank == self.world.size - 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return original(self, index, *words)

        Federation.round = round_asked

    return hook


def trials(base: Base) -> Iterator[Trial]:
    """Yield every ordered pair, the methods and the two ways to end in turn."""
    for number, (first, second) in enumerate(permutations(SIZES, 2)):
        method = METHODS[number % len(METHODS)]
        changes = CHANGES | {"method__name": method}
        play = partial(
            change, first=first, second=second, stop=number % 2 == 1, changes=changes,
            whole=base.whole(**changes),
        )  # fmt: skip
        yield Trial(f"{first} -> {second}", play, 240)


KINDS = [
    Kind(
        "W1 ranks, killed or stopped in round 2, then W2 ranks; all pairs of 1, 2, 3, 4, 8",
        "11 clients on 8 shards, three methods in turn; the same bits",
        trials,
    )
]
