"""Steps that hide single images: equal to a short script, keyed, accounted, and refused by key."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import batches, on_ranks, same_state, tiny_federation

from pfedmma_dist.accountant import epsilon
from pfedmma_dist.config.choices import Accountant, CorrectionName, Riders
from pfedmma_dist.config.learning import CorrectionConfig, OptimConfig
from pfedmma_dist.config.private import PrivacyConfig
from pfedmma_dist.federation.disclosure import drawn_facts, forewarned, privacy_lines
from pfedmma_dist.federation.examples import ImageGuard
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods.gda import GDA
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.promptfl import PromptFL
from pfedmma_dist.methods.tip_adapter import TipAdapter
from pfedmma_dist.world import World

CLIENTS = np.array([0, 3, 5])
GUARDED = PrivacyConfig(example_clip=0.5, example_noise=1.0, accountant=Accountant.integer_rdp)


def rounds(count: int, world: World | None = None, own: PrivacyConfig = GUARDED) -> Federation:
    made = tiny_federation(PFedMMA, world, fraction=0.5, sections={"privacy": own})
    for index in range(count):
        made.round(index)
    return made


def step_of(federation: Federation, clients: np.ndarray, rows: list[np.ndarray] | None = None):
    """Return rows theta, what was prepared, and the first step of these clients."""
    theta, extra = federation.start(clients, training=True)
    prepared = federation.method.prepare(extra, federation.train_text)
    rows = rows or [federation.task.train.rows(client) for client in clients]
    plan = batches(rows, clients, federation.cfg.federation, 1, 0, 1)
    return theta, prepared, next(federation.trainer.laid(plan, theta))


@pytest.mark.parametrize("method", [PFedMMA, PromptFL])
def test_mean_of_clipped_gradients_is_that_of_a_short_script(method: type) -> None:
    federation = tiny_federation(method)
    trainer = federation.trainer
    theta, prepared, step = step_of(federation, CLIENTS)
    plain_loss, plain = trainer.gradient(theta, prepared, step)
    first = next(
        batches(
            [federation.task.train.rows(client) for client in CLIENTS], CLIENTS,
            federation.cfg.federation, 1, 0, 1,
        )
    )  # fmt: skip
    clip = 0.7 * float(plain.norm(dim=1).median())
    expected = torch.zeros_like(theta, dtype=torch.float64)
    for g in range(len(CLIENTS)):
        own = first.rows[g][first.weight[g] > 0]
        for row in own:
            parts = step_of(federation, CLIENTS[g : g + 1], [np.array([row])])
            grad = trainer.gradient(*parts)[1][0].double()
            expected[g] += grad * min(1.0, clip / float(grad.norm())) / len(own)
    loss, found = ImageGuard(clip, 0.0).gradient(trainer.gradient, theta, prepared, step, ())
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-6 * clip)
    assert (found - plain).abs().max() > 1e-3 * clip
    loss, found = ImageGuard(1e9, 0.0).gradient(trainer.gradient, theta, prepared, step, ())
    torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-6 * float(plain.abs().max()))
    torch.testing.assert_close(loss, plain_loss)


def test_noise_is_a_function_of_client_round_and_step_in_any_cohort() -> None:
    federation = tiny_federation(PFedMMA)
    theta, prepared, step = step_of(federation, CLIENTS)
    slope = federation.trainer.gradient
    quiet, loud = (
        ImageGuard(0.5, noise).gradient(slope, theta, prepared, step, ())[1] for noise in (0.0, 2.0)
    )
    drawn = [key.generator("examples").standard_normal(theta.shape[1]) for key in step.keys]
    count = step.weight.sum(dim=1, keepdim=True)
    assert [key.client for key in step.keys] == CLIENTS.tolist()
    expected = 2.0 * 0.5 * torch.from_numpy(np.stack(drawn)).float() / count
    torch.testing.assert_close(loud - quiet, expected, rtol=0, atol=1e-6)
    assert float(((loud - quiet) * count).std()) == pytest.approx(1.0, rel=0.05)
    alone = step_of(federation, CLIENTS[1:2])
    one = ImageGuard(0.5, 2.0).gradient(slope, *alone, ())[1]
    torch.testing.assert_close(one[0], loud[1], rtol=1e-4, atol=1e-6)


def test_two_ranks_keep_all_bits_and_nobody_is_told_a_loss() -> None:
    whole = rounds(2)
    for two in on_ranks(2, lambda world: rounds(2, world)):
        same_state(two, whole)
    stats = whole.round(2)
    assert math.isnan(stats.loss) and stats.num_samples == 0
    plain = rounds(3, own=PrivacyConfig())
    assert not torch.equal(whole.exchange.shared, plain.exchange.shared)


def test_epsilon_of_an_image_counts_the_passes_of_the_busiest_client() -> None:
    federation = rounds(0)
    most = np.bincount(np.concatenate([federation.participants(r) for r in range(4)])).max()
    found = drawn_facts(federation, 4)
    told = found["image_privacy"]
    assert (told["passes"], told["delta"]) == (most, 1e-5)
    assert told["epsilon"] == epsilon("integer_rdp", 1.0, 1.0, int(most), 1e-5)
    assert privacy_lines(found) == [
        f"of an image  epsilon {told['epsilon']:.4g} at delta 1e-05 after {most} passes, noise 1 "
        "(integer_rdp)"
    ]
    assert forewarned(federation) == []


@pytest.mark.parametrize(
    ("key", "own"),
    [
        ("privacy.riders", {"riders": Riders.release}),
        ("privacy.example_noise", {"example_noise": 0.0}),
    ],
)
def test_without_noise_no_epsilon_of_an_image_is_told(key: str, own: dict) -> None:
    federation = rounds(0, own=replace(GUARDED, **own))
    found = drawn_facts(federation, 1)
    assert found["image_privacy"]["epsilon"] is None
    assert privacy_lines(found)[0].startswith(f"of an image  no epsilon: {key}: ")
    (words,) = forewarned(federation)
    assert key in words


@pytest.mark.parametrize(
    ("method", "keys", "told"),
    [
        (GDA, {}, "without a step.*method.name"),
        (TipAdapter, {}, "without a step.*method.name"),
        (
            PFedMMA,
            {"correction": CorrectionConfig(name=CorrectionName.ditto), "optim": OptimConfig()},
            "second row.*correction.name=none",
        ),
    ],
)
def test_what_goes_round_the_noise_is_refused(method: type, keys: dict, told: str) -> None:
    with pytest.raises(ValueError, match=f"^privacy.example_clip: .*{told}"):
        tiny_federation(method, **keys, sections={"privacy": GUARDED})
