"""Attacks are what their papers say, and have the same bits however a run is cut."""

import numpy as np
import pytest
import torch
from tiny import on_ranks, same_state, tiny_federation

from pfedmma_dist.config.attacking import AttackConfig
from pfedmma_dist.config.choices import AttackName, ServerRule
from pfedmma_dist.config.learning import ServerConfig
from pfedmma_dist.exchange.attack import MOVES
from pfedmma_dist.exchange.collusion import ROWS, Known, alie, min_max
from pfedmma_dist.exchange.robust import mean_of
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods.gda import GDA
from pfedmma_dist.methods.promptfl import PromptFL
from pfedmma_dist.methods.tip_adapter import TipAdapter
from pfedmma_dist.rng import generator
from pfedmma_dist.world import World, to_fixed

PLAIN, MEDIAN = ServerConfig(), ServerConfig(name=ServerRule.median)


def attack(name: str, scale: float | None = None, share: float = 0.34) -> AttackConfig:
    return AttackConfig(name=AttackName[name], share=share, scale=scale)


def attacked(cfg: AttackConfig, world: World | None = None, **keys: object) -> Federation:
    return tiny_federation(PromptFL, world, sections={"attack": cfg}, **keys)


def rounds(count: int, *args: object, **keys: object) -> Federation:
    federation = attacked(*args, **keys)
    for index in range(count):
        federation.round(index)
    return federation


@pytest.mark.parametrize(
    ("name", "server"), [("noise", PLAIN), ("alie", PLAIN), ("min_max", MEDIAN)]
)
def test_ranks_cohorts_and_a_restart_keep_all_bits(name: str, server: ServerConfig) -> None:
    cfg, keys = attack(name), {"server": server, "fraction": 0.7}
    whole, first, second = (rounds(count, cfg, **keys) for count in (2, 1, 0))
    second.load(*first.state(), 1)
    second.round(1)
    same_state(second, whole)
    for cohort in (1, 3):
        same_state(rounds(2, cfg, cohort_size=cohort, **keys), whole)
    for two in on_ranks(2, lambda world: rounds(2, cfg, world, **keys)):
        same_state(two, whole)


def sent(name: str, scale: float | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, Federation]:
    """Return honest rows [6, S], what they started from, what came of the round, and who ran it."""
    honest, ours = attacked(attack("none", share=0.0)), attacked(attack(name, scale))
    rows, start = np.empty((6, len(ours.exchange.shared))), ours.exchange.shared.double().numpy()
    upload = honest.exchange.upload

    def listen(clients: np.ndarray, shared: torch.Tensor, weight: torch.Tensor) -> None:
        rows[clients] = shared.double().numpy()
        upload(clients, shared, weight)

    honest.exchange.upload = listen
    for federation in (honest, ours):
        federation.round(0)
    return rows, start, ours.exchange.shared.double().numpy(), ours


@pytest.mark.parametrize(
    ("name", "scale"),
    [("sign_flip", None), ("scaling", 3.0), ("noise", 2.0), ("ipm", None), ("alie", 1.5)],
)
def test_mean_is_that_of_honest_rows_and_of_what_attackers_make_of_theirs(
    name: str, scale: float | None
) -> None:
    rows, start, found, ours = sent(name, scale)
    bad = ours.attackers
    assert len(bad) == 2
    moves, honest = rows - start, np.delete(rows, bad, axis=0)
    if name in ("sign_flip", "scaling"):
        rows[bad] = start + {"sign_flip": -1.0, "scaling": 3.0}[name] * moves[bad]
    for client in bad if name == "noise" else ():
        drawn = generator(1, "attack noise", 0, client).standard_normal(len(start))
        rows[client] = start + 2.0 * np.sqrt((moves[client] ** 2).mean()) * drawn
    if name == "ipm":
        rows[bad] = start - 0.5 * (honest.mean(axis=0) - start)
    if name == "alie":
        rows[bad] = honest.mean(axis=0) - 1.5 * honest.std(axis=0)
    expected = np.average(rows, axis=0, weights=ours.sizes)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


def known(num_honest: int, num_attackers: int, size: int = 5) -> Known:
    drawn = np.random.default_rng(0).standard_normal((num_honest, size))
    return Known(torch.from_numpy(drawn), torch.zeros(size, dtype=torch.float64), num_attackers)


def test_alie_has_the_z_of_its_paper() -> None:
    found = known(26, 24)  # 50 workers, 24 corrupted: z = 1.43
    z = (found.mean - alie(found, None)) / found.deviation
    torch.testing.assert_close(z, torch.full_like(z, 1.43), rtol=0, atol=5e-3)


def test_min_max_goes_as_far_as_two_honest_rows_lie_apart() -> None:
    found = known(6, 2)
    row = min_max(found, None)
    widest = max((a - b).norm() for a in found.honest for b in found.honest)
    assert (found.honest - row).norm(dim=1).max().item() == pytest.approx(widest.item())
    way = row - found.mean
    torch.testing.assert_close(way / way.norm(), -found.deviation / found.deviation.norm())
    alone = known(1, 1)
    assert torch.equal(min_max(alone, None), alone.mean)


def test_mean_in_the_open_is_the_mean() -> None:
    rows, counts = torch.randn(4, 5, generator=torch.Generator().manual_seed(0)), np.arange(1, 5)
    weight = to_fixed(torch.from_numpy(counts / counts.sum()))
    expected = np.average(rows.double().numpy(), axis=0, weights=counts)
    np.testing.assert_allclose(mean_of(rows, weight).numpy(), expected, rtol=1e-12, atol=1e-13)


def test_a_round_of_attackers_alone_or_of_none_is_as_they_trained() -> None:
    plain, ours = rounds(1, attack("none", share=0.0)), attacked(attack("alie"))
    ours.uplink.stages[0].attackers = np.arange(6)
    ours.round(0)
    torch.testing.assert_close(ours.exchange.shared, plain.exchange.shared, rtol=1e-6, atol=1e-8)


def test_every_attack_on_uploads_has_a_name_of_the_configuration() -> None:
    assert {*MOVES, *ROWS, "none", "label_flip"} == {name.value for name in AttackName}
    assert not attacked(attack("backdoor")).uplink.stages  # unless its move is scaled


@pytest.mark.parametrize(
    ("method", "cfg", "told"),
    [
        (PromptFL, attack("ipm", share=0.1), "^attack.share: 0.1 of 6 .*nobody; set 0.166667"),
        (PromptFL, attack("alie", share=0.0), "^attack.share: 0 of 6"),
        (TipAdapter, attack("sign_flip"), "^attack.name: .*shares nothing"),
        (GDA, attack("sign_flip"), "^attack.name: .*send something else"),
    ],
)
def test_attacks_without_clients_or_shared_rows_are_refused(
    method: type, cfg: AttackConfig, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        tiny_federation(method, sections={"attack": cfg})


@pytest.mark.parametrize("name", ["scaling", "ipm"])
def test_uploads_that_no_mean_can_hold_name_the_key(name: str) -> None:
    with pytest.raises(ValueError, match=r"^attack.scale: .*below 32768.*; lower attack.scale$"):
        rounds(1, attack(name, 1e12))
