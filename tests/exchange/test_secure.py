"""Secure sums: the bits of the plain run, nothing unmasked on the way, and clients that go."""

import itertools

import numpy as np
import pytest
import torch
from tiny import on_ranks, same_state, tiny_federation
from torch import Tensor

from pfedmma_dist.config.choices import CorrectionName, Fleet, ServerRule
from pfedmma_dist.config.exchanging import ExchangeConfig
from pfedmma_dist.config.learning import CorrectionConfig, ServerConfig
from pfedmma_dist.config.simulated import SystemConfig
from pfedmma_dist.exchange import Cost
from pfedmma_dist.exchange.secure import Masking
from pfedmma_dist.exchange.shamir import PRIME, share, weights
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.pfedmoap import PFedMoAP
from pfedmma_dist.world import World

SECURE = {"exchange": ExchangeConfig(secure=True)}


def rounds(
    count: int, world: World | None = None, secure: bool = True, **keys: object
) -> Federation:
    sections = SECURE if secure else {}
    federation = tiny_federation(PFedMMA, world, fraction=0.7, sections=sections, **keys)
    for index in range(count):
        federation.round(index)
    return federation


@pytest.mark.parametrize("rule", [ServerRule.average, ServerRule.yogi])
def test_masked_run_has_the_bits_of_the_plain_one(rule: ServerRule) -> None:
    server = ServerConfig(name=rule)
    plain, masked = (rounds(2, secure=secure, server=server) for secure in (False, True))
    same_state(masked, plain)
    for two in on_ranks(3, lambda world: rounds(2, world, server=server)):
        same_state(two, plain)
    resumed = rounds(0, server=server)
    resumed.load(*rounds(1, server=server).state(), 1)
    resumed.round(1)
    same_state(resumed, plain)


def test_no_row_leaves_a_client_unmasked(monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[Tensor] = []
    plain, made = [], Masking.mask

    def seen(self: World, x: Tensor) -> Tensor:
        handed.append(x.clone())
        return x

    def masked(self: Masking, clients: np.ndarray, rows: Tensor) -> Tensor:
        plain.append(rows.clone())
        sent = made(self, clients, rows)
        handed.extend(sent)
        return sent

    monkeypatch.setattr(World, "exact_sum", seen)
    monkeypatch.setattr(Masking, "mask", masked)
    federation = rounds(1)
    rows, size = torch.cat(plain), federation.layout.num_shared
    assert len(rows) == len(federation.participants(0)) == 4 and len(handed) == 5
    partial = [rows[list(some)].sum(dim=0) for n in (1, 2, 3, 4) for some in
               itertools.combinations(range(4), n)]  # fmt: skip
    for sent in handed:
        for sum_of_some in partial:  # two uniform words agree once in 2^64
            assert not bool((sent[:size] == sum_of_some).any())
        low, high = (sent[:size] >= 0).double().mean(), (sent[:size] % 2 == 0).double().mean()
        assert abs(low - 0.5) < 0.05 and abs(high - 0.5) < 0.05
    assert bool((federation.exchange.total == 0).all())


@pytest.mark.parametrize("gone", [[], [3], [8, 40], [40, 41, 3]])
def test_clients_that_go_leave_the_sum_of_the_others(gone: list[int]) -> None:
    agreed = np.array([1, 3, 8, 9, 12, 30, 31, 40, 41, 70])
    stayed = np.setdiff1d(agreed, gone)
    rng, masking = np.random.default_rng(0), Masking(33, 5, 0.67)
    rows = torch.from_numpy(rng.integers(-(2**62), 2**62, (len(agreed), 33)))
    masking.open(2, agreed, stayed)
    sent = masking.mask(agreed, rows)  # all have masked before some go
    there = torch.from_numpy(np.isin(agreed, stayed))
    assert torch.equal(masking.unmask(sent[there].sum(dim=0)), rows[there].sum(dim=0))


def test_too_few_that_stay_are_refused() -> None:
    for agreed, stayed in (([1, 2, 3, 4, 5, 6], [1, 2, 3, 4]), ([4], [4])):
        with pytest.raises(ValueError, match=r"exchange.secure: .*exchange.threshold"):
            Masking(3, 5, 0.8).open(0, np.array(agreed), np.array(stayed))


def test_run_loses_clients_under_masks_to_the_bits_of_the_plain_one() -> None:
    lossy = SystemConfig(fleet=Fleet.phones, dropouts=True)
    found = []
    for secure in (False, True):
        exchange = ExchangeConfig(secure=secure, threshold=0.51)
        federation = tiny_federation(
            PFedMMA, sections={"exchange": exchange, "system": lossy}, rounds=4
        )
        for index in range(4):
            federation.round(index)
        found.append(federation)
    plain, masked = found
    lost = [len(plain.participants(i)) - len(plain.arrived(i)) for i in range(4)]
    assert sum(lost) > 0, lost
    same_state(masked, plain)
    few = ExchangeConfig(secure=True, threshold=1.0)
    with pytest.raises(ValueError, match=r"exchange.secure: \d of 6 clients stay in round"):
        tiny_federation(PFedMMA, sections={"exchange": few, "system": lossy}, rounds=4)


def together(shares: dict[int, int]) -> int:
    """Return the secret; shares: holder -> share."""
    parts = zip(weights(list(shares)), shares.values(), strict=True)
    return sum(weight * value for weight, value in parts) % PRIME


def test_shares_are_worth_nothing_but_together() -> None:
    secret, others = 2**126 + 12345, [7**40 % PRIME, 11**30 % PRIME]
    shares = dict(zip(range(1, 6), share(secret, others, range(1, 6)), strict=True))
    for holders in itertools.combinations(shares, 3):
        assert together({one: shares[one] for one in holders}) == secret
    for holders in itertools.combinations(shares, 2):
        assert together({one: shares[one] for one in holders}) != secret


def test_ledger_counts_the_protocol() -> None:
    cost = Masking(3072, 1, 0.67).cost(Cost(3072, 3072), 10)
    assert cost.bytes_up == 2 * 32 + 9 * 48 + 8 * 3072 + 10 * 16
    assert cost.bytes_down == 4 * 3072 + 9 * (64 + 48) + 2
    assert rounds(0).cost().bytes_up > 2 * rounds(0, secure=False).cost().bytes_up


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"server": ServerConfig(name=ServerRule.median)}, "exchange.secure: true.*median"),
        ({"method": PFedMoAP}, "exchange.secure: true hides"),
        ({"correction": CorrectionConfig(name=CorrectionName.scaffold)}, "correction.name: scaff"),
        ({"sections": {"exchange": ExchangeConfig(secure=True, bits=8)}}, "exchange.bits: 8 saves"),
        ({"sections": {"exchange": ExchangeConfig(secure=True, top=0.5)}}, "exchange.top: 0.5"),
    ],
)
def test_what_needs_to_see_rows_is_refused(keys: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        tiny_federation(**{"method": PFedMMA, "sections": SECURE, **keys})
