"""Exchanging: the keys of how what is shared crosses the network."""

from dataclasses import dataclass

from pfedmma_dist.config.limits import Limit
from pfedmma_dist.config.meaning import key


@dataclass(kw_only=True)
class ExchangeConfig:
    """How the shared part goes up; what comes down is float32 as ever."""

    bits: int = key(
        32, limit=Limit(lambda x: x in (4, 8, 16, 32), "4, 8, 16 or 32"), since=1, heading="Bits"
    )
    """Bits of each number of a client's move that goes up. Fewer than 32 are levels between the
    largest move and its opposite, rounded at random and without bias (QSGD, Alistarh et al., NIPS
    2017)."""
    top: float = key(
        1.0,
        limit=Limit(lambda x: 0 < x <= 1, "above 0 and at most 1"),
        since=1,
        heading="Numbers sent",
    )
    """Share of a client's shared numbers that goes up, the furthest moved first (top-k; Stich et
    al., NeurIPS 2018), at least one; which they are goes up too."""
    feedback: bool = key(True, since=1, heading="Feedback")
    """A client adds to a move what bits and top have left out of its earlier ones (error feedback;
    Karimireddy et al., ICML 2019): as many more numbers of its own as it shares."""
    secure: bool = key(False, since=1, heading="Secure sums")
    """Clients mask what they send, so that the server learns a round's sum and no row (Bonawitz et
    al., CCS 2017), simulated with real masks: the results have the same bits, and the ledger counts
    the protocol's own bytes. Key agreement is a small stand-in: nothing here is private."""
    threshold: float = key(
        0.67,
        limit=Limit(lambda x: 0.5 < x <= 1, "above 0.5 and at most 1"),
        since=1,
        only={"exchange.secure": (True,)},
    )
    """Share of a round's clients that must stay to its end for its sum to be unmasked."""
