"""A distributed simulator for personalized federated fine-tuning of CLIP.

    from pfedmma_dist import Simulation
    simulation = Simulation.open({"method.name": "promptfl", "federation.rounds": 20})
    simulation.train()

Letters used in shape comments throughout the package:

    K  clients in all               G  clients of one cohort, trained in lockstep
    B  images per client and step   N  images or sequences, leading axes flattened
    C  classes                      T  tokens of an image (197 for ViT-B/16)
    L  tokens of a text             W  width of a tower (768 image, 512 text)
    D  joint width of the towers    R  rank of an adapter
    P  private numbers of a client  S  shared numbers, those that cross the network
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pfedmma_dist.config.keys import Config
    from pfedmma_dist.methods import register
    from pfedmma_dist.methods.method import Method
    from pfedmma_dist.simulation.callbacks import Callback
    from pfedmma_dist.simulation.simulation import Simulation

__all__ = ["Callback", "Config", "Method", "Simulation", "register"]

__version__ = "0.1.0"

HOMES = {
    "Callback": "simulation.callbacks",
    "Config": "config.keys",
    "Method": "methods.method",
    "Simulation": "simulation.simulation",
    "register": "methods",
}
"""Names that a program imports from here, whose modules take seconds to import."""


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Name what can be imported, what has been imported already included."""
    return sorted({*globals(), *__all__})
