"""A run as a launcher sees it: a name, and the file that holds its whole configuration."""

from dataclasses import dataclass
from pathlib import Path

from launch.job import save
from launch.jobs import Job
from launch.plan import PlannedRun


@dataclass(frozen=True)
class Task:
    """One run to start."""

    run: str  # folder within that of the sweep
    id: str  # of the configuration
    config: str  # file with all keys

    @classmethod
    def of(cls, run: PlannedRun) -> "Task":
        """Write the configuration of a planned run beside its sweep.

        Editing a file of the sweep does not change a run that waits.
        """
        folder = run.folder.path.absolute()
        run.config.run.folder = str(folder)
        return cls(run.name, run.id, str(save(run.config, jobs_folder(folder.parent))))

    @classmethod
    def again(cls, job: Job) -> "Task":
        """Return the run of a job that is to be started again."""
        return cls(job.run, job.id, job.config)


def jobs_folder(folder: Path) -> Path:
    """Return where a sweep keeps configurations, Slurm's logs and submitit's files."""
    return folder / "jobs"
