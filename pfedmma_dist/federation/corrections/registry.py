"""Corrections that a configuration can name.

To add one, write its class in a file here, name it in `CorrectionName` (config/choices.py), and
give it a line in `_named`; what it does not fit is refused above.
"""

from pfedmma_dist.config.choices import CorrectionName, Optimiser, SharedPart
from pfedmma_dist.config.keys import Config
from pfedmma_dist.federation.corrections.correction import Correction
from pfedmma_dist.federation.corrections.feddyn import FedDyn
from pfedmma_dist.federation.corrections.fedrep import FedRep
from pfedmma_dist.federation.corrections.moon import Moon
from pfedmma_dist.federation.corrections.proximal import Proximal
from pfedmma_dist.federation.corrections.resting import FedBABU, SharedRests
from pfedmma_dist.federation.corrections.scaffold import Scaffold
from pfedmma_dist.federation.corrections.second import SecondRow
from pfedmma_dist.federation.corrections.together import Corrections
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout


def corrections_of(cfg: Config, method: Method, layout: Layout) -> Corrections:
    """Return the configured corrections; ValueError where they do not fit the rest."""
    proximal, name = cfg.federation.proximal, cfg.correction.name
    found: list[Correction] = [Proximal(layout, proximal)] if proximal else []
    why = _misfit(cfg, method, layout)
    if why:
        raise ValueError(why)
    if name is not CorrectionName.none:
        found.append(_named(cfg, method, layout))
    if cfg.control.shared is SharedPart.at_start:
        found.append(SharedRests(layout))  # the last, whose word on what comes next counts
    return Corrections(found)


def _named(cfg: Config, method: Method, layout: Layout) -> Correction:
    own = cfg.correction
    made = {
        CorrectionName.scaffold: lambda: Scaffold(layout),
        CorrectionName.feddyn: lambda: FedDyn(layout, own.alpha),
        CorrectionName.moon: lambda: Moon(method, layout, own.mu, own.temperature),
        CorrectionName.fedrep: lambda: FedRep(layout, own.head_epochs),
        CorrectionName.fedbabu: lambda: FedBABU(layout),
        CorrectionName.ditto: lambda: SecondRow(layout, mix=1.0, learns=False, pull=own.pull),
        CorrectionName.apfl: lambda: SecondRow(layout, mix=own.mix, learns=own.learn_mix, pull=0.0),
    }
    return made[own.name]()


def _misfit(cfg: Config, method: Method, layout: Layout) -> str:
    """Return why the correction does not fit, and what to do; nothing where it does."""
    name, optim, epochs = cfg.correction.name, cfg.optim, cfg.federation.local_epochs
    if cfg.control.shared is SharedPart.at_start and not layout.num_shared:
        return (
            f"control.shared: {cfg.control.shared.value} is about what clients share, and this "
            "method shares nothing; set control.shared=trained"
        )
    if name is CorrectionName.none:
        return ""
    if not layout.num_shared:
        return (
            f"correction.name: {name.value} is about what clients share, and this method "
            "shares nothing; set correction.name=none"
        )
    if not method.goes_on:
        return (
            f"correction.name: {name.value} is about the mean of all that clients share, and here "
            "they start from something else, or send something else (method.name, method.train, "
            "method.merge, method.ranks); set correction.name=none"
        )
    if name is CorrectionName.scaffold and (optim.name is not Optimiser.sgd or optim.keep_state):
        return (
            "correction.name: scaffold takes a client's mean gradient from how far it came, "
            "which only optim.name=sgd with optim.keep_state=false tells; set these"
        )
    if name is CorrectionName.moon and not method.represents:
        return (
            f"correction.name: moon compares what a method makes of images or classes, and "
            f"{method.name} does not say what that is (Method.representation); set another one"
        )
    head = cfg.correction.head_epochs
    if name in (CorrectionName.fedrep, CorrectionName.fedbabu) and not layout.num_private:
        return (
            f"correction.name: {name.value} lets the private part rest, and this method has none; "
            "set correction.name=none"
        )
    if name is CorrectionName.fedrep and not 0 < head < epochs:
        return (
            f"correction.head_epochs: fedrep trains the private part for {head} of "
            f"{epochs} epochs (federation.local_epochs) and the shared part for the rest, and each "
            f"needs one; set federation.local_epochs={head + 1} or more"
        )
    if name is CorrectionName.fedbabu and not cfg.evaluate.finetune_epochs:
        return (
            "evaluate.finetune_epochs: 0, and correction.name=fedbabu trains the private part "
            "nowhere else; set evaluate.finetune_epochs=5 (Oh et al.), or 1 or more"
        )
    return ""
