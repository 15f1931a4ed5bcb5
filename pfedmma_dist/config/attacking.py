"""Attacking: the keys of clients that mean harm."""

from dataclasses import dataclass

from pfedmma_dist.config.choices import AttackName
from pfedmma_dist.config.limits import POSITIVE, SHARE, Limit
from pfedmma_dist.config.meaning import key

ATTACKED = {"attack.name": ("none",)}
BACKDOOR = {"attack.name": ("backdoor",)}
SCALED = {"attack.name": ("sign_flip", "scaling", "noise", "alie", "ipm", "backdoor")}
PART = Limit(lambda x: 0 < x <= 1, "above 0 and at most 1")


@dataclass(kw_only=True)
class AttackConfig:
    """Some of the clients that train are attackers, drawn once by the seed. They take part like any
    other; scores are of the others, and theirs apart."""

    name: AttackName = key(AttackName.none, since=1, heading="Attack")
    """What they do. To their own move after training: `sign_flip`, `scaling`, or `noise` of its
    length in its place. Together, knowing the honest uploads of the round: `alie` (Baruch et al.,
    NeurIPS 2019), `ipm` (Xie et al., UAI 2019), `min_max` (Shejwalkar and Houmansadr, NDSS 2021).
    To what they train on: `label_flip` (class c becomes C - 1 - c), `backdoor` (images with a
    trigger belong to one class; Gu et al., 2017; Bagdasaryan et al., AISTATS 2020)."""
    share: float = key(0.0, limit=SHARE, since=1, heading="Attackers", never=ATTACKED)
    """Share of the clients that train, int(share * K) of them, one at least."""
    scale: float | None = key(None, limit=POSITIVE, since=1, only=SCALED)
    """Factor of the attack: of the move in sign_flip (null: 1), scaling (10), noise (10) and
    backdoor (1: as trained; more is model replacement), of the honest mean in ipm (0.5), of the
    deviation in alie (the paper's z)."""
    target: str | None = key(None, since=1, only=BACKDOOR)
    """Class that images with the trigger shall be taken for; null is the first one trained."""
    poison: float = key(0.5, limit=PART, since=1, only=BACKDOOR)
    """Share of an attacker's training images that get the trigger and the target's label."""
    trigger: float = key(0.25, limit=PART, since=1, only=BACKDOOR)
    """Side of the trigger, a checkered square in the lower right corner, as a part of the
    image's."""
