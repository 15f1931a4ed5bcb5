"""Foretold: what a run says of how long its last scoring will take, before it is there."""

from pfedmma_dist.federation.evaluate import Scores
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.foresight import Foreseen, foresee, workload
from pfedmma_dist.quantities.units import duration

SPOKEN_SECONDS = 120.0
"""Last scoring that needs no word beforehand."""

FEWER_CLIENTS, FEWER_IMAGES = 100, 1_000
"""What is proposed; the means of so many clients are within a point or two of all."""

FAR = 2.0
"""Times by which the first scores may outlast or fall short of what was foreseen, unsaid."""


class Foretold:
    """What a run knows of its last scoring: before its first round by a few batches, after its
    first scores by what these took. Rank 0's to ask."""

    def __init__(self, federation: Federation) -> None:
        self.federation, self.found = federation, foresee(federation)
        self.is_measured = False

    def words(self) -> str:
        """Return what to say of a last scoring that takes long, and which key shortens it; nothing
        of a short one."""
        return self._words("will take about") if self.is_long else ""

    def after(self, num_rounds: int, full: bool, scores: Scores) -> str:
        """Return what to say after the first scores of this start, if they took far more or less
        than was foreseen."""
        if self.found is None or self.is_measured:
            return ""
        self.is_measured = True
        scopes = [scope for scope in self.federation.task.scopes if full or not scope.full]
        work = workload(self.federation, num_rounds, scopes)
        wanted = self.found.speed.seconds(work, self.federation.world.size)
        if not wanted or not scores.seconds:
            return ""
        factor, was_long = scores.seconds / wanted, self.is_long
        self.found = _corrected(self.found, factor)
        is_far = not 1 / FAR < factor < FAR
        told = f"by the scores of round {num_rounds} will take about"
        return self._words(told) if is_far and (was_long or self.is_long) else ""

    @property
    def is_long(self) -> bool:
        return self.found is not None and self.found.seconds > SPOKEN_SECONDS

    def _words(self, when: str) -> str:
        found = self.found
        assert found is not None
        ways = _ways(found)
        told = f"; {' and '.join(ways)}" if ways else ""
        return (
            f"evaluate.clients: the last scoring {when} {duration(found.seconds)} on "
            f"{self.federation.world.size} rank(s), for {found.work.rows:,} different rows of "
            f"numbers and {found.work.passes:,} image passes{told}"
        )


def _corrected(found: Foreseen, factor: float) -> Foreseen:
    return Foreseen(found.work, found.common, found.speed.corrected(factor), factor * found.seconds)


def _ways(found: Foreseen) -> list[str]:
    """Return the keys that shorten it, each with what it would take by itself."""
    ways, rows, images = {}, found.work.rows, found.work.passes / found.work.rows
    if rows > FEWER_CLIENTS:
        ways[f"evaluate.clients={FEWER_CLIENTS}"] = FEWER_CLIENTS / rows
    if found.common > FEWER_IMAGES:
        share = max(images - found.common + FEWER_IMAGES, FEWER_IMAGES) / images
        ways[f"evaluate.base_novel_images={FEWER_IMAGES}"] = share
    return [
        f"{word} makes it about {duration(found.seconds * share)}" for word, share in ways.items()
    ]
