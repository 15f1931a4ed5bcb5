"""Restoring: the state of a federation, out of its checkpoints."""

from pathlib import Path

from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.run import loading


def load_into(
    federation: Federation,
    folder: Path,
    check: loading.Check,
    *,
    before: loading.Accept = lambda loaded: None,
    only: int | None = None,
) -> loading.Loaded | None:
    """Give a federation the state of the newest checkpoint in a folder, or of one round only, and
    return it; None where none was ever made. Collective.

    check: as of `loading.load`. before: looks at a checkpoint first, and may refuse it.
    """

    def accept(found: loading.Loaded) -> None:
        before(found)
        federation.load(found.shards, found.server, found.round_index)

    return loading.load(
        folder, federation.world, federation.hosted, federation.layout.fingerprint(),
        len(federation.shards), check, accept, only,
    )  # fmt: skip
