"""Evaluating: the keys of who is scored, when, and on what."""

from dataclasses import dataclass

from pfedmma_dist.config.choices import Part, Select
from pfedmma_dist.config.limits import AT_LEAST_1, NOT_NEGATIVE, Limit, is_count
from pfedmma_dist.config.meaning import Role, key

IMAGES = Limit(lambda x: x == "all" or is_count(x), "all or a number of images, 1 or more")
SCORED = Limit(
    lambda x: x in ("all", "participants") or is_count(x),
    "all, participants or a number of clients, 1 or more",
)


@dataclass(kw_only=True)
class EvaluateConfig:
    """When clients are scored, and on what."""

    select: Select = key(Select.last, since=1)
    """Round whose scores are the run's: the `last`, or of the scored rounds that with the highest
    mean score on validation images (data.validation), the first one of several: `best_val`. The
    published code saves the best round by Local on test images; what that would gain is printed,
    and reported under released.best_on_test alone."""
    every: int | None = key(
        None,
        role=Role.REPORT,
        is_open=True,
        was=1,
        counts_as={1: None},
        decides_at={"evaluate.select": ("best_val",), "released.best_on_test": (True,)},
        limit=NOT_NEGATIVE,
    )
    """Rounds between scores on the clients' own test images (Local) and validation images; 0 scores
    only at the end. null means each round where at most 200 clients are scored, or best_val
    chooses among the rounds; else the fewest rounds that keep the image passes of these scores
    within a tenth of training's (an image scored is one pass, one trained on three; clients that
    hold the same numbers are scored once)."""
    full_every: int = key(0, role=Role.REPORT, limit=NOT_NEGATIVE)
    """Rounds between scores on all test sets (Base and Novel too), which take far longer than
    Local; 0 scores them only at the end, and nothing else is ever chosen by itself."""
    clients: str = key("all", limit=SCORED, since=1, heading="Clients scored")
    """Who is scored: `all`, the `participants` (those that have trained by then), or a number of
    them, drawn once by the seed. Means over a number come with their 95 % confidence interval; a
    client of federation.unseen is scored as one of as many more."""
    base_novel_images: str = key("all", limit=IMAGES, since=1, heading="Images scored")
    """On how many images of each test set that all clients share (Base, Novel, Global, a held-out
    domain) they are scored: `all`, or a number of them, drawn once by the seed."""
    unseen_epochs: int = key(1, limit=AT_LEAST_1, since=1, never={"federation.unseen": (0,)})
    """Local epochs after which clients of federation.unseen are scored again, once with the shared
    part at rest and once with all of it trained, at the rate of round 0; nothing of it is kept."""
    finetune_epochs: int = key(0, limit=NOT_NEGATIVE, since=1, heading="Finetuning")
    """Local epochs on a copy of every client's row before it is scored, at the rate of round 0;
    nothing of it is kept, so the rounds are as without. 0: none; 5 for fedbabu (Oh et al.)."""
    finetune: Part = key(Part.all, since=1, never={"evaluate.finetune_epochs": (0,)})
    """What moves in these epochs: `all`, or the `private` part alone."""
    batch_size: int = key(128, role=Role.BITS, limit=AT_LEAST_1)
    """Images per forward pass."""
