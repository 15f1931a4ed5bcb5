"""Facts: what result.json says of a run beside its numbers."""

from typing import Any

from pfedmma_dist.federation.federation import Federation


def facts_of(federation: Federation) -> dict[str, Any]:
    """Return what is known of a federation before its first round, as plain JSON values."""
    cfg = federation.cfg
    facts = {
        "method": cfg.method["name"],
        "data": cfg.data.name,
        "task": cfg.data.task.value,
        "seed": cfg.seed,
        "ranks": federation.world.size,
    }
    if len(federation.attackers):
        facts["attackers"] = federation.attackers.tolist()
    return facts
