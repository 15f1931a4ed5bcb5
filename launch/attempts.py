"""How often a job may fail: counted beside its logs, forgiven when the run got further.

`Run` counts a start before anything else, so that a killed rank or node counts too. What ended as
it should, or for good, takes the count away. The batch script runs this module where a start
failed: `python -m launch.attempts FOLDER` puts the job back into the queue, or says that it gives
up. Slurm itself requeues after the loss of a node; then the next start finds the count.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pfedmma_dist.reading import Unreadable, read_json
from pfedmma_dist.run.files import write_json


@dataclass(frozen=True)
class Attempts:
    """The failures in a row of one job."""

    path: Path
    limit: int  # so many, and the job ends

    @classmethod
    def of(cls, folder: Path, job: str, limit: int) -> "Attempts":
        """Return those of a job; folder: of its logs."""
        return cls(folder / f"{job}_attempts.json", limit)

    def begin(self, reached: str) -> None:
        """Count a start; RuntimeError where too many before it have failed.

        reached: how far the run is: the name of its newest checkpoint.
        """
        before = self._read()
        count = before["count"] if before and before["reached"] == reached else 0
        if count >= self.limit:
            self.forgive()
            raise RuntimeError(given_up(count))
        write_json(self.path, {"count": count + 1, "reached": reached, "limit": self.limit})

    def forgive(self) -> None:
        """Forget the failures: there is no reason to start again, or none to give up."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> dict | None:
        return read_record(self.path)


def read_record(path: Path) -> dict[str, Any] | None:
    """Return what a start has counted, None where nothing is or what is there is damaged."""
    try:
        record = read_json(path, dict, "counting begins anew")
        kinds = {"count": int, "reached": str, "limit": int}
        if {key: type(value) for key, value in record.items()} != kinds:
            raise Unreadable(path, f"holds {record!r}"[:80], "counting begins anew")
    except FileNotFoundError:
        return None
    except Unreadable as error:
        print(error, file=sys.stderr)
        return None
    return record


def given_up(count: int) -> str:
    """Say that no further attempt is made."""
    return f"given up; failed starts in a row: {count}"


def job_id(environment: Mapping[str, str]) -> str:
    """Return the id of this job as submitit writes it: 12, or 12_3 in an array."""
    if "SLURM_ARRAY_JOB_ID" in environment:
        return f"{environment['SLURM_ARRAY_JOB_ID']}_{environment['SLURM_ARRAY_TASK_ID']}"
    return environment["SLURM_JOB_ID"]


def is_wanted() -> bool:
    """Say whether the scheduler still wants this job.

    One that was cancelled, or that Slurm itself requeues, is completing by now, and a cancelled one
    would come back to life if it asked for a requeue. One that leaves the grace time of a
    preemption of its own accord would be over if it did not ask. A live job is not always RUNNING:
    while its signals are on their way it is SIGNALING.
    """
    if os.environ.get("SUBMITIT_EXECUTOR") != "slurm":
        return True
    command = ["squeue", "--noheader", "--jobs", os.environ["SLURM_JOB_ID"], "--format=%T"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return answer.stdout.strip() != "COMPLETING"


def main(argv: list[str]) -> int:
    """Requeue the job of this batch script where another attempt is due; return the exit code."""
    job = job_id(os.environ)
    path = Attempts.of(Path(argv[0]), job, 0).path
    record = read_record(path)
    if record is None or not is_wanted():
        return 0
    if record["count"] >= record["limit"]:
        path.unlink()
        print(f"error: {given_up(record['count'])}", file=sys.stderr)
        return 0
    told = f"start {record['count']} of {record['limit']} failed; back into the queue"
    print(told, file=sys.stderr, flush=True)
    return subprocess.run(["scontrol", "requeue", job], timeout=60).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
