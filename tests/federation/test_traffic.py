"""The costs that are reported are what moves: in clients, to the server, and through the ranks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from tiny import tiny_federation
from torch import Tensor

from pfedmma_dist.exchange import Download
from pfedmma_dist.exchange.experts import Upload
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.trainer import LocalResult, LocalTrainer
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.fedmvp_options import FedMVPOptions
from pfedmma_dist.methods.lora_options import LoRAOptions, Train
from pfedmma_dist.methods.merging import Merge
from pfedmma_dist.methods.pfedmoap import PFedMoAPOptions

CASES = {
    **{name: (name, None) for name in METHODS if name != "zero_shot"},
    "pfedmoap": ("pfedmoap", PFedMoAPOptions(num_experts=2)),
    "fedmvp": ("fedmvp", FedMVPOptions(low_rank_from=1)),
    "FFA-LoRA": ("lora", LoRAOptions(train=Train.B)),
    "RoLoRA": ("lora", LoRAOptions(train=Train.alternate)),
    "FedEx-LoRA": ("lora", LoRAOptions(merge=Merge.residual)),
    "FLoRA": ("lora", LoRAOptions(merge=Merge.product)),
}
SCALARS = 3
"""Loss, image passes and the wish to stop, which travel behind what is shared."""


NUM_CLIENTS = 6
DENSE = 3 * 2 * (2 * 64**2)  # of q and v in the top 3 blocks of two towers of width 64
EXPERT = 16 * 64
BESIDE = {
    "pfedmoap": NUM_CLIENTS * (EXPERT // 2 + 2),  # float32 by pairs, and whose each has
    "FedEx-LoRA": DENSE,  # the products, which a real server makes itself
    "FLoRA": DENSE,
}
"""Numbers of 8 bytes in the collective of a round that no client sends."""


@dataclass
class Watched:
    """What was seen of a federation's rounds."""

    made: Federation
    moved: Tensor  # [P + S] numbers of a row that any client's training has moved
    received: set[int]  # numbers that a client was handed in the last round
    summed: list[int]  # numbers that the rank handed to the collective of each round


def handed_beside(extra: Any, place: int) -> int:
    """Return how many numbers came to a client beside the shared part."""
    if isinstance(extra, list):
        assert all(isinstance(one, Upload) for one in extra[place])
        return sum(one.row.numel() for one in extra[place])
    dense = getattr(extra, "dense", None)
    return 0 if dense is None else dense.numel()


def watch(case: str, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Run three rounds of everybody."""
    name, options = CASES[case]
    made = tiny_federation(METHODS[name], options=options, rounds=3)
    seen = Watched(made, torch.zeros(made.layout.num_trained, dtype=torch.bool), set(), [])
    train, download, add = LocalTrainer.train, made.exchange.download, made.world.exact_sum

    def trained(self: LocalTrainer, theta: Tensor, *words: Any) -> LocalResult:
        result = train(self, theta, *words)
        seen.moved |= (result.theta != theta).any(dim=0)
        return result

    def downloaded(clients: np.ndarray, *, training: bool) -> Download:
        found = download(clients, training=training)
        for place, row in enumerate(found.shared if training else ()):
            seen.received.add(len(row) + handed_beside(found.extra, place))
        return found

    def added(numbers: Tensor) -> Tensor:
        assert numbers.dtype == torch.int64
        seen.summed.append(len(numbers))
        return add(numbers)

    monkeypatch.setattr(LocalTrainer, "train", trained)
    made.exchange.download, made.world.exact_sum = downloaded, added
    for _ in range(3):
        seen.received.clear()
        stats = made.round(len(seen.summed))
        assert stats.rank_bytes == 8 * seen.summed[-1]
    return seen


@pytest.mark.parametrize("case", CASES)
def test_numbers_that_are_told_are_those_that_move(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watch(case, monkeypatch)
    made, cost = seen.made, seen.made.cost()
    assert int(seen.moved.sum()) == made.num_trained
    restart = made.layout.num_shared if case == "FLoRA" else 0  # made anew by the seed, not sent
    assert seen.received == {cost.start + cost.down + restart}
    sent = [count - SCALARS - BESIDE.get(case, 0) for count in seen.summed]
    assert sent == 3 * [cost.up]
    assert (cost.bytes_up, cost.bytes_down) == (4 * cost.up, 4 * cost.down)
    assert made.cost(1).up == (0 if cost.once else cost.up)
