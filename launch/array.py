"""Submit runs of a sweep as arrays: one SLURM task per rank, one array per chunk."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from launch.cluster import Cluster
from launch.job import Run, clean_environment, executor
from launch.jobs import Job, add_jobs
from launch.tasks import Task, jobs_folder, plugins_of
from pfedmma_dist import plugins

T = TypeVar("T")

DEPENDENCY = "dependency"
"""Of sbatch's options: what a job waits for."""


def chunks(items: Sequence[T], most: int) -> list[Sequence[T]]:
    """Cut `items` into as few parts of at most `most` as there can be, of nearly equal sizes."""
    count = -(-len(items) // most)
    edges = [len(items) * part // count for part in range(count + 1)] if count else [0]
    return [items[start:end] for start, end in zip(edges[:-1], edges[1:], strict=True)]


def submit_arrays(
    folder: Path,
    tasks: Sequence[Task],
    cluster: Cluster,
    file: str,
    most: int,
    stopped: Callable[[], bool],
) -> list[Job]:
    """Submit an array per chunk and write each down; return the jobs.

    folder: of the sweep. file: of the cluster. most: runs of one array. A stop is obeyed between
    two arrays: of a submitted one no number is lost. Arrays do not know of each other, so they
    share array_parallelism, and where even one run of each is too many they wait in lines.
    """
    from submitit.core.utils import UncompletedJobError

    named = {word for task in tasks for word in plugins_of(task)}
    clean_environment(plugins.folders(sorted(named)))
    jobs: list[Job] = []
    parts = chunks(tasks, most)
    lines = min(len(parts), cluster.array_parallelism)
    arrays: list[str] = []
    for part in parts:
        if stopped():
            break
        before = arrays[-lines] if len(arrays) >= lines else None
        own = after(cluster, before)
        handle = executor(own, jobs_folder(folder.absolute()), "slurm", folder.absolute().name)
        handle.update_parameters(slurm_array_parallelism=cluster.array_parallelism // lines)
        try:
            with handle.batch():
                submitted = [handle.submit(_run(folder, task, cluster)) for task in part]
        except UncompletedJobError as error:
            words = str(error).strip() or "without a word"
            told = words.splitlines()[-1].removeprefix("sbatch: error: ")
            queued = f"; {len(jobs)} runs before it were submitted" if jobs else ""
            raise ValueError(f"{file}: sbatch refused: {told}{queued}") from error
        new = [_job(task, job, cluster, file) for task, job in zip(part, submitted, strict=True)]
        add_jobs(folder, new)
        jobs += new
        arrays.append(new[0].job.partition("_")[0])
    return jobs


def after(cluster: Cluster, job: str | None) -> Cluster:
    """Return what a job asks that is to wait for the end of another, whatever that end is."""
    if job is None:
        return cluster
    asked = [cluster.sbatch.get(DEPENDENCY), f"afterany:{job}"]
    told = ",".join(str(one) for one in asked if one)
    return replace(cluster, sbatch={**cluster.sbatch, DEPENDENCY: told})


def _run(folder: Path, task: Task, cluster: Cluster) -> Run:
    place = str((folder / task.run).absolute())
    return Run([task.config], folder=place, max_failures=cluster.max_failures)


def _job(task: Task, job: Any, cluster: Cluster, file: str) -> Job:
    """Return the row of jobs.csv about a job of submitit's."""
    return Job(
        run=task.run,
        id=task.id,
        job=job.job_id,
        cluster=file,
        ranks=cluster.num_ranks,
        config=task.config,
        log=str(job.paths.stdout),
    )
