"""Rules on uploads equal short scripts, know no order, and hold until their breakdown points."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from robust_scripts import SCRIPTS
from tiny import tiny_federation
from torch import Tensor

from pfedmma_dist.config.choices import ServerRule
from pfedmma_dist.config.learning import ServerConfig
from pfedmma_dist.exchange.robust import (
    CENTRES,
    FEWEST,
    Centre,
    Guard,
    Opening,
    centre,
    trimmed_mean,
)
from pfedmma_dist.methods.promptfl import PromptFL
from pfedmma_dist.world import to_fixed

COUNTS = np.array([1, 4, 2, 2, 3, 5, 1, 2, 3, 2, 1])
ROWS = np.random.default_rng(3).standard_normal((11, 6)).astype(np.float32)
START = np.random.default_rng(4).standard_normal(6).astype(np.float32)


def opening(rows: np.ndarray, counts: np.ndarray) -> Opening:
    weight = to_fixed(torch.from_numpy(counts / counts.sum()))
    return Opening(torch.from_numpy(rows), weight, torch.from_numpy(START))


GUARDS = [Guard(trim, byzantine, bound) for trim, byzantine, bound in (
    (0.0, 0, None), (0.1, 1, 1.5), (2 / 13, 2, 0.5), (0.49, 2, 100.0)
)]  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("guard", GUARDS, ids=str)
def test_rule_equals_the_script(name: str, guard: Guard) -> None:
    rows, start = ROWS.astype(np.float64), START.astype(np.float64)
    expected, kept = SCRIPTS[name](rows, COUNTS, start, guard)
    found = centre(name, opening(ROWS, COUNTS), guard)
    rough = name == "norm_clipping" and guard.bound is None  # its median is one of float32
    np.testing.assert_allclose(found.point, expected, rtol=1e-6 if rough else 1e-10, atol=1e-12)
    if name in FEWEST:
        assert np.flatnonzero(~found.dropped.numpy()).tolist() == sorted(kept)


@pytest.mark.parametrize("trim", ["0", "1/10", "2/13", "49/100"])
def test_trimmed_mean_cuts_samples_and_parts_of_them(trim: str) -> None:
    share = Fraction(trim)
    pieces = np.repeat(ROWS.astype(np.float64), COUNTS * share.denominator, axis=0)
    cut = share.numerator * int(COUNTS.sum())
    expected = np.sort(pieces, axis=0)[cut : len(pieces) - cut].mean(axis=0)
    found = trimmed_mean(opening(ROWS, COUNTS).rows, opening(ROWS, COUNTS).weight, float(share))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10, atol=1e-12)


def of_guard(name: str, rows: np.ndarray, counts: np.ndarray) -> Centre:
    return centre(name, opening(rows, counts), Guard(trim=0.3, byzantine=2))


@pytest.mark.parametrize("name", CENTRES)
def test_order_of_uploads_does_not_matter(name: str) -> None:
    turned = np.random.default_rng(0).permutation(11)
    one, other = of_guard(name, ROWS, COUNTS), of_guard(name, ROWS[turned], COUNTS[turned])
    torch.testing.assert_close(one.point, other.point, rtol=1e-9, atol=1e-9)
    if one.dropped is not None:
        assert torch.equal(one.dropped[torch.from_numpy(turned)], other.dropped)


@pytest.mark.parametrize(
    ("name", "holds", "breaks"),
    [
        ("median", 5, 6),
        ("geometric_median", 5, 6),
        ("trimmed_mean", 3, 4),  # of 11, 0.3 of the weight
        ("norm_clipping", 5, 6),
        ("krum", 2, 6),
        ("multi_krum", 2, 3),
        ("bulyan", 2, 6),
    ],
)
def test_rule_holds_until_its_breakdown_point(name: str, holds: int, breaks: int) -> None:
    def moved(count: int) -> float:
        spoilt, even = ROWS.copy(), np.ones(11)
        spoilt[:count] = 3e4
        honest = ROWS[count:].mean(axis=0)
        return float(np.linalg.norm(of_guard(name, spoilt, even).point.numpy() - honest))

    assert moved(holds) < 7
    assert moved(breaks) > 2000


def test_equal_uploads_drop_the_higher_numbers() -> None:
    same = opening(np.ones((7, 6), np.float32), np.ones(7))
    assert centre("krum", same, Guard()).dropped.tolist() == [False, *[True] * 6]
    assert centre("multi_krum", same, Guard()).dropped.tolist() == [*[False] * 6, True]


@pytest.mark.parametrize(
    ("rule", "fraction", "told"),
    [
        (ServerRule.bulyan, 1.0, "bulyan with 1 needs 7 clients .*4 f \\+ 3.*and 6 take part"),
        (ServerRule.krum, 0.7, "krum with 1 needs 5 clients .*2 f \\+ 3.*and 4 take part"),
    ],
)
def test_rounds_of_too_few_clients_are_refused(
    rule: ServerRule, fraction: float, told: str
) -> None:
    with pytest.raises(ValueError, match=f"^server.byzantine: {told}; lower server.byzantine"):
        tiny_federation(PromptFL, server=ServerConfig(name=rule), fraction=fraction)


def test_federation_hands_out_what_multi_krum_makes_and_tells_whom_it_left_out() -> None:
    federation = tiny_federation(PromptFL, server=ServerConfig(name=ServerRule.multi_krum))
    rows: dict[int, Tensor] = {}
    upload = federation.exchange.upload

    def listen(clients: np.ndarray, shared: Tensor, weight: Tensor) -> None:
        rows.update(zip(clients.tolist(), shared.double(), strict=True))
        upload(clients, shared, weight)

    federation.exchange.upload = listen
    stats = federation.round(0)
    sent = torch.stack([rows[client] for client in sorted(rows)]).numpy()
    expected, kept = SCRIPTS["multi_krum"](sent, federation.sizes, sent[0], Guard())
    np.testing.assert_allclose(federation.exchange.shared.numpy(), expected, rtol=1e-6, atol=1e-7)
    assert stats.dropped == sorted(set(range(6)) - set(kept))
