"""Alike: what all ranks must have read alike, or they would compute on different things."""

import hashlib
from collections.abc import Sequence

import numpy as np

from pfedmma_dist.data.images.images import Images
from pfedmma_dist.run.together import TogetherError, unlike
from pfedmma_dist.world import World

REMEDY = "give all hosts the same files, or one place that all of them see"


def refuse_other_lists(images: Sequence[Images], world: World) -> None:
    """Raise TogetherError where a rank lists other images than rank 0. Collective."""
    if world.size == 1:
        return
    found = unlike(world, "; ".join(map(_listed, images)))
    if found is not None:
        rank, theirs, ours = found
        raise TogetherError(f"data.root: rank {rank} lists {theirs}, and rank 0 {ours}; {REMEDY}")


def refuse_other_facts(facts: Sequence[tuple[str, str]], world: World) -> None:
    """Raise TogetherError where a rank has read something else than rank 0 has. Collective.

    facts: (what it is, with its key; digest), the same on all ranks.
    """
    if world.size == 1:
        return
    digests = [hashlib.sha256(digest.encode()).hexdigest()[:12] for _, digest in facts]
    found = unlike(world, " ".join(digests))
    if found is not None:
        rank, theirs, ours = found
        pairs = zip(facts, theirs.split(), ours.split(), strict=True)
        told = [what for (what, _), one, other in pairs if one != other]
        raise TogetherError(f"{told[0]}: rank {rank} has read another than rank 0; {REMEDY}")


def _listed(images: Images) -> str:
    """Say how many images are listed, and in a digest of which classes and in which split; what
    classes are called is compared later, and told by its own key."""
    found = hashlib.sha256()
    parts = images.labels, images.train, images.test, images.val, images.domains, images.owners
    for rows in parts:
        found.update(b"none" if rows is None else np.ascontiguousarray(rows, np.int64).tobytes())
    return f"{len(images):,} images of {len(images.class_names)} classes ({found.hexdigest()[:8]})"
