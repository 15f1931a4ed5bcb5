"""A run as a launcher sees it: a name, and the file that holds its whole configuration."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launch.job import save
from launch.jobs import Job
from pfedmma_dist import plugins
from pfedmma_dist.config.documents import read_yaml
from pfedmma_dist.run.files import write_text_atomically

if TYPE_CHECKING:
    from launch.plan import PlannedRun


@dataclass(frozen=True)
class Task:
    """One run to start."""

    run: str  # folder within that of the sweep
    id: str  # of the configuration
    config: str  # file with all keys

    @classmethod
    def of(cls, run: PlannedRun) -> Task:
        """Write the configuration of a planned run beside its sweep.

        Editing a file of the sweep does not change a run that waits.
        """
        folder = run.folder.path.absolute()
        run.config.run.folder = str(folder)
        saved = save(run.config, jobs_folder(folder.parent))
        write_text_atomically(started_in(folder.parent), f"{Path.cwd()}\n")
        return cls(run.name, run.id, str(saved))

    @classmethod
    def again(cls, job: Job) -> Task:
        """Return the run of a job that is to be started again."""
        return cls(job.run, job.id, job.config)


def plugins_of(task: Task) -> list[str]:
    """Return the plugins of a run; a large sweep has many files, and most name none."""
    text = Path(task.config).read_text(encoding="utf-8")
    return read_yaml(task.config).get(plugins.KEY, []) if f"\n{plugins.KEY}:\n" in text else []


def jobs_folder(folder: Path) -> Path:
    """Return where a sweep keeps configurations, Slurm's logs and submitit's files."""
    return folder / "jobs"


def started_in(folder: Path) -> Path:
    """Return the file that names the folder in which a sweep was started, as data=DATA means it."""
    return jobs_folder(folder) / "started_in.txt"


def go_back(folder: Path) -> None:
    """Change into the folder in which a sweep was started, which paths in its runs begin from."""
    file = started_in(folder)
    place = file.read_text(encoding="utf-8").rstrip("\n") if file.exists() else "."
    try:
        os.chdir(place)
    except OSError as error:
        raise ValueError(
            f"{folder} was started in {place}, which cannot be entered ({error.strerror}); start "
            "its sweep again, in a folder that its paths hold in"
        ) from error


def tell(folder: Path, jobs: Sequence[Job]) -> None:
    """Print what was submitted and how to follow it."""
    for number, count in Counter(job.job.partition("_")[0] for job in jobs).items():
        print(f"job     {number}" + (f", an array of {count}" if count > 1 else ""))
    if jobs:
        print(f"logs    {jobs_folder(folder)}")
    print(f"follow  python -m launch.status {shlex.quote(str(folder))}", flush=True)
