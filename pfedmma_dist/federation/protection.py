"""Protection: what a configuration promises each client, and when it can promise nothing."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

from pfedmma_dist import accountant
from pfedmma_dist.config.choices import Privacy, Riders, Sampling, Select, Weights
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.private import PrivacyConfig
from pfedmma_dist.exchange.privacy import Bound, Clipping, LocalNoise, Release
from pfedmma_dist.exchange.uplink import Stage
from pfedmma_dist.federation.corrections.together import Corrections

RELEASE = "privacy.clip"
"""Key of the stage that closes a private round."""

MOST_DELTA = 1e-3
"""Delta at most where it is not given."""


@dataclass(frozen=True)
class Protection:
    """Differential privacy of one client among those that train."""

    cfg: Config
    num_clients: int  # K, that ever train

    @property
    def is_local(self) -> bool:
        """Whether noise is added before anything is sent."""
        return self.cfg.privacy.name is Privacy.local

    @property
    def delta(self) -> float:
        """Return delta: less than the chance to pick out one client by lot."""
        given = self.cfg.privacy.delta
        return min(MOST_DELTA, self.num_clients**-1.1) if given is None else given

    @property
    def rate(self) -> float:
        """Return the chance of a client to be in a round: 1 where who is there is known."""
        return 1.0 if self.is_local else self.cfg.federation.fraction

    @property
    def noise(self) -> float:
        """Return the multiplier of all noise; ValueError where a target asks for what cannot be
        had."""
        own, rounds = self.cfg.privacy, self.cfg.federation.rounds
        if own.target_epsilon is None:
            return own.noise
        if own.noise:
            raise ValueError(
                f"privacy.target_epsilon: {own.target_epsilon:g} finds the noise, and privacy.noise"
                f"={own.noise:g} sets it; leave one of them out"
            )
        why = self.missing(whatever_noise=True)
        if why:
            raise ValueError(f"privacy.target_epsilon: no epsilon can be promised here: {why}")
        found = accountant.least_noise(
            own.accountant.value, own.target_epsilon, self.rate, rounds, self.delta
        )
        if self._scaled(found) > accountant.MOST_NOISE:
            raise ValueError(
                f"privacy.target_epsilon: {own.target_epsilon:g} after {rounds} rounds needs noise "
                f"above {accountant.MOST_NOISE:,.0f}; set a larger one, or fewer federation.rounds"
            )
        return self._scaled(found)

    def _scaled(self, noise: float) -> float:
        """Return the multiplier over C of one over the distance of neighbours: any two updates of
        a client are 2 C apart, while with it or without it is C."""
        return 2 * noise if self.is_local else noise

    def epsilon(self, rounds: int) -> float | None:
        """Return epsilon for every client after so many of its rounds (local) or of the
        federation's (central); None where none can be told."""
        if self.missing():
            return None
        noise = self.noise / self._scaled(1.0)
        way = self.cfg.privacy.accountant.value
        return accountant.epsilon(way, noise, self.rate, rounds, self.delta)

    def missing(self, *, whatever_noise: bool = False) -> str:
        """Return why there is no epsilon and which key changes that; nothing where there is one."""
        own, rounds = self.cfg.privacy, self.cfg.federation
        if own.weights is Weights.samples:
            return (
                "privacy.weights: samples makes a client's weight depend on the others' images; "
                "set privacy.weights=equal"
            )
        if own.riders is Riders.release:
            return (
                "privacy.riders: release tells loss and images of a round without noise; set "
                "privacy.riders=omit"
            )
        if not self.is_local and self.cfg.evaluate.select is Select.best_val:
            return (
                "evaluate.select: best_val chooses a round by clients' images, without noise; set "
                "evaluate.select=last"
            )
        if not self.is_local and rounds.fraction < 1:
            if rounds.first_round_all:
                return (
                    "federation.first_round_all: true has everybody in round 0, and who is there "
                    "must be drawn anew in each; set federation.first_round_all=false"
                )
            if rounds.sampling is not Sampling.poisson:
                return (
                    "federation.sampling: fixed draws clients that depend on each other, and the "
                    "accountant is of independent draws; set federation.sampling=poisson"
                )
        if not whatever_noise and not own.noise and own.target_epsilon is None:
            return "privacy.noise: 0 hides nobody; set privacy.noise or privacy.target_epsilon"
        return ""

    def facts(self, rounds: int) -> dict[str, Any]:
        """Return what result.json says; rounds: see `epsilon`."""
        own = self.cfg.privacy
        return {
            "name": own.name.value,
            "epsilon": self.epsilon(rounds),
            "delta": self.delta,
            "missing": self.missing() or None,
            "noise": self.noise,
            "clip": own.clip,
            "rate": self.rate,
            "rounds": rounds,
            "clients": self.num_clients,
            "accountant": own.accountant.value,
        }


def tells(own: PrivacyConfig) -> bool:
    """Whether loss and number of images of a round are told."""
    is_private = own.name is not Privacy.none or own.example_clip is not None
    return not is_private or own.riders is Riders.release


def protection_of(cfg: Config, num_clients: int, corrections: Corrections) -> Protection | None:
    """Return what protects the clients that train, None without; ValueError where the rest of the
    configuration would get round it."""
    own = cfg.privacy
    if own.example_clip is not None and own.example_noise:
        accountant.check(own.accountant.value)
    if own.name is Privacy.none:
        return None
    if any(each.num_sent or each.even for each in corrections):
        raise ValueError(
            f"correction.name: {cfg.correction.name.value} sends numbers, or counts clients, "
            f"without noise, and privacy.name={own.name.value}; set correction.name=none"
        )
    found = Protection(cfg, num_clients)
    if not found.missing():  # else nobody asks it
        accountant.check(own.accountant.value)
    return found


def private_stages(cfg: Config) -> dict[str, Stage]:
    """Return the stages of the uplink, by the key that asks for each; RELEASE is the last of all,
    and the others stand where clients send."""
    own = cfg.privacy
    if own.name is Privacy.none:
        return {}

    def noise_of(num_clients: int) -> float:
        return Protection(cfg, num_clients).noise

    cohort_of = partial(expected, cfg)
    bound = Bound(
        cfg.seed, own.clip, cohort_of, noise_of, own.quantile, own.clip_rate, own.count_noise
    )
    cap = own.cap if own.weights is Weights.capped else None
    found: dict[str, Stage] = {
        "privacy.name": Clipping(bound, cap=cap, by_samples=own.weights is Weights.samples)
    }
    if own.name is Privacy.local:
        found["privacy.noise"] = LocalNoise(bound)
    found[RELEASE] = Release(bound, noisy=own.name is Privacy.central)
    return found


def expected(cfg: Config, round_index: int, num_clients: int) -> float:
    """Return how many of these clients take part in a round, on average."""
    own = cfg.federation
    if round_index == 0 and own.first_round_all:
        return float(num_clients)
    if own.sampling is Sampling.poisson:
        return own.fraction * num_clients
    return float(max(int(own.fraction * num_clients), 1))


def signal_to_noise(clients: float, noise: float, num_shared: int) -> float:
    """Return the length of the sum of so many clipped updates, where all agree, over that of noise
    on it: m C / (z C sqrt S); infinite without noise."""
    return clients / (noise * math.sqrt(num_shared)) if noise else math.inf
