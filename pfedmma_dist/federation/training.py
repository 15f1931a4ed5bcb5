"""Training: what all clients of a federation have in common when they train in a round."""

from typing import TYPE_CHECKING, Any

from pfedmma_dist.federation.examples import guard_of
from pfedmma_dist.federation.released.momentum import optimiser_of
from pfedmma_dist.federation.softmax import training_columns
from pfedmma_dist.federation.trainer import LocalTrainer

if TYPE_CHECKING:
    from pfedmma_dist.federation.federation import Federation


def trainer_of(federation: "Federation") -> LocalTrainer:
    """Return it, as the configuration says."""
    own, cfg = federation, federation.cfg
    features: Any = own.sources and own.sources.train  # None until they are there
    return LocalTrainer(
        own.method, own.layout, own.train_text, features,
        own.label_of, optimiser_of(cfg), own.corrections,
        training_columns(cfg.federation.softmax, own.task), own.on_step,
        guard_of(cfg.privacy, own.method, own.corrections), waves=cfg.released.wave,
        recorder=own.recorder,
    )  # fmt: skip
