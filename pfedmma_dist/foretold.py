"""Foretold: what a run says before its first round of how long its last scoring will take."""

from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.foresight import Foreseen, foresee
from pfedmma_dist.quantities.units import duration

SPOKEN_SECONDS = 120.0
"""Last scoring that needs no word beforehand."""

FEWER_CLIENTS, FEWER_IMAGES = 100, 1_000
"""What is proposed; the means of so many clients are within a point or two of all."""


def foretold(federation: Federation) -> str:
    """Return what to say of a last scoring that takes long, and which key shortens it; nothing of
    a short one."""
    found = foresee(federation)
    if found is None or found.seconds <= SPOKEN_SECONDS:
        return ""
    ways = _ways(found)
    told = f"; {' and '.join(ways)}" if ways else ""
    return (
        f"evaluate.clients: the last scoring will take about {duration(found.seconds)} on "
        f"{federation.world.size} rank(s), for {found.rows:,} clients with numbers of their own on "
        f"{found.images:,} images each{told}"
    )


def _ways(found: Foreseen) -> list[str]:
    """Return the keys that shorten it, each with what it would take by itself."""
    ways = {}
    if found.rows > FEWER_CLIENTS:
        share = FEWER_CLIENTS / found.rows
        ways[f"evaluate.clients={FEWER_CLIENTS}"] = share
    if found.common > FEWER_IMAGES:
        share = max(found.images - found.common + FEWER_IMAGES, FEWER_IMAGES) / found.images
        ways[f"evaluate.base_novel_images={FEWER_IMAGES}"] = share
    return [
        f"{word} makes it about {duration(found.seconds * share)}" for word, share in ways.items()
    ]
