"""Epsilon: against published numbers, closed forms and what dp-accounting says."""

import math
import sys

import pytest

from pfedmma_dist import accountant
from pfedmma_dist.accountant import epsilon, least_noise

DP_ACCOUNTING = {  # (noise, rate, rounds, delta) -> epsilon of dp-accounting 0.6.0: rdp, pld
    (0.7444, 0.1, 50, 1e-3): (7.499227, 6.143905),
    (0.8948, 0.1, 100, 1000**-1.1): (7.538876, 6.413723),
    (2.0, 0.02, 400, 1e-5): (0.905228, 0.820040),
    (1.0, 1.0, 10, 1e-3): (15.458662, 14.079351),
}
"""Written down by running it, so that our own is compared where the library is not."""


@pytest.mark.parametrize("setting", DP_ACCOUNTING)
def test_own_epsilon_is_above_the_librarys_and_near(setting: tuple) -> None:
    rdp, pld = DP_ACCOUNTING[setting]
    ours = epsilon("integer_rdp", *setting)
    assert pld < rdp < ours + 1e-6 and ours < 1.1 * rdp


def test_library_says_what_was_written_down() -> None:
    pytest.importorskip("dp_accounting")
    for setting, written in DP_ACCOUNTING.items():
        found = epsilon("rdp", *setting), epsilon("pld", *setting)
        assert found == pytest.approx(written, rel=1e-4)


def test_epsilon_of_the_moments_accountant_is_not_exceeded() -> None:
    """Abadi et al., CCS 2016, section 3.2: q = 0.01, sigma = 4, 10,000 steps, delta = 1e-5 come to
    1.26."""
    found = epsilon("integer_rdp", 4.0, 0.01, 10_000, 1e-5)
    assert 1.0 < found < 1.26


def test_noise_of_four_federations_is_that_of_the_specification() -> None:
    settings = {(100, 10, 50): 0.74, (1_000, 100, 100): 0.89, (10_000, 100, 100): 0.52}
    settings[100_000, 1_000, 100] = 0.53
    for (clients, cohort, rounds), wanted in settings.items():
        delta = min(1e-3, clients**-1.1)
        noise = least_noise("integer_rdp", 8.0, cohort / clients, rounds, delta)
        assert round(noise, 2) == wanted
        assert epsilon("integer_rdp", noise, cohort / clients, rounds, delta) <= 8.0
        assert epsilon("integer_rdp", 0.999 * noise, cohort / clients, rounds, delta) > 8.0


def test_everybody_in_every_round_is_a_gaussian_mechanism() -> None:
    rho = 5 / (2 * 3.0**2)  # of zCDP, after five rounds
    bound = rho + 2 * math.sqrt(rho * math.log(1e5))  # Bun and Steinke, 2016, proposition 1.3
    found = epsilon("integer_rdp", 3.0, 1.0, 5, 1e-5)
    assert 0.8 * bound < found < bound
    assert found == pytest.approx(epsilon("integer_rdp", 3.0, 1 - 1e-12, 5, 1e-5), rel=1e-6)


def test_no_rounds_cost_nothing_and_no_noise_costs_all() -> None:
    assert epsilon("integer_rdp", 1.0, 0.1, 0, 1e-5) == 0.0
    assert epsilon("integer_rdp", 0.0, 0.1, 1, 1e-5) == math.inf
    assert least_noise("integer_rdp", 1e-5, 1.0, 10_000, 1e-9) == math.inf


def test_library_that_is_missing_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("dp_accounting", "dp_accounting.rdp"):
        monkeypatch.setitem(sys.modules, name, None)
    accountant.check("integer_rdp")
    with pytest.raises(ValueError, match=r"^privacy.accountant: rdp .*pfedmma_dist\[dp\]"):
        accountant.check("rdp")
