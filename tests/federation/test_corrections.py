"""Corrections equal published code where that is right, and their papers where it is not."""

from itertools import cycle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from played import TwoLayers, play, recorded_batches
from tiny import batches, golden, on_ranks, same_state, tiny_federation
from torch import Tensor
from toy import NO_TEXT, Linear, Table

from pfedmma_dist.config.choices import CorrectionName, Optimiser
from pfedmma_dist.config.keys import FederationConfig
from pfedmma_dist.config.learning import CorrectionConfig, OptimConfig
from pfedmma_dist.federation.corrections.correction import Correction, Start
from pfedmma_dist.federation.corrections.feddyn import FedDyn
from pfedmma_dist.federation.corrections.scaffold import Scaffold
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.trainer import LocalTrainer
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.promptfl import PromptFL
from pfedmma_dist.methods.zero_shot import ZeroShot
from pfedmma_dist.params import Layout, ParamSpec, zeros
from pfedmma_dist.world import World

CLIENTS = np.arange(2)
PLAIN = OptimConfig(lr=0.1, momentum=0.0, weight_decay=0.0)
SHARING = [method for method in METHODS.values() if tiny_federation(method).method.represents]
OF_ALL = (CorrectionName.moon, CorrectionName.ditto, CorrectionName.apfl)
"""Fit every method that shares; each meets one of them."""
NAMES = [name for name in CorrectionName if name is not CorrectionName.none]


def test_scaffold_equals_the_published_rounds() -> None:
    layout = Layout(TwoLayers().specs)
    correction = Scaffold(layout)
    arrays, rounds = play("scaffold_pfllib", correction, layout)
    for index, ours in enumerate(rounds, 1):
        for key, value in (("y", ours.y), ("x", ours.x), ("c_i", ours.memory)):
            np.testing.assert_allclose(value, arrays[f"round{index}/{key}"], atol=2e-6)
    np.testing.assert_allclose(correction.control, arrays["round3/c"], atol=2e-6)


def test_feddyn_equals_the_papers_rounds() -> None:
    layout = Layout(TwoLayers().specs)
    correction = FedDyn(layout, float(golden("feddyn_as_paper")["alpha"]))
    arrays, rounds = play("feddyn_as_paper", correction, layout)
    for index, ours in enumerate(rounds, 1):
        for key, value in (("y", ours.y), ("x", ours.x), ("h_i", ours.memory)):
            np.testing.assert_allclose(value, arrays[f"round{index}/{key}"], atol=2e-6)
    np.testing.assert_allclose(correction.held, arrays["round3/h"], atol=2e-6)


class Unsquared(FedDyn):
    """FedDyn with the distance in place of its square, as PFLlib has it: no gradient at 0."""

    def pull(self, theta: Tensor, start: Start) -> Tensor:
        moved = theta - start.theta
        length = moved.norm(dim=1, keepdim=True)
        return self.alpha / 2 * torch.where(length > 0, moved / length, 0.0) - start.memory


def test_feddyn_with_its_defect_follows_the_released_rounds() -> None:
    layout, away = Layout(TwoLayers().specs), []
    for kind in (Unsquared, FedDyn):
        correction = kind(layout, float(golden("feddyn_pfllib")["alpha"]))
        arrays, rounds = play("feddyn_pfllib", correction, layout)
        parts = [
            np.abs(np.asarray(value) - arrays[f"round{index}/{key}"]).max()
            for index, own in enumerate(rounds, 1)
            for key, value in (("y", own.y), ("x", own.x), ("h_i", own.memory))
        ]
        away.append(max(parts))
    assert away[0] < 2e-6 < 1e-3 < away[1]


class Bias(Method):
    """Logits that no image touches: their minimum is the logarithm of how often a class comes."""

    def __init__(self, *, shared: bool = True) -> None:
        self.specs = (ParamSpec("bias", (3,), zeros, shared=shared),)

    def classes(self, params: dict[str, Tensor], prepared: Any, text: Any) -> None:
        return None

    def logits(self, params: dict[str, Tensor], classes: Any, images: Tensor, clip: Any) -> Tensor:
        return params["bias"][:, None].expand(-1, images.shape[1], -1)


def far_from_the_minimum(correction: Correction | None, momentum: float) -> float:
    """Let two clients of other classes train for long between averages; return how far the mean
    stays from the minimum of the mean loss, which is 0."""
    method, layout = Bias(), Layout(Bias().specs)
    rows = [np.arange(6), np.arange(6, 12)]
    labels = np.array([0, 0, 0, 0, 1, 2, 1, 1, 2, 2, 2, 1])
    optim = OptimConfig(lr=0.3, momentum=momentum, weight_decay=0.0)
    trainer = LocalTrainer(
        method, layout, NO_TEXT, Table(torch.zeros(12, 1)), labels.__getitem__, optim,
        [correction] if correction else [],
    )  # fmt: skip
    shared, memory = torch.zeros(3, dtype=torch.float64), torch.zeros(2, trainer.num_memory)
    cfg = FederationConfig(batch_size=6, local_epochs=12)
    for index in range(48):
        steps = batches(rows, CLIENTS, cfg, 1, index, 1)
        result = trainer.train(shared.float().expand(2, -1), memory, None, steps)
        memory, before = result.memory, shared
        shared = result.theta.double().mean(dim=0)
        if correction:
            shared = correction.settle(before, shared, result.sent.double().mean(dim=0), 1.0)
    often = np.bincount(labels) / len(labels)
    probabilities = torch.softmax(shared, dim=0).numpy()
    return float(abs(probabilities - often).max())


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_corrected_clients_reach_the_minimum_that_fedavg_misses(momentum: float) -> None:
    layout = Layout(Bias().specs)
    plain = far_from_the_minimum(None, momentum)
    assert plain > 0.01
    assert far_from_the_minimum(Scaffold(layout), momentum) < 1e-3 < plain / 10
    assert far_from_the_minimum(FedDyn(layout, 0.5), momentum) < 1e-3


@pytest.mark.parametrize(("momentum", "steps", "distance"), [(0.0, 2, 2), (0.9, 2, 2.9)])
def test_mean_gradient_counts_momentum(momentum: float, steps: int, distance: float) -> None:
    layout = Layout(Bias().specs)
    optim = OptimConfig(lr=0.5, momentum=momentum, weight_decay=0.0)
    correction = Scaffold(layout)
    trainer = LocalTrainer(
        Bias(), layout, NO_TEXT, Table(torch.zeros(6, 1)), np.zeros(6, int).__getitem__, optim,
        [correction],
    )  # fmt: skip
    [batch] = recorded_batches(1)[:1]
    far = torch.full((2, 3), -30.0)
    far[:, 0] = 0.0  # so far from the minimum that the gradient is constant
    far[:, 1] = 30.0
    result = trainer.train(far, torch.zeros(2, 3), None, [batch] * steps)
    came = (far - result.theta)[:, 0]
    torch.testing.assert_close(came, torch.full((2,), -0.5 * distance))
    torch.testing.assert_close(result.memory[:, 0], torch.full((2,), -1.0))  # p - 1


def federation(name: CorrectionName, world: World | None = None, **keys: object) -> Federation:
    made = CorrectionConfig(name=name, head_epochs=1)
    return tiny_federation(
        PFedMMA, world, fraction=0.5, local_epochs=2, correction=made,
        evaluate={"finetune_epochs": 1}, **keys,
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_same_bits_on_any_number_of_ranks_and_after_a_stop(name: CorrectionName) -> None:
    def work(world: World) -> Federation:
        made = federation(name, world)
        for index in range(3):
            made.round(index)
        return made

    alone = work(World.alone())
    for made in on_ranks(3, work):
        same_state(made, alone)
    first, second = federation(name), federation(name)
    for index in range(2):
        first.round(index)
    second.load(*first.state(), 2)
    second.round(2)
    same_state(second, alone)


@pytest.mark.parametrize("name", NAMES)
def test_round_still_has_one_collective_and_says_what_it_costs(name: CorrectionName) -> None:
    plain, made = tiny_federation(PFedMMA, local_epochs=2), federation(name)
    made.round(0)
    assert made.world.collectives == 1
    extra = plain.layout.num_shared if name is CorrectionName.scaffold else 0
    assert made.world.bytes_reduced == 8 * (plain.layout.num_shared + 3 + extra)
    ours, theirs = made.cost(), plain.cost()
    assert (ours.up - theirs.up, ours.down - theirs.down) == (extra, extra)


@pytest.mark.parametrize(("method", "name"), [*zip(SHARING, cycle(OF_ALL))])  # noqa: B905
def test_every_method_that_shares_can_be_corrected(
    method: type[Method], name: CorrectionName
) -> None:
    made = tiny_federation(method, fraction=0.5, correction=CorrectionConfig(name=name))
    before = made.exchange.shared
    for index in range(2):
        made.round(index)
    assert not torch.equal(made.exchange.shared, before)
    percent = made.evaluate(full=False).percent["local"]
    assert np.isfinite(percent).all()


def test_feddyn_counts_every_client_once() -> None:
    made = federation(CorrectionName.feddyn)
    weights = []
    upload = made.exchange.upload

    def listen(clients: np.ndarray, shared: Tensor, weight: Tensor) -> None:
        weights.extend(weight.tolist())
        upload(clients, shared, weight)

    made.exchange.upload = listen
    made.round(0)
    assert weights == [1 / 3] * 3


def test_fedrep_trains_one_part_after_the_other() -> None:
    rep = tiny_federation(
        PFedMMA, local_epochs=2, correction=CorrectionConfig(name=CorrectionName.fedrep)
    )
    width = rep.layout.num_private
    seen = []
    moving = rep.corrections[0].moving

    def listen(step: int, start: Any) -> Tensor:
        mask = moving(step, start)
        seen.append((step, mask[:, :width].all(1).tolist(), mask[:, width:].all(1).tolist()))
        assert (mask[:, :width].any(1) == mask[:, :width].all(1)).all()
        return mask

    rep.corrections[0].moving = listen
    rep.round(0)
    for _, heads, bodies in seen:
        assert all(head != body for head, body in zip(heads, bodies, strict=True))
    assert seen[0][1] == [True] * len(seen[0][1])
    assert any(not all(own) for _, own, _ in seen)


@pytest.mark.parametrize(
    ("words", "changes", "method"),
    [
        ("shares nothing", {}, ZeroShot),
        ("optim.name=sgd", {"optim": OptimConfig(name=Optimiser.adam)}, PFedMMA),
        ("optim.keep_state=false", {"optim": OptimConfig(keep_state=True)}, PFedMMA),
    ],
)
def test_what_does_not_fit_scaffold_is_refused(
    words: str, changes: dict[str, Any], method: type[Method]
) -> None:
    with pytest.raises(ValueError, match=f"correction.name: .*{words}"):
        tiny_federation(
            method, correction=CorrectionConfig(name=CorrectionName.scaffold), **changes
        )


@pytest.mark.parametrize(
    ("method", "epochs", "words"),
    [
        (PromptFL, 2, r"correction\.name: fedrep .* set correction\.name=none"),
        (PFedMMA, 1, r"correction\.head_epochs: .* set federation\.local_epochs=2 or more"),
    ],
)
def test_fedrep_without_two_parts_or_two_epochs_is_refused(
    method: type[Method], epochs: int, words: str
) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        tiny_federation(
            method, local_epochs=epochs,
            correction=CorrectionConfig(name=CorrectionName.fedrep),
        )  # fmt: skip


def test_corrections_of_a_linear_model_stay_with_the_shared_part() -> None:
    layout = Layout(Linear(3, 5).specs)
    theta = torch.ones(2, layout.num_trained)
    for correction in (Scaffold(layout), FedDyn(layout, 0.5)):
        start = SimpleNamespace(
            theta=0 * theta,
            memory=torch.ones(2, layout.num_shared),
            handed=correction.handed(theta),
        )
        pull = correction.pull(theta, start)
        assert (pull[:, : layout.num_private] == 0).all()
        assert (pull[:, layout.num_private :] != 0).all()
