"""Recording: what a finished round becomes in the report, and for whoever follows the rounds."""

from pfedmma_dist.exchange import BYTES
from pfedmma_dist.federation.disclosure import epsilon_of
from pfedmma_dist.federation.evaluate import Scores
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.tally import RoundStats
from pfedmma_dist.quantities.sampled import Sample, scored_on
from pfedmma_dist.run.record import RoundRecord


def recorded(
    federation: Federation,
    index: int,
    stats: RoundStats,
    scores: Scores | None,  # None: this round is not scored
    sample: Sample | None,  # who is scored and on what, where that is not all
) -> RoundRecord:
    """Return the record of a finished round."""
    cost, percent = federation.cost(index), scores.percent if scores else {}
    return RoundRecord(
        round_index=index,
        loss=stats.loss,
        samples=stats.num_samples,
        train_seconds=stats.seconds,
        evaluate_seconds=scores.seconds if scores else 0.0,
        client_up_bytes=cost.bytes_up,
        client_down_bytes=cost.bytes_down + BYTES * cost.start,
        rank_bytes=stats.rank_bytes,
        simulated=federation.clock.numbers(index) if federation.clock else {},
        epsilon=epsilon_of(federation, index + 1),
        dropped=federation.told_apart(stats.dropped),
        scores=percent,
        scored_on=scored_on(sample, percent),
    )
