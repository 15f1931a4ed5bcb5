"""Clients are finetuned on a copy before they are scored, and FedBABU leaves the head to that."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import SIZES, NoiseFeatures, batches, on_ranks, same_state, tiny_clip, tiny_federation
from torch import Tensor

from pfedmma_dist.config.choices import CorrectionName, Part
from pfedmma_dist.config.learning import CorrectionConfig, OptimConfig
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.promptfl import PromptFL
from pfedmma_dist.methods.zero_shot import ZeroShot
from pfedmma_dist.world import World

EVERYBODY = np.arange(len(SIZES))
OPTIM = OptimConfig(lr=0.1)
BABU = CorrectionConfig(name=CorrectionName.fedbabu)


def trained(
    method: type = PFedMMA, world: World | None = None, rounds: int = 1, **evaluate: object
) -> Federation:
    federation = tiny_federation(method, world, optim=OPTIM, evaluate=evaluate)
    for index in range(rounds):
        federation.round(index)
    return federation


def finetuned_slowly(federation: Federation, client: int, epochs: int) -> Tensor:
    """Train a prompt on one client's images with torch.optim.SGD."""
    clip, cfg = tiny_clip(), federation.cfg
    context = federation.exchange.shared.clone().view(1, 16, -1).requires_grad_()
    optimizer = torch.optim.SGD(
        [context], lr=OPTIM.lr, momentum=OPTIM.momentum, weight_decay=OPTIM.weight_decay
    )
    plan = SimpleNamespace(batch_size=4, local_epochs=epochs, drop_last=True)
    features = NoiseFeatures(clip)
    rows = [federation.task.train.rows(client)]
    order = cfg.federation.rounds  # a round that never comes
    for batch in batches(rows, np.array([client]), plan, cfg.seed, order, 1):
        images = features.rows(federation.method.images, (batch.rows[0], None))
        vectors = federation.train_text.with_context(context)[0]
        labels = torch.from_numpy(federation.label_of(batch.rows[0]))
        own = batch.weight[0] > 0
        loss = F.cross_entropy((clip.scale * images @ vectors.T)[own], labels[own])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return context.detach().flatten()


def test_finetuned_row_equals_a_slow_loop_from_the_download() -> None:
    federation = trained(PromptFL)
    tuned, _ = Examiner(federation)._tuned(3, rest=False)(EVERYBODY[:2])
    for client in range(2):
        slow = finetuned_slowly(federation, client, 3)
        assert (slow - federation.exchange.shared).norm() > 0.1
        torch.testing.assert_close(tuned[client], slow, rtol=0, atol=2e-5)


@pytest.mark.parametrize("part", Part)
def test_scores_are_of_the_finetuned_rows(part: Part) -> None:
    federation = trained(finetune_epochs=2, finetune=part)
    found = federation.evaluate(full=True).percent
    rows, _ = Examiner(federation)._tuned(2, rest=part is Part.private)(EVERYBODY)
    plain = trained()
    assert any((found[name] != x).any() for name, x in plain.evaluate(full=True).percent.items())
    plain.start = lambda clients, training: (rows[clients], None)
    for name, percent in plain.evaluate(full=True).percent.items():
        np.testing.assert_array_equal(found[name], percent)
    moved = rows != federation.start(EVERYBODY, training=False)[0]
    width = federation.layout.num_private
    assert moved[:, :width].any(dim=1).all()
    assert moved[:, width:].any(dim=1).all() == (part is Part.all)


def test_each_client_is_finetuned_once_for_all_class_sets() -> None:
    federation, asked = trained(finetune_epochs=1), []
    start = federation.start
    federation.start = lambda clients, training: (
        asked.extend(clients) or start(clients, training=training)
    )
    federation.evaluate(full=True)
    assert sorted(asked) == EVERYBODY.tolist()


def test_rounds_do_not_know_whether_clients_were_finetuned_and_scored() -> None:
    plain, other = trained(rounds=2), trained(rounds=1, finetune_epochs=2)
    other.evaluate(full=True)
    other.round(1)
    same_state(plain, other)


def test_same_scores_on_any_number_of_ranks() -> None:
    def work(world: World) -> dict[str, np.ndarray]:
        return trained(PFedMMA, world, finetune_epochs=1).evaluate(full=True).percent

    expected = work(World.alone())
    for percent in on_ranks(3, work):
        for name, values in expected.items():
            np.testing.assert_array_equal(percent[name], values)


def test_method_that_trains_nothing_is_scored_once_for_all() -> None:
    federation = trained(ZeroShot, rounds=0, finetune_epochs=1)
    assert federation.evaluate(full=True).num_images == 24


def test_finetuning_that_blows_up_names_the_client() -> None:
    federation = trained(finetune_epochs=1)
    federation.cfg.optim.lr = 1e30
    with pytest.raises(ValueError, match=r"optim.lr: 1e\+30 .* client \d before scoring"):
        federation.evaluate(full=False)


def test_fedbabu_trains_the_shared_part_alone_and_the_head_before_scores() -> None:
    federation = tiny_federation(PFedMMA, correction=BABU, evaluate={"finetune_epochs": 1})
    width, start = federation.layout.num_private, federation.exchange.shared
    head = federation.clients.gather(EVERYBODY)
    for index in range(2):
        federation.round(index)
    assert torch.equal(federation.clients.gather(EVERYBODY), head)
    assert not torch.equal(federation.exchange.shared, start)
    tuned, _ = Examiner(federation)._tuned(1, rest=False)(EVERYBODY)
    assert (tuned[:, :width] != head[:, :width]).any(dim=1).all()


@pytest.mark.parametrize(
    ("words", "method", "keys"),
    [
        (r"evaluate\.finetune_epochs: 0, .* set evaluate\.finetune_epochs=5", PFedMMA,
         {"correction": BABU}),
        (r"correction\.name: fedbabu .* has none", PromptFL,
         {"correction": BABU, "evaluate": {"finetune_epochs": 1}}),
        (r"evaluate\.finetune: private, .* set evaluate\.finetune=all", PromptFL,
         {"evaluate": {"finetune_epochs": 1, "finetune": Part.private}}),
    ],
)  # fmt: skip
def test_what_would_train_nothing_is_refused(words: str, method: type, keys: dict) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        tiny_federation(method, **keys)
