"""Up the rungs of a search: the task that brings a run so far, where it has not come so far yet."""

from dataclasses import replace

from launch.halving import rounds_of
from launch.plan import PlannedRun, is_finished
from launch.tasks import Task


def is_there(run: PlannedRun, rounds: int) -> bool:
    """Whether a run has come so far already; one that is to train all rounds has to finish."""
    if is_finished(run):
        return True
    return rounds < run.config.federation.rounds and rounds_of(run) >= rounds


def task(run: PlannedRun, rounds: int) -> tuple[str, Task]:
    """Return a run that leaves after so many rounds, or once it has finished."""
    pause = rounds if rounds < run.config.federation.rounds else None
    config = replace(run.config, run=replace(run.config.run, pause_after=pause))
    return f"{rounds:>5} rounds  {run.name}", Task.of(replace(run, config=config))
