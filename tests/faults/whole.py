"""What a run leaves that no fault may change, and where two runs differ in it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.runs import scores, state

FEWER = "TensorBoard shows other points:"
"""Beginning of a difference in what a run can do without."""

Points = dict[str, list[tuple[int, object]]]


@dataclass(frozen=True)
class Whole:
    """A run that nothing stopped."""

    folder: Path
    state: tuple[str, str]  # digests of client rows and of the server
    scores: list[tuple[str, ...]]  # rows of metrics.csv, without times
    clients: str  # clients.csv
    points: Points  # what TensorBoard shows
    seconds: float  # it took

    @classmethod
    def of(cls, folder: Path, seconds: float = 0.0) -> "Whole":
        """Read a finished run."""
        clients = (folder / "clients.csv").read_text()
        return cls(folder, state(folder), scores(folder), clients, points(folder), seconds)


def compare(folder: Path, whole: Whole) -> list[str]:
    """Say where a finished run differs from the one that nothing stopped."""
    for name in ("result.json", "metrics.csv", "clients.csv", "checkpoints"):
        if not (folder / name).exists():
            return [f"there is no {name}"]
    clients, server = state(folder)
    told = []
    if clients != whole.state[0]:
        told.append("other client rows")
    if server != whole.state[1]:
        told.append("another shared part")
    if scores(folder) != whole.scores:
        told.append("other rows in metrics.csv")
    if (folder / "clients.csv").read_text() != whole.clients:
        told.append("another clients.csv")
    return told + compare_points(points(folder), whole.points)


def compare_points(found: Points, wanted: Points) -> list[str]:
    """Say which TensorBoard points are doubled, missing or other."""
    doubled = sorted(
        f"{tag} twice at step {step}"
        for tag, shown in found.items()
        for step, count in Counter(step for step, _ in shown).items()
        if count > 1
    )
    if doubled:
        return [f"TensorBoard shows {len(doubled)} points twice: {doubled[0]}"]
    other = sorted(tag for tag in {*found, *wanted} if found.get(tag) != wanted.get(tag))
    return [f"{FEWER} {', '.join(other[:3])}"] if other else []


def points(folder: Path) -> Points:
    """Return what TensorBoard shows of a run: tag -> (step, value); of pictures, the step alone.

    Times and memory are left out: they differ from start to start.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    everything = {"scalars": 0, "images": 0, "histograms": 0, "tensors": 0}
    events = EventAccumulator(str(folder), size_guidance=everything).Reload()
    tags = events.Tags()
    shown: Points = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in tags["scalars"]
        if not tag.endswith(("seconds", "per_second", "_mib", "rank_bytes"))
    }
    for tag in tags["images"]:
        shown[tag] = [(event.step, None) for event in events.Images(tag)]
    for tag in tags["histograms"]:
        shown[tag] = [
            (event.step, tuple(event.histogram_value.bucket)) for event in events.Histograms(tag)
        ]
    return shown
