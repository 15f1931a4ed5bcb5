"""Options of FedMGP: its groups of prompts, how far apart they are, which of them are sent."""

from dataclasses import dataclass
from enum import Enum

from pfedmma_dist.methods.groups import Distance
from pfedmma_dist.methods.method import at_least_one
from pfedmma_dist.methods.share import Share

WORDS = "a photo of a"


class Diversity(Enum):
    """Which way the distances between groups go: they are taken from the loss, or added."""

    as_paper = -1.0
    as_released = 1.0


@dataclass(kw_only=True)
class FedMGPOptions:
    """Options of FedMGP."""

    num_groups: int = 5
    """Pairs of prompts N of a client; 5 (released code)."""
    num_context: int = 2
    """Vectors n of a text prompt; 2 (released code). At start 0 they begin as the first words of
    "a photo of a" and draws from N(0, 0.01^2), and above it as draws from N(0, 0.02^2)."""
    num_tokens: int = 2
    """Tokens k of an image prompt, behind the patches, draws from N(0, 0.02^2); 2 (released
    code)."""
    num_sent: int = 2
    """Prompts s of each tower that a client sends, or all where it has fewer; 2 (released code)."""
    temperature: float = 1.0
    """Of the softmax over cosines by which they are drawn; 1 (released code). 0: the nearest."""
    distance: Distance = Distance.l1
    """What of the groups' class vectors, and of their image vectors, is far apart: `l1`, `l2` or
    `cosine`."""
    diversity: Diversity = Diversity.as_paper
    """`as_paper` pushes groups apart; `as_released` pulls them together."""
    weight: float = 1.0
    """Of the distances in the loss; 1 (released code)."""
    start: int = 0
    """The block of both towers whose input has prompts, counted from 0; 0 (released code)."""
    share: Share = Share.all
    """`all` averages what clients draw; `none` trains each client's groups alone."""

    def __post_init__(self) -> None:
        at_least_one(self, "num_groups", "num_context", "num_tokens", "num_sent")
        for name in ("temperature", "weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"method.{name}: {getattr(self, name)}; set 0 or more")
        if not self.start and self.num_context > len(WORDS.split()):
            raise ValueError(
                f"method.num_context: {self.num_context} vectors cannot take the places of the "
                f"words {WORDS!r}; set {len(WORDS.split())} or fewer, or method.start above 0"
            )
