"""Which trackers there are, and what each needs; none is imported before a run is opened."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from pfedmma_dist.run.trackers.tracker import Tracker


@dataclass(frozen=True)
class Kind:
    """A tracker that there is."""

    title: str
    module: str  # of ours
    name: str  # of its class there
    needs: tuple[str, ...]  # modules; the extra of the tracker's name installs them


TRACKERS = {
    "wandb": Kind("Weights & Biases", "wandb_run", "WandbRun", ("wandb",)),
    "mlflow": Kind("MLflow", "mlflow_run", "MlflowRun", ("mlflow", "sqlalchemy", "alembic")),
    "aim": Kind("Aim", "aim_run", "AimRun", ("aim",)),
}
"""Value of run.trackers -> its kind."""


def tracker_of(name: str) -> type[Tracker]:
    """Return the class of a tracker."""
    kind = TRACKERS[name]
    found: type[Tracker] = getattr(import_module(f"{__package__}.{kind.module}"), kind.name)
    return found


def refuse_missing(names: Iterable[str]) -> None:
    """Raise ValueError where what a tracker needs is not installed; imports nothing."""
    for name in names:
        lacks = [module for module in TRACKERS[name].needs if find_spec(module) is None]
        if lacks:
            raise ValueError(
                f"run.trackers: {name} needs {' and '.join(lacks)}, which cannot be imported here; "
                f"pip install 'pfedmma_dist[{name}]', or leave {name} out"
            )
