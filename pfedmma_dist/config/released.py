"""Released: the keys of defects of released code, to reproduce what was published with them."""

from dataclasses import dataclass

from pfedmma_dist.config.limits import NOT_NEGATIVE
from pfedmma_dist.config.meaning import key


@dataclass(kw_only=True)
class ReleasedConfig:
    """Defects of released code without which its numbers do not come out again, each by itself and
    off by default (docs/known-defects.md says whose they are, and what they move)."""

    momentum: bool = key(False, since=1, heading="Momentum handed on")
    """One optimiser for all: its momentum, or adam's means, goes from each client to the one that
    is visited next, through all rounds (pFedMMA, FedPGP, FedOTP, pFedMoAP, PromptFL). Needs
    federation.num_shards=1 and federation.cohort_size=1, since clients wait for each other."""
    wave: bool = key(False, since=1, heading="Rate in a wave")
    """optim.schedule=cosine over optim.unit=epochs goes on from each client to the one that is
    visited next, and up again, and is begun anew by nobody: with one local epoch every second
    client learns at rate 0 (pFedMMA's cosine files, PromptFL, pFedMoAP but for its gate)."""
    references: bool = key(False, since=1, heading="References sent")
    """Clients send references to the one live model, so that the mean of a round is what the client
    visited last has sent (PromptFL's own repository)."""
    dropped: int | None = key(None, since=1, limit=NOT_NEGATIVE, heading="Client dropped")
    """Number of a client, from 0, that takes part in no round and has no score; 5 (PromptFL in
    pFedMMA's and FedPGP's repositories)."""
    stale_text: bool = key(False, since=1, heading="Stale text")
    """Scores of all clients and rounds use the class vectors of the client that is visited first,
    as its training in round 0 leaves it; training makes its own (pFedMMA on one GPU)."""
    best_on_test: bool = key(False, since=1, heading="Best on test")
    """The run reports the round whose Local, on test images, is best, the first of several (pFedMMA
    and others): a choice by peeking, and named so wherever it is shown."""
