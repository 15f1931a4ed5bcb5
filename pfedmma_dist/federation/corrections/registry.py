"""Corrections that a configuration can name.

To add one, write its class in a file here, name it in `CorrectionName` (config/learning.py), and
give it a line in `corrections_of`.
"""

from pfedmma_dist.config.choices import CorrectionName, Optimiser, SharedPart
from pfedmma_dist.config.learning import CorrectionConfig, OptimConfig
from pfedmma_dist.federation.corrections.correction import Correction
from pfedmma_dist.federation.corrections.feddyn import FedDyn
from pfedmma_dist.federation.corrections.fedrep import FedRep
from pfedmma_dist.federation.corrections.proximal import Proximal
from pfedmma_dist.federation.corrections.rests import SharedRests
from pfedmma_dist.federation.corrections.scaffold import Scaffold
from pfedmma_dist.params import Layout


def corrections_of(
    cfg: CorrectionConfig,
    proximal: float,
    optim: OptimConfig,
    epochs: int,
    layout: Layout,
    shared: SharedPart = SharedPart.trained,
) -> list[Correction]:
    """Return the configured corrections; ValueError where they do not fit the rest.

    proximal: FedProx's mu. epochs: local ones of a round. shared: what becomes of the shared part.
    """
    found: list[Correction] = [Proximal(layout, proximal)] if proximal else []
    if cfg.name is not CorrectionName.none:
        found.append(_named(cfg, optim, epochs, layout))
    if shared is SharedPart.at_start:
        if not layout.num_shared:
            raise ValueError(
                f"control.shared: {shared.value} is about what clients share, and this method "
                "shares nothing; set control.shared=trained"
            )
        found.append(SharedRests(layout))  # the last, whose word on what comes next counts
    return found


def _named(cfg: CorrectionConfig, optim: OptimConfig, epochs: int, layout: Layout) -> Correction:
    """Return the correction that a configuration names."""
    if not layout.num_shared:
        raise ValueError(
            f"correction.name: {cfg.name.value} is about what clients share, and this method "
            "shares nothing; set correction.name=none"
        )
    if cfg.name is CorrectionName.scaffold:
        if optim.name is not Optimiser.sgd or optim.keep_state:
            raise ValueError(
                "correction.name: scaffold takes a client's mean gradient from how far it came, "
                "which only optim.name=sgd with optim.keep_state=false tells; set these"
            )
        return Scaffold(layout)
    if cfg.name is CorrectionName.feddyn:
        return FedDyn(layout, cfg.alpha)
    if not layout.num_private or not 0 < cfg.head_epochs < epochs:
        raise ValueError(
            f"correction.head_epochs: fedrep trains the private part for {cfg.head_epochs} of "
            f"{epochs} epochs (federation.local_epochs) and the shared part for the rest; each "
            "needs one, and the method a private part"
        )
    return FedRep(layout, cfg.head_epochs)
