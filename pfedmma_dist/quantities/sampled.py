"""Sampled: what the scores of a part of the clients, or on a part of the images, say of all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import numpy as np

from pfedmma_dist.quantities.quantity import heading
from pfedmma_dist.quantities.student import t_quantile


@dataclass(frozen=True)
class Sample:
    """Who is scored, and on what, where that is not everybody on everything."""

    rule: str  # evaluate.clients
    num_clients: int  # that train at all: whom a number of clients is drawn from
    images: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Scope -> images scored, of how many, where they are a sample."""
    of_client: Mapping[str, np.ndarray] = field(default_factory=dict)
    """The same scope -> images that each client is scored on [K]."""

    def facts(self, scores: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Return what result.json says of scores: scope -> [K] percent, nan where not scored."""
        widths = {name: self.half_width(name, values) for name, values in scores.items()}
        return {
            "clients": self.rule,
            "num_clients": self.scored(scores),
            "of": self.num_clients,
            "images": {name: list(counts) for name, counts in self.images.items()},
            "half_widths": {name: x for name, x in widths.items() if x is not None},
        }

    def scored(self, scores: Mapping[str, np.ndarray]) -> int:
        """Return how many clients of those that train have a score of their own."""
        own = next(iter(scores.values()))  # Local
        return int((~np.isnan(own)).sum())

    def half_width(self, name: str, values: np.ndarray) -> float | None:
        """Return half of the 95 % confidence interval of a scope's mean over all clients and
        images, percent; None where it is no estimate, or of a single client.

        Student's t for clients drawn without replacement, s sqrt((1 - n / K) / n). Images are the
        same for all clients, so that their share, sqrt(p (1 - p) (1 - m / M) / m) of a mean p, is
        a bound: clients that agree on every image.
        """
        known = values[~np.isnan(values)]
        drawn = self.rule.isdecimal() and len(known) < self.num_clients
        if not len(known) or (not drawn and name not in self.images):
            return None
        variance, quantile = 0.0, t_quantile(10**6)
        if drawn:
            if len(known) < 2:
                return None
            quantile = t_quantile(len(known) - 1)
            variance = float(known.var(ddof=1)) * (1 / len(known) - 1 / self.num_clients)
        if name in self.images:
            count, total = self.images[name]
            mean = float(known.mean())
            variance += mean * (100 - mean) * (1 / count - 1 / total)
        return quantile * sqrt(variance)


def scored_on(sample: Sample | None, scores: Mapping[str, np.ndarray]) -> str:
    """Say what scores [K] are of, if they are of a sample; {}: of nothing."""
    return "" if sample is None or not scores else sample_words(sample.facts(scores))


def sample_words(facts: Mapping[str, Any]) -> str:
    """Say on what scores are, of `Sample.facts`."""
    told = []
    if facts["clients"] != "all":
        who = "clients that have trained, " if facts["clients"] == "participants" else ""
        told.append(f"{who}{facts['num_clients']:,} of {facts['of']:,} clients")
    told += [
        f"{count:,} of {total:,} images of {heading(name)}"
        for name, (count, total) in facts["images"].items()
    ]
    return ", ".join(told)


def interval_words(widths: Mapping[str, float]) -> str:
    """Say how far means over a sample may be off, from scope -> half width; nothing of none."""
    told = ", ".join(f"{heading(name)} ± {width:.2f}" for name, width in widths.items())
    return f"95 % confidence intervals of the means over all: {told}" if told else ""


def sample_lines(facts: Mapping[str, Any] | None) -> list[str]:
    """Return what a run's last words say of it; nothing where all are scored on everything."""
    if facts is None:
        return []
    found = [f"scored on    {sample_words(facts)}"]
    told = interval_words(facts["half_widths"])
    return [*found, f"             {told}"] if told else found
