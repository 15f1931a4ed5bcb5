"""What values must be beyond their types, as far as no data and no machine is needed to tell."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.merge import hint, leaves


@dataclass(frozen=True)
class Limit:
    """What a value must be beyond its type."""

    holds: Callable[[Any], bool]
    words: str


POSITIVE = Limit(lambda x: x > 0, "above 0")
NOT_NEGATIVE = Limit(lambda x: x >= 0, "0 or more")
AT_LEAST_1 = Limit(lambda x: x >= 1, "1 or more")
COOP = "coop"
"""In place of a template: the data set's own."""
LIMITS = {
    "seed": Limit(lambda x: 0 <= x < 2**63, "0 or more and below 2^63"),
    "data.num_clients": AT_LEAST_1,
    "data.beta": Limit(lambda x: 1e-6 <= x <= 1e6, "1e-6 to 1e6"),
    "data.classes_per_client": AT_LEAST_1,
    "data.shots": AT_LEAST_1,
    "data.template": Limit(
        lambda x: x.count("{}") == 1 or x == COOP, "text with exactly one {}, or coop"
    ),
    "data.views": Limit(lambda x: 0 <= x < 2**20, "0 or more and below 2^20"),
    "data.difficulty": Limit(lambda x: 0 <= x <= 1, "0 to 1"),
    "data.style_gap": NOT_NEGATIVE,
    "data.train_per_class": AT_LEAST_1,
    "data.test_per_class": AT_LEAST_1,
    "clip.cache_memory": POSITIVE,
    "federation.rounds": AT_LEAST_1,
    "federation.fraction": Limit(lambda x: 0 < x <= 1, "above 0 and at most 1"),
    "federation.local_epochs": AT_LEAST_1,
    "federation.batch_size": AT_LEAST_1,
    "federation.proximal": NOT_NEGATIVE,
    "federation.num_shards": AT_LEAST_1,
    "federation.cohort_size": AT_LEAST_1,
    "optim.lr": POSITIVE,
    "optim.momentum": Limit(lambda x: 0 <= x < 1, "0 or more and below 1"),
    "optim.weight_decay": NOT_NEGATIVE,
    "evaluate.every": NOT_NEGATIVE,
    "evaluate.full_every": NOT_NEGATIVE,
    "evaluate.batch_size": AT_LEAST_1,
    "run.device": Limit(lambda x: x in ("auto", "cpu", "cuda"), "auto, cpu or cuda"),
    "run.threads": Limit(lambda x: 1 <= x <= 1024, "1 to 1024"),
    "run.patience": AT_LEAST_1,
    "run.checkpoint_every": AT_LEAST_1,
    "run.keep_checkpoints": Limit(lambda x: x >= 2, "2 or more"),
}


def check(config: Config, sources: Collection[str]) -> None:
    """Refuse values that no data set and no machine could make sense of.

    sources: names of the known data sets.
    """
    enforce(config, LIMITS)
    if config.data.name not in sources:
        known = ", ".join(sorted(sources))
        raise ValueError(
            f"data.name: {config.data.name!r} is unknown{hint(config.data.name, sources)}; "
            f"known: {known}"
        )


def enforce(config: Any, limits: Mapping[str, Limit]) -> None:
    """Refuse a dataclass with a value outside `limits`; null is within all of them."""
    tree, known = OmegaConf.structured(config), leaves(type(config))
    for key, limit in limits.items():
        value = OmegaConf.select(tree, key)
        if value is not None and not limit.holds(value):
            raise ValueError(
                f"{key}: {value!r} is not {limit.words}; for example {known[key].example}"
            )
