"""Clipped and noised updates: equal to a short script, drawn right, bounded to the bit, resumed."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from tiny import SIZES, on_ranks, same_state, tiny_federation

from pfedmma_dist.config.choices import Accountant, Privacy, Riders, Sampling, Weights
from pfedmma_dist.config.private import PrivacyConfig
from pfedmma_dist.exchange.gaussian import discrete_gaussian
from pfedmma_dist.exchange.privacy import Bound, Clipping, LocalNoise
from pfedmma_dist.exchange.uplink import Parcel
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.tally import RoundStats
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.rng import generator
from pfedmma_dist.world import World

CLIP = 0.005
"""Less than what most of the tiny clients move in a round, and more than one does."""


def private(name: Privacy = Privacy.central, **keys: object) -> dict[str, PrivacyConfig]:
    usual = {"clip": CLIP, "accountant": Accountant.integer_rdp}
    return {"privacy": PrivacyConfig(name=name, **{**usual, **keys})}


def rounds(count: int, world: World | None = None, **keys: object) -> Federation:
    federation = tiny_federation(PFedMMA, world, **{"fraction": 0.5, **keys})
    for index in range(count):
        federation.round(index)
    return federation


@pytest.fixture(scope="module")
def updates() -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """What clients of round 0 start from [S] float64, how far they come [m, S], and who they
    are."""
    federation = rounds(0)
    start, rows = federation.exchange.shared.double(), {}
    upload = federation.exchange.upload

    def seen(clients: np.ndarray, shared: torch.Tensor, weight: torch.Tensor) -> None:
        rows.update(zip(clients.tolist(), shared.double(), strict=True))
        upload(clients, shared, weight)

    federation.exchange.upload = seen
    federation.round(0)
    chosen = federation.participants(0)
    return start, torch.stack([rows[client] for client in chosen.tolist()]) - start, chosen


def clipped(update: torch.Tensor) -> torch.Tensor:
    norm = update.norm(dim=1, keepdim=True)
    assert (norm > CLIP).any() and (norm < CLIP).any()
    return update * (CLIP / norm).clamp(max=1)


@pytest.mark.parametrize(
    ("weights", "share"),
    [
        (Weights.equal, lambda n: np.full(3, 1 / 3)),
        (Weights.capped, lambda n: np.minimum(n, 5) / (5 * 3)),
        (Weights.samples, lambda n: n / n.sum()),
    ],
)
def test_clipped_mean_is_that_of_a_short_script(
    weights: Weights, share: object, updates: tuple
) -> None:
    start, update, chosen = updates
    federation = rounds(1, sections=private(weights=weights, cap=5))
    weight = torch.from_numpy(share(np.array(SIZES)[chosen]))
    expected = start + weight @ clipped(update)
    torch.testing.assert_close(
        federation.exchange.shared.double(), expected, rtol=0, atol=2e-7 * float(start.abs().max())
    )


def test_noise_is_keyed_and_as_long_as_it_is_said_to_be(updates: tuple) -> None:
    start, update, chosen = updates
    federation = rounds(1, sections=private(noise=0.8))
    bound = federation.uplink.stages[0].bound
    step, steps = bound.step(0), bound.deviation(0)
    assert math.log2(step) % 1 == 0 and 0.8 * CLIP <= steps * step < 0.8 * CLIP * (1 + 1e-5)
    noise = step * torch.from_numpy(
        discrete_gaussian(generator(1, "privacy", 0), steps, len(start))
    )
    found = 3 * (federation.exchange.shared.double() - start)
    torch.testing.assert_close(found, clipped(update).sum(dim=0) + noise, rtol=0, atol=1e-6)
    assert float((found - clipped(update).sum(dim=0)).std()) == pytest.approx(0.8 * CLIP, rel=0.1)


def test_local_noise_is_each_clients_own(updates: tuple) -> None:
    start, update, chosen = updates
    federation = rounds(1, sections=private(Privacy.local, noise=0.8))
    bound = federation.uplink.stages[0].bound
    drawn = [
        discrete_gaussian(generator(1, "privacy local", 0, client), bound.deviation(0), len(start))
        for client in chosen.tolist()
    ]
    noise = bound.step(0) * torch.from_numpy(np.stack(drawn))
    expected = start + (clipped(update) + noise).mean(dim=0)
    torch.testing.assert_close(federation.exchange.shared.double(), expected, rtol=0, atol=1e-6)


ADAPTIVE = {
    "sections": private(noise=0.3, quantile=0.5, count_noise=2.0),
    "sampling": Sampling.poisson,
    "fraction": 0.1,
}
EMPTY = 3
"""A round of these that nobody is drawn for."""


@pytest.mark.parametrize(
    "keys",
    [ADAPTIVE, {"sections": private(Privacy.local, noise=0.8)}, {**ADAPTIVE, "sections": {}}],
    ids=["adaptive", "local", "poisson alone"],
)
def test_two_ranks_and_a_restart_keep_all_bits(keys: dict) -> None:
    count = EMPTY + 2
    whole, second = rounds(count, **keys), rounds(0, **keys)
    if "sampling" in keys:
        assert [len(whole.participants(index)) for index in range(count)].index(0) == EMPTY
    second.load(*rounds(EMPTY, **keys).state(), EMPTY)
    for index in range(EMPTY, count):
        second.round(index)
    same_state(second, whole)
    for two in on_ranks(2, lambda world: rounds(count, world, **keys)):
        same_state(two, whole)


def test_round_of_nobody_changes_nothing_without_noise_and_says_so() -> None:
    federation = rounds(EMPTY, **{**ADAPTIVE, "sections": {}})
    before = federation.exchange.shared.clone()
    stats = federation.round(EMPTY)
    assert torch.equal(federation.exchange.shared, before)
    assert (stats.num_participants, stats.num_samples) == (0, 0) and math.isnan(stats.loss)
    assert math.isnan(RoundStats.of({**vars(stats), "loss": None}).loss)
    assert federation.cost(EMPTY).up == 0
    private_one = rounds(EMPTY, **ADAPTIVE)
    private_one.round(EMPTY)
    assert not torch.equal(private_one.exchange.shared, before)


def test_norm_follows_the_quantile_by_the_papers_rule(updates: tuple) -> None:
    _, update, _ = updates
    federation = rounds(1, sections=private(quantile=0.5))
    within = float((update.norm(dim=1) <= CLIP).double().mean())
    expected = CLIP * math.exp(-0.2 * (within - 0.5))
    assert float(federation.state()[1]["privacy_clip"]) == pytest.approx(expected, rel=1e-12)
    plain = rounds(1, sections=private())
    assert torch.equal(federation.exchange.shared, plain.exchange.shared)  # C moves afterwards


def test_norm_finds_the_quantile_of_updates_that_stay() -> None:
    bound = Bound(1, 1.0, lambda index, clients: 100.0, lambda clients: 1.0, 0.5)
    stage = Clipping(bound)
    stage.begin(np.full(1000, 8), 1000)
    norms = torch.arange(1, 101, dtype=torch.float32)[:, None] / 10
    for index in range(60):
        _, counts = stage.send(parcel(norms, index))
        stage.close(torch.zeros(1), counts, torch.zeros(1), index)
        bound.norm = bound.following
    assert bound.norm == pytest.approx(5.0, rel=0.15)


def test_noise_for_updates_is_more_where_counts_take_some_of_the_budget() -> None:
    bound = Bound(1, 1.0, lambda index, clients: 100.0, lambda clients: 2.0, 0.5)
    bound.begin(1000)
    total = bound.update_noise(0) ** -2 + (2 * 5.0) ** -2
    assert total == pytest.approx(2.0**-2) and bound.update_noise(0) > 2.0


def parcel(rows: torch.Tensor, round_index: int = 0, first: int = 0) -> Parcel:
    count = len(rows)
    return Parcel(
        np.arange(first, first + count), round_index, torch.zeros_like(rows), rows,
        torch.full((count,), 1 / 3, dtype=torch.float64), torch.zeros(count, 0), torch.ones(count),
    )  # fmt: skip


def test_sent_updates_are_whole_steps_and_never_longer_than_the_clip() -> None:
    rows = torch.from_numpy(np.random.default_rng(0).standard_normal((5, 999))).float()
    rows *= torch.tensor([1e-9, 1e-3, 0.0315, 1.0, 1e20])[:, None]
    for clip, noise in ((1.0, 0.5), (0.3, 50.0), (1e-6, 1.0), (512.0, 1024.0)):
        bound = Bound(1, clip, lambda index, clients: 10.0, lambda clients, z=noise: z)
        stage = Clipping(bound)
        stage.begin(np.full(5, 8), 100_000)
        sent, _ = stage.send(parcel(rows))
        assert 1 <= bound.deviation(0) <= 2**25
        whole = sent.rows.double() / bound.step(0)
        assert torch.equal(whole, whole.round())
        exact = Fraction(clip) ** 2
        for row in sent.rows.tolist():
            assert sum(Fraction(x) ** 2 for x in row) <= exact
        fixed = sent.rows.double() * bound.share * 2**48
        assert torch.equal(fixed, fixed.round())  # the collective's grid holds them, too


def test_clients_are_noised_alike_in_any_cohort() -> None:
    rows = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    bound = Bound(1, 1.0, lambda index, clients: 3.0, lambda clients: 1.0, 0.5, count_noise=9.0)
    found = []
    for cuts in ([3], [1, 2], [1, 1, 1]):
        total, counts, begun = torch.zeros(4, dtype=torch.float64), 0, 0
        clipping, noise = Clipping(bound), LocalNoise(bound)
        clipping.begin(np.full(3, 8), 3)
        for size in cuts:
            sent, count = clipping.send(parcel(rows[begun : begun + size], first=begun))
            sent, _ = noise.send(sent)
            total += (sent.rows.double() * sent.weight[:, None]).sum(dim=0)
            counts, begun = counts + int(count), begun + size
        found.append((total.tolist(), counts))
    assert found[0] == found[1] == found[2]


def test_discrete_gaussian_is_distributed_as_it_should_be() -> None:
    drawn = discrete_gaussian(generator(1, "test"), 3, 40_000)
    values = np.arange(-10, 11)
    chance = np.exp(-(values**2) / 18.0)
    chance /= np.exp(-(np.arange(-200, 201) ** 2) / 18.0).sum()
    counts = np.array([(drawn == value).sum() for value in values])
    rest = 40_000 * (1 - chance.sum())
    statistic = ((counts - 40_000 * chance) ** 2 / (40_000 * chance)).sum()
    statistic += (40_000 - counts.sum() - rest) ** 2 / rest
    assert statistic < 46.8  # the 99.9 % quantile of chi-square at 21 degrees of freedom
    large = discrete_gaussian(generator(2, "test"), 2**22, 40_000) / 2.0**22
    assert abs(large.mean()) < 4 / 200 and abs(large.var() - 1) < 4 * math.sqrt(2) / 200
    assert abs((large**4).mean() - 3) < 4 * math.sqrt(96) / 200


def test_loss_and_counts_are_told_only_where_that_is_asked_for() -> None:
    plain, quiet, open_ = (
        rounds(0, sections=sections).round(0)
        for sections in ({}, private(), private(riders=Riders.release))
    )
    assert math.isnan(quiet.loss) and quiet.num_samples == 0
    assert (open_.loss, open_.num_samples) == (plain.loss, plain.num_samples)


def test_state_without_a_norm_is_refused() -> None:
    federation = rounds(1, **ADAPTIVE)
    shards, server = federation.state()
    broken = {name: x for name, x in server.items() if name != "privacy_clip"}
    with pytest.raises(ValueError, match="the server's state is"):
        rounds(0, **ADAPTIVE).load(shards, broken, 1)
    with pytest.raises(ValueError, match="the server's state is"):
        rounds(0, **{**ADAPTIVE, "sections": private()}).load(shards, server, 1)
