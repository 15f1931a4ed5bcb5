"""Keys of the federation: rounds, who takes part in them, and how clients are grouped."""

from dataclasses import dataclass

from pfedmma_dist.config.choices import Sampling, Softmax
from pfedmma_dist.config.limits import AT_LEAST_1, NOT_NEGATIVE, PATH, POSITIVE, SHARE, Limit
from pfedmma_dist.config.meaning import Role, key


@dataclass(kw_only=True)
class FederationConfig:
    """Rounds, participation and the grouping of clients."""

    rounds: int = key(100, limit=AT_LEAST_1)
    """Communication rounds; 100 in base-to-novel (pFedMMA scripts)."""
    fraction: float = key(1.0, limit=Limit(lambda x: 0 < x <= 1, "above 0 and at most 1"))
    """Share of clients that train in a round, max(int(fraction * K), 1) of them."""
    sampling: Sampling = key(Sampling.fixed, since=1, heading="Sampling")
    """`fixed` draws so many without replacement; `poisson` draws each client by itself with
    probability fraction, as privacy by sampling demands: a round may have nobody, and then changes
    nothing but for privacy's noise."""
    unseen: float = key(0.0, limit=SHARE, since=1, heading="Unseen")
    """Share of clients that never train, int(unseen * K) of them, drawn by the seed. They are
    scored as they would join: as downloaded, and after evaluate.unseen_epochs (what averaging buys
    those who come later)."""
    first_round_all: bool | None = key(None, is_open=True)
    """Whether every client trains in round 0; null means as published for the method."""
    local_epochs: int = key(1, limit=AT_LEAST_1)
    """Passes over a client's data per round; 1 (pFedMMA scripts)."""
    batch_size: int = key(32, limit=AT_LEAST_1)
    """Images per client and step; 32 (pFedMMA scripts)."""
    drop_last: bool = True
    """Leave out an epoch's incomplete last batch where a client fills at least one (Dassl)."""
    softmax: Softmax = key(Softmax.all, since=1, heading="Softmax")
    """Among which classes the loss of local training tells an image apart: `all` that anybody
    trains on, or the client's `own` alone (FedTPG, FedMVP, TOFA). It changes no score's softmax."""
    proximal: float = key(0.0, limit=NOT_NEGATIVE)
    """FedProx (Li et al., MLSys 2020): mu / 2 times the squared distance of a client's shared
    parameters from those it downloaded, added to its loss; no effect where nothing is shared. 0.5
    for prompts (PromptFL's code, where the term is detached and has no gradient; here it has)."""
    num_shards: int | None = key(
        None,
        role=Role.BITS,
        is_open=True,
        was=8,
        limit=Limit(lambda x: 1 <= x <= 65536, "1 or more, at most 65,536"),
    )
    """Fixed groups of clients; a rank hosts whole shards, so at most num_shards ranks. null means 8
    on CPUs and the number of ranks on GPUs, where small groups leave cohorts empty. Part of the
    result's bits, like the seed."""
    cohort_size: int | None = key(None, role=Role.BITS, is_open=True, limit=AT_LEAST_1)
    """Clients trained in lockstep; null means 1 on a CPU and 8 on a GPU. Part of the result's
    bits."""
    client_memory: float = key(8.0, role=Role.RESOURCE, limit=POSITIVE, since=1)
    """Largest size of the clients' own numbers kept in memory, GiB per host; beyond it they lie in
    a file in clip.cache_folder, which ends with the run."""
    plan: str | None = key(None, since=1, by_content=True, is_file=True, limit=PATH, heading="Plan")
    """A file of lines of JSON that says who trains in which round, in which order, on which images
    in which batches, in place of what the seed draws (docs/plans.md has the format);
    fraction, sampling, first_round_all and drop_last are then not read. `python -m
    pfedmma_dist.plan RUN` writes that of any run."""
