"""Fair means equal a script, at q = 0 the plain one, with the same bits at any rank and restart."""

import numpy as np
import pytest
import torch
from tiny import SIZES, on_ranks, same_state, tiny_federation

from pfedmma_dist.config.choices import CorrectionName, Fairness, Privacy, ServerRule
from pfedmma_dist.config.learning import CorrectionConfig, ServerConfig
from pfedmma_dist.config.private import PrivacyConfig
from pfedmma_dist.exchange.fair import on_simplex
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.world import World

RULES = {
    "qffl": ServerConfig(fair=Fairness.qffl, q=2.0),
    "afl": ServerConfig(fair=Fairness.afl, fair_rate=0.3),
}


def rounds(
    count: int, rule: ServerConfig, world: World | None = None, **keys: object
) -> Federation:
    federation = tiny_federation(PFedMMA, world, server=rule, **{"fraction": 0.5, **keys})
    for index in range(count):
        federation.round(index)
    return federation


@pytest.mark.parametrize("name", RULES)
def test_ranks_and_a_restart_keep_all_bits(name: str) -> None:
    whole, first, second = (rounds(count, RULES[name]) for count in (3, 1, 0))
    second.load(*first.state(), 1)
    for index in (1, 2):
        second.round(index)
    same_state(second, whole)
    for two in on_ranks(2, lambda world: rounds(3, RULES[name], world)):
        same_state(two, whole)


def test_mean_at_q_0_is_the_plain_one() -> None:
    plain = rounds(2, ServerConfig())
    fair = rounds(2, ServerConfig(fair=Fairness.qffl, q=0.0))
    torch.testing.assert_close(fair.exchange.shared, plain.exchange.shared, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", RULES)
def test_rounds_equal_a_script(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule, seen = RULES[name], []
    federation = rounds(0, rule)
    given = federation.uplink.send
    monkeypatch.setattr(federation.uplink, "send", lambda x: seen.append(x) or given(x))
    share = np.full(6, 1 / 6)
    for index in range(2):
        before = federation.exchange.shared.double().numpy()
        seen.clear()
        federation.round(index)
        clients = np.concatenate([x.clients for x in seen])
        rows, loss = (
            torch.cat([getattr(x, what) for x in seen]).double().numpy()
            for what in ("rows", "loss")
        )
        images = np.array(SIZES)[clients] / np.array(SIZES)[clients].sum()
        if name == "qffl":
            way = rows - before
            h = loss**2 + 2 * loss * (way**2).sum(axis=1) / federation.cfg.optim.lr
            expected = before + (images * loss**2) @ way / (images @ h)
        else:
            expected = share[clients] @ rows / share[clients].sum()
            share[clients] += 0.3 * loss
            low, high = share.min() - 1, share.max()
            for _ in range(200):  # the threshold of the projection, by halving
                middle = (low + high) / 2
                low, high = (
                    (middle, high) if np.maximum(share - middle, 0).sum() > 1 else (low, middle)
                )
            share = np.maximum(share - low, 0)
            np.testing.assert_allclose(federation.uplink.stages[0].share, share, atol=1e-12)
        np.testing.assert_allclose(federation.exchange.shared, expected, rtol=0, atol=2e-6)


def test_projection_leaves_what_is_on_the_simplex() -> None:
    there = torch.tensor([0.2, 0.0, 0.8], dtype=torch.float64)
    torch.testing.assert_close(on_simplex(there), there, rtol=0, atol=1e-15)
    far = on_simplex(torch.tensor([5.0, 0.0, 0.1], dtype=torch.float64))
    assert far.tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"server": ServerConfig(name=ServerRule.median, fair=Fairness.afl)}, "another centre"),
        ({"server": RULES["qffl"], "correction": CorrectionConfig(name=CorrectionName.feddyn)},
         "plain mean"),
        ({"server": RULES["afl"], "sections": {"privacy": PrivacyConfig(
            name=Privacy.central, noise=1.0, clip=1.0)}}, "tell of it"),
    ],
)  # fmt: skip
def test_other_centres_are_refused(keys: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=f"server.fair: .*{told}"):
        tiny_federation(PFedMMA, **keys)
