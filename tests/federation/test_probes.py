"""Probes: private parts swapped, the method switched off, the shared part at its start."""

import numpy as np
import pytest
import torch
from tiny import on_ranks, tiny_clip, tiny_federation

from pfedmma_dist.config.choices import SharedPart
from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.federation.corrections.registry import corrections_of
from pfedmma_dist.federation.corrections.resting import SharedRests
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.probes import (
    silenced,
    swapped,
    why_not_silent,
    why_not_swapped,
)
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.pfedmma import AdapterShare, PFedMMA, PFedMMAOptions
from pfedmma_dist.methods.promptfl import PromptFL
from pfedmma_dist.methods.zero_shot import ZeroShot, ZeroShotOptions
from pfedmma_dist.params import Layout
from pfedmma_dist.world import World

LOUD = PFedMMAOptions(blocks=2, rank=4, alpha=0.5)
NEUTRAL = sorted(name for name, method in METHODS.items() if method.neutral)


def trained(world: World | None = None, **keys: object) -> Federation:
    federation = tiny_federation(PFedMMA, world, LOUD, **keys)
    federation.round(0)
    return moved(federation, 1.0)


def moved(federation: Federation, by: float) -> Federation:
    """Move all numbers so far that answers change."""
    clients = np.concatenate([federation.shards[shard] for shard in federation.hosted])
    for client in clients:
        draw = torch.Generator().manual_seed(int(client))
        row = torch.randn(1, federation.layout.num_private, generator=draw)
        federation.clients.scatter(np.array([client]), by * row)
    shared = torch.randn(federation.layout.num_shared, generator=torch.Generator().manual_seed(99))
    federation.exchange.shared = by * shared
    return federation


def test_diagonal_of_swapped_private_parts_is_local() -> None:
    federation = trained()
    matrix, local = swapped(federation), federation.evaluate(full=True).percent["local"]
    assert np.array_equal(matrix.diagonal(), local)
    assert matrix.shape == (6, 6)
    assert any(len(set(column)) > 1 for column in matrix.T)


def test_finetuned_clients_swap_what_they_are_scored_with() -> None:
    matrices = []
    for epochs in (0, 3):
        tuned = {"optim": OptimConfig(lr=0.2), "evaluate": {"finetune_epochs": epochs}}
        federation = tiny_federation(PFedMMA, None, LOUD, **tuned)
        matrices.append(swapped(federation))
        local = federation.evaluate(full=True).percent["local"]
        assert np.array_equal(matrices[-1].diagonal(), local)
    assert not np.array_equal(*matrices)


def test_clients_that_never_train_swap_nothing() -> None:
    federation = trained(unseen=0.4)
    assert swapped(federation).shape == (4, 4)


def test_swapped_private_parts_are_the_same_on_any_ranks() -> None:
    alone = swapped(trained())
    for found in on_ranks(2, lambda world: swapped(trained(world))):
        assert np.array_equal(found, alone)


def test_what_cannot_be_probed_is_told() -> None:
    assert why_not_swapped(trained()) == why_not_silent(trained()) == ""
    prompts = tiny_federation(PromptFL)
    assert why_not_swapped(prompts) == "no private part: nothing to swap"
    assert why_not_silent(prompts).endswith("no value of it is zero-shot CLIP")
    assert why_not_silent(tiny_federation(ZeroShot)).startswith("nothing is trained")


@pytest.mark.parametrize("name", NEUTRAL)
def test_method_that_is_switched_off_is_zero_shot(name: str) -> None:
    federation = moved(tiny_federation(METHODS[name]), 20.0)
    reference = Examiner(federation).reference(ZeroShot(ZeroShotOptions(), tiny_clip().dims))
    found, loud = silenced(federation).percent, federation.evaluate(full=True).percent
    assert any(list(loud[scope]) != list(values) for scope, values in found.items())
    assert {scope: list(values) for scope, values in found.items()} == {
        scope: list(values) for scope, values in reference.percent.items()
    }


def resting(options: PFedMMAOptions) -> Federation:
    federation = tiny_federation(PFedMMA, None, options, unseen=0.0)
    federation.cfg.control.shared = SharedPart.at_start
    federation.corrections = corrections_of(federation.cfg, federation.method, federation.layout)
    return federation


def test_shared_part_at_its_start_keeps_its_bits_and_the_private_one_moves() -> None:
    federation = resting(LOUD)
    shared, private = federation.exchange.shared.clone(), federation.clients.template.clone()
    for index in range(2):
        federation.round(index)
    assert torch.equal(federation.exchange.shared, shared)
    rows = federation.clients.gather(np.arange(6))
    assert all((row != private).any() for row in rows)


def test_shared_part_at_its_start_changes_nothing_else_in_a_first_step() -> None:
    one, two = resting(LOUD), tiny_federation(PFedMMA, None, LOUD)
    for federation in (one, two):
        federation.cfg.federation.batch_size = 64  # a single step, which reads no moved number
        federation.steps = np.ones_like(federation.steps)
        federation.round(0)
    assert torch.equal(one.clients.gather(np.arange(6)), two.clients.gather(np.arange(6)))
    assert not torch.equal(one.exchange.shared, two.exchange.shared)


def test_what_shares_nothing_has_nothing_to_rest() -> None:
    with pytest.raises(ValueError, match=r"^control\.shared: .* set control\.shared=trained"):
        resting(PFedMMAOptions(blocks=2, rank=4, share=AdapterShare.none))


def test_rest_has_the_last_word_on_what_comes_next() -> None:
    rest = SharedRests(Layout(tiny_federation(PFedMMA, None, LOUD).method.specs))
    before, mean = torch.zeros(3), torch.ones(3)
    assert torch.equal(rest.settle(before, mean, torch.zeros(0), 1.0), before)
