"""When an epsilon is told, what it is, and which key is named where it is not."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from tiny import tiny_config, tiny_federation

from pfedmma_dist.accountant import epsilon
from pfedmma_dist.config.choices import (
    Accountant,
    CorrectionName,
    Privacy,
    Riders,
    Sampling,
    Select,
    ServerRule,
    Weights,
)
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.learning import CorrectionConfig, ServerConfig
from pfedmma_dist.config.private import PrivacyConfig, refuse_idle
from pfedmma_dist.federation.disclosure import epsilon_of, forewarned, protection_line
from pfedmma_dist.federation.protection import Protection, signal_to_noise
from pfedmma_dist.federation.stages import refuse_longer
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.tip_adapter import TipAdapter

CENTRAL = PrivacyConfig(name=Privacy.central, noise=1.0, accountant=Accountant.integer_rdp)
LOCAL = replace(CENTRAL, name=Privacy.local)


def protection(own: PrivacyConfig = CENTRAL, **federation: object) -> Protection:
    """Return what protects 1,000 clients; by default as it should be."""
    usual = {"fraction": 0.1, "sampling": Sampling.poisson, "rounds": 10}
    cfg = tiny_config(**{**usual, **federation})
    cfg.privacy = own
    return Protection(cfg, 1000)


def test_epsilon_is_the_accountants() -> None:
    found = protection()
    delta = 1000**-1.1
    assert found.epsilon(10) == epsilon("integer_rdp", 1.0, 0.1, 10, delta)
    assert found.epsilon(0) == 0.0 < found.epsilon(1) < found.epsilon(10)
    everybody = protection(fraction=1.0, sampling=Sampling.fixed, first_round_all=True)
    assert everybody.epsilon(10) == epsilon("integer_rdp", 1.0, 1.0, 10, delta)
    assert protection(replace(CENTRAL, delta=1e-6)).delta == 1e-6


def test_local_epsilon_is_of_updates_two_clips_apart_whoever_is_drawn() -> None:
    found = protection(LOCAL, sampling=Sampling.fixed)
    assert found.epsilon(10) == epsilon("integer_rdp", 0.5, 1.0, 10, 1000**-1.1)


@pytest.mark.parametrize("own", [CENTRAL, LOCAL], ids=["central", "local"])
def test_noise_of_a_target_keeps_it(own: PrivacyConfig) -> None:
    asked = replace(own, noise=0.0, target_epsilon=8.0)
    found = protection(asked)
    assert 7.9 < found.epsilon(10) <= 8.0
    assert found.noise == protection(replace(own, noise=found.noise)).noise


@pytest.mark.parametrize(
    ("key", "own", "federation"),
    [
        ("privacy.weights", {"weights": Weights.samples}, {}),
        ("privacy.riders", {"riders": Riders.release}, {}),
        ("privacy.noise", {"noise": 0.0}, {}),
        ("federation.sampling", {}, {"sampling": Sampling.fixed}),
        ("federation.first_round_all", {}, {"first_round_all": True}),
    ],
)
def test_without_a_precondition_no_epsilon_is_told_and_its_key_is_named(
    key: str, own: dict, federation: dict
) -> None:
    found = protection(replace(CENTRAL, **own), **federation)
    assert found.missing().startswith(f"{key}: ") and found.epsilon(10) is None
    assert f"no epsilon: {key}: " in protection_line(found.facts(10))
    if key != "privacy.noise":
        asked = replace(CENTRAL, **{**own, "noise": 0.0}, target_epsilon=8.0)
        with pytest.raises(ValueError, match=f"^privacy.target_epsilon: .*{key}: .*set "):
            _ = protection(asked, **federation).noise


def test_round_chosen_by_validation_images_has_no_epsilon() -> None:
    found = protection()
    found.cfg.evaluate.select = Select.best_val
    assert found.missing().startswith("evaluate.select: ")


@pytest.mark.parametrize(
    ("told", "method", "keys"),
    [
        ("^privacy.name: .*sees each upload.*server.name=average", PFedMMA, {
            "server": ServerConfig(name=ServerRule.median)}),
        ("^correction.name: scaffold .*correction.name=none", PFedMMA, {
            "correction": CorrectionConfig(name=CorrectionName.scaffold)}),
        ("^privacy.name: .*shares nothing", TipAdapter, {}),
        ("^privacy.target_epsilon: 8 .*leave one of them out", PFedMMA, {
            "sections": {"privacy": replace(CENTRAL, target_epsilon=8.0)}}),
        ("^privacy.target_epsilon: 1e-06 .*needs noise above 1,024", PFedMMA, {
            "sections": {"privacy": replace(CENTRAL, noise=0.0, target_epsilon=1e-6)}}),
        ("^privacy.count_noise: 0.05 of 6 .*set 0.12 or more", PFedMMA, {
            "sections": {"privacy": replace(CENTRAL, quantile=0.5)}}),
    ],
)  # fmt: skip
def test_impossible_combination_is_refused(told: str, method: type, keys: dict) -> None:
    with pytest.raises(ValueError, match=told):
        tiny_federation(method, **{"sections": {"privacy": CENTRAL}, **keys})


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (PrivacyConfig(noise=1.0), "noise: 1.0 .*set that, or leave privacy.noise out"),
        (PrivacyConfig(target_epsilon=8.0), "target_epsilon: 8.0 .*privacy.name=central or local"),
        (replace(LOCAL, quantile=0.5), "quantile: 0.5 .*privacy.name=central alone"),
        (PrivacyConfig(example_noise=1.0), "example_noise: 1.0 .*privacy.example_clip other than"),
    ],
)
def test_privacy_that_nothing_would_come_of_is_refused(own: PrivacyConfig, told: str) -> None:
    refuse_idle(CENTRAL)
    with pytest.raises(ValueError, match=f"^privacy.{told}"):
        refuse_idle(own)


def test_what_may_lengthen_a_clipped_update_is_refused() -> None:
    refuse_longer([])
    with pytest.raises(ValueError, match="^exchange.bits: .*privacy.name=local"):
        refuse_longer(["exchange.bits", "exchange.top"])


def test_run_says_before_its_first_round_that_noise_is_all_there_is() -> None:
    (words,) = forewarned(tiny_federation(PFedMMA, sections={"privacy": CENTRAL}))
    assert words.startswith("privacy.noise: 1 is ") and "6 clients" in words
    assert forewarned(tiny_federation(PFedMMA)) == []
    assert signal_to_noise(100, 0.8948, 3072) == pytest.approx(2.0, abs=0.02)  # capabilities 3.3


def test_local_rounds_are_counted_for_the_client_that_is_in_most() -> None:
    drawn = [np.array([0, 2]), np.array([2]), np.array([], dtype=np.int64), np.array([1, 2])]
    federation = SimpleNamespace(
        protection=protection(LOCAL), participants=lambda index: drawn[index]
    )
    assert epsilon_of(federation, 4) == federation.protection.epsilon(3)
    assert epsilon_of(federation, 0) == 0.0
    assert epsilon_of(SimpleNamespace(protection=None), 4) is None
    assert Config().privacy.name is Privacy.none
