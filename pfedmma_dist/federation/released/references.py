"""References: uploads that are the one live model, and so what the client visited last has sent
(released.references)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pfedmma_dist.federation.federation import Federation


def referred(federation: "Federation", round_index: int) -> int | None:
    """Return the client whose upload is the mean of a round; None where all of them make it."""
    if not federation.cfg.released.references:
        return None
    order = federation.visited(round_index)
    return int(order[-1]) if len(order) else None
