"""The federation computes what a second one, written from the definitions, computes."""

from itertools import cycle

import numpy as np
import pytest
import torch
from sequential import Sequential, flat
from tiny import joined_sets, tiny_federation
from ways import one_of_each_way

from pfedmma_dist.config.choices import (
    CorrectionName,
    Optimiser,
    Schedule,
    ServerRule,
    Softmax,
    Unit,
)
from pfedmma_dist.config.learning import CorrectionConfig, OptimConfig, ServerConfig
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.fedmvp_options import FedMVPOptions
from pfedmma_dist.methods.fedpha import FedPHAOptions
from pfedmma_dist.methods.lora_options import LoRAOptions, Train
from pfedmma_dist.methods.merging import Merge
from pfedmma_dist.methods.pfedmoap import PFedMoAPOptions

COMMON = {"fraction": 0.5, "drop_last": False, "rounds": 2}
TWICE = {"local_epochs": 2}
ROUNDLESS = ("zero_shot", "class_means", "gda")
CORRECTIONS = [kind for kind in CorrectionName if kind is not CorrectionName.none]
CASES = {
    # Both sides call a method's own functions, so one stands for all of its way through a round.
    # Without zero-shot CLIP, whose runs have no round, and what only adds up: test_gda pools it.
    **{name: (name, {}) for name in one_of_each_way(list(METHODS)) if name not in ROUNDLESS},
    "softmax": ("pfedmma", {"softmax": Softmax.own}),
    **{f"{name} on two sets": (name, {"task": joined_sets()}) for name in ("fedtpg", "pfedmoap")},
    "softmax on two sets": ("tcp", {"task": joined_sets(), "softmax": Softmax.own}),
    "FFA-LoRA": ("lora", {"options": LoRAOptions(train=Train.B)}),
    "own lengths": ("fedpha", {"options": FedPHAOptions(num_context=4, own_lengths=[5, 2, 3])}),
    "fedmvp": ("fedmvp", {"options": FedMVPOptions(low_rank_from=1)}),
    "RoLoRA": ("lora", {"options": LoRAOptions(train=Train.alternate)}),
    "padded LoRA, adam kept": (
        "lora",
        {
            "options": LoRAOptions(blocks=1, ranks=[2, 1]),
            "optim": OptimConfig(name=Optimiser.adam, keep_state=True, eps=1e-4),
        },
    ),
    "HetLoRA": (
        "lora",
        {
            "options": LoRAOptions(blocks=1, ranks=[1, 3, 2], merge=Merge.norm),
            "optim": OptimConfig(lr=0.1, keep_state=True),
        },
    ),
    "FlexLoRA": (
        "lora",
        {
            "options": LoRAOptions(blocks=1, ranks=[1, 3, 2], merge=Merge.svd),
            "optim": OptimConfig(lr=0.1),
        },
    ),
    "proximal": ("promptfl", {"proximal": 0.5, **TWICE}),
    "drop_last": ("pfedmma", {"drop_last": True, **TWICE}),
    "adamw, cosine of rounds, warm-up": (
        "pfedmma",
        {
            "optim": OptimConfig(
                # At its own eps, a gradient of rounding noise alone moves a number as far as any.
                name=Optimiser.adamw,
                schedule=Schedule.cosine,
                warmup=1,
                weight_decay=0.1,
                eps=1e-4,
            ),
            "rounds": 3,  # one of warm-up, then two of a falling rate
        },
    ),
    "nesterov, kept, steps": (
        "lora",
        {
            "optim": OptimConfig(
                nesterov=True, keep_state=True, schedule=Schedule.step, step_size=1, unit=Unit.steps
            )
        },
    ),
    "adam kept": (
        "promptfl",
        {"optim": OptimConfig(name=Optimiser.adam, keep_state=True, eps=1e-4)},
    ),
    "one expert": ("pfedmoap", {"options": PFedMoAPOptions(num_experts=1), "fraction": 1.0}),
    **{
        f"server {rule.value}": (
            "pfedmma",
            {"server": ServerConfig(name=rule, lr=0.1, byzantine=0)},
        )
        for rule in ServerRule
    },
    **{
        f"{kind.value} of {name}": (
            name,
            {
                **TWICE,
                "correction": CorrectionConfig(name=kind),
                "evaluate": {"finetune_epochs": int(kind is CorrectionName.fedbabu)},
            },
        )
        for kind, name in zip(CORRECTIONS, cycle(("pfedmma", "fedpgp")))  # noqa: B905
    },
}


def both(case: str) -> tuple[Federation, Sequential]:
    name, keys = CASES[case]
    made = tiny_federation(METHODS[name], **{**COMMON, **keys})
    features = made.sources.train
    return made, Sequential(made.cfg, made.task, made.method, made.texts, features)


@pytest.mark.parametrize("case", CASES)
def test_a_second_federation_agrees(case: str) -> None:
    made, second = both(case)
    start = flat(second.shared), flat(second.clients[0].private)
    chosen = [set(second.participants(index)) for index in range(2)]
    assert chosen[0] & chosen[1]  # or nothing that a client keeps would be asked for
    for index in range(made.cfg.federation.rounds):
        assert made.round(index).loss == pytest.approx(second.round(index), abs=2e-5)
    shared, private = flat(second.shared), [flat(client.private) for client in second.clients]
    tight = {"rtol": 1e-4, "atol": 2e-6}
    torch.testing.assert_close(made.exchange.shared, shared, **tight)
    everybody = np.arange(len(private))
    rows = made.clients.gather(everybody)[:, : made.layout.num_private]
    torch.testing.assert_close(rows, torch.stack(private), **tight)
    theta, _ = made.start(everybody, training=False)
    held = torch.stack([flat(second.held_by(k)) for k in everybody])
    torch.testing.assert_close(theta, held, **tight)
    moved = [
        (a - b).abs().max() for a, b in zip((shared, private[0]), start, strict=True) if len(a)
    ]
    assert not moved or max(moved) > 30 * tight["atol"]  # else they would agree on nothing
    scores = second.scores()
    for scope, found in made.evaluate(full=True).percent.items():
        np.testing.assert_allclose(found, scores[scope], atol=1e-9, err_msg=scope)
