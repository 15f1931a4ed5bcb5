"""Ways through a round: of the methods that share one, the first stands for all where a round, and
not what a step computes, is tried.

A way is which of the functions between steps a method has for itself, and what it shares, keeps and
freezes. Whatever goes between ranks and into files follows from these; what a step computes is
tried for every method, in one process.
"""

from pfedmma_dist.clip.load import dims
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.method import Method

BETWEEN = (
    "exchange", "template", "frozen", "prepare", "resting", "draw", "pick", "statistics", "deal",
    "begin",
)  # fmt: skip
"""Functions of a method that are called once a round, or once a run."""


def way(kind: type[Method]) -> tuple[object, ...]:
    """Return what the round of a method depends on."""
    specs = kind(kind.Options(), dims("ViT-B-16")).specs
    own = [name for name in BETWEEN if getattr(kind, name) is not getattr(Method, name)]
    parts = {"frozen" if spec.frozen else "shared" if spec.shared else "own" for spec in specs}
    return tuple(own), tuple(sorted(parts)), kind.goes_on, kind.first_round_all


def one_of_each_way(names: list[str]) -> list[str]:
    """Return the names without those whose way has been met before."""
    found: dict[tuple[object, ...], str] = {}
    for name in names:
        found.setdefault(way(METHODS[name]), name)
    return list(found.values())
