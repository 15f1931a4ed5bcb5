"""Submit one run as a job: `python -m launch.job slurm/CLUSTER.yaml [FILE.yaml] [key=value]`.

One SLURM task per rank, by submitit. The configuration is read and checked before anything is
queued and is saved beside the job's log, so that editing a file does not change a job that waits.

How a stop loses nothing. Slurm sends SIGUSR2 before the time limit, and SIGUSR2 or SIGTERM on
preemption, to every rank. submitit would answer SIGUSR2 at once, in the middle of a round, so the
program takes the signals over as it starts: it finishes the round, saves on all ranks and returns
75; where a rank hangs it cannot save, and returns 75 in time all the same. Only then does `Run`
hand rank 0 to submitit's own handler, which counts time-outs, writes the job anew and calls
`scontrol requeue`; the new start finds the checkpoint. Until the program has taken over there is
nothing to save, and submitit's handler is right. What ends in another way, by a killed rank or a
lost peer, goes back into the queue too, from its batch script: see attempts.py.

submitit, and what reads configurations, are imported where they are used: `launch.status` imports
this file and does without.
"""

import hashlib
import os
import shlex
import signal
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from launch.attempts import Attempts, is_wanted, job_id
from launch.cluster import Cluster, inherited, read_cluster, refuse_without_slurm
from launch.cluster_files import write_examples
from launch.script import check_log_folder
from launch.starts import port_of, restarts
from pfedmma_dist.config.keys import Config
from pfedmma_dist.ending import ended
from pfedmma_dist.run.files import write_text_atomically
from pfedmma_dist.run.signals import SIGNALS
from pfedmma_dist.spelling import spelled

ROOT = Path(__file__).parents[1]

FINAL = (0, os.EX_TEMPFAIL)
"""Exit codes that no further attempt would change: finished, saved."""

MEND = 2
"""Exit code of something to mend: final too, but in a start that goes on. What it finds has changed
since the first start, and may change back: ranks of a node that Slurm has lost may still hold the
run's folder, another node may lack a file system, or a disk be full for a while."""

EXAMPLES = "--examples"

USAGE = """\
usage: python -m launch.job slurm/CLUSTER.yaml [FILE.yaml ...] [key=value ...] [--local]
       python -m launch.job --examples FOLDER

Submits one run of pfedmma_dist.train with these arguments and prints job, run folder and log.
--local starts it on this machine instead, without Slurm, and waits for it. --examples writes the
cluster files that come with the program into a folder, to be edited; slurm/a100.yaml and others
are found without, too.

keys of the cluster file
"""


@dataclass(frozen=True)
class Run:
    """One rank of a job. submitit pickles it by name and calls it on every rank."""

    argv: list[str]
    program: str = "pfedmma_dist.train"  # module with main(argv) -> exit code
    folder: str = ""  # of the run, whose checkpoints tell how far it got
    max_failures: int = 1

    def __call__(self) -> int:
        """Run the program; raise where it failed, requeue the job where it stopped half-way."""
        from submitit.helpers import TorchDistributedEnvironment

        if "SLURM_JOB_ID" in os.environ:
            os.environ.setdefault("MASTER_PORT", str(port_of(os.environ)))
        # All GPUs of the node stay visible, whatever Slurm calls them: the local rank picks one.
        place = TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        requeue = signal.getsignal(signal.SIGUSR2)  # the program takes the signal over
        attempts = self._attempts() if place.rank == 0 else None
        if attempts:
            attempts.begin(self._reached())
        code = import_module(self.program).main(self.argv)
        if attempts and (code in FINAL or (code == MEND and not restarts(os.environ))):
            attempts.forgive()
        if code == os.EX_TEMPFAIL:
            self._go_on_later(place.rank, requeue)
        if code:
            raise RuntimeError(f"{self.program} ended with exit code {code}; its log says why")
        return 0

    def checkpoint(self) -> Any:
        """Return what submitit submits when the job is requeued: the same; state is in the run."""
        from submitit.helpers import DelayedSubmission

        attempts = self._attempts()
        if attempts:
            attempts.forgive()  # a signal is no failure
        return DelayedSubmission(replace(self))

    def _attempts(self) -> Attempts | None:
        """Return the failures of this job; None where no batch script counts them."""
        if os.environ.get("SUBMITIT_EXECUTOR") != "slurm":
            return None
        logs = Path(os.environ["SUBMITIT_FOLDER"])
        return Attempts.of(logs, job_id(os.environ), self.max_failures)

    def _reached(self) -> str:
        """Return the name of the newest checkpoint, or nothing; torch may be what will not load."""
        saved = Path(self.folder, "checkpoints").glob("round_*")
        return max((path.name for path in saved), default="")

    def _go_on_later(self, rank: int, requeue: Any) -> None:
        """Requeue the job from rank 0 if it still is one, and end this rank without a result."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # nothing may cut the requeue short
        if rank == 0:
            if not callable(requeue):
                raise RuntimeError("stopped by a signal after saving; start it again to go on")
            if not is_wanted():
                sys.exit(os.EX_TEMPFAIL)
            requeue(signal.SIGUSR2, None)  # exits
        sys.exit(0)  # a bad exit code here would end rank 0 before it has requeued


def executor(cluster: Cluster, folder: Path, kind: str, name: str) -> Any:
    """Return submitit's executor of jobs with one task per rank.

    folder: of logs and pickles, shared. kind: slurm, or local for processes on this machine.
    """
    import submitit

    handle = submitit.AutoExecutor(
        folder, cluster=kind, **{f"{kind}_max_num_timeout": cluster.max_requeues}
    )
    again = [sys.executable, "-m", "launch.attempts", str(folder)]
    teardown = ["code=$?", f'[ "$code" -eq 0 ] || {shlex.join(again)}', 'exit "$code"']
    handle.update_parameters(**cluster.parameters(name), slurm_teardown=teardown)
    return handle


def submit(run: Run, cluster: Cluster, folder: Path, kind: str, name: str) -> Any:
    """Submit one run as one job, and return submitit's job."""
    return executor(cluster, folder, kind, name).submit(run)


def main(argv: list[str]) -> int:
    """Submit what the command line asks for, and return the exit code."""
    words = [word for word in argv if word != "--local"]
    if not words or {"-h", "--help"} & set(words):
        from pfedmma_dist.config.help import keys

        print(USAGE + keys(Cluster))
        return 0
    try:
        if words[0] == EXAMPLES:
            return _examples(words[1:])
        cluster = read_cluster(words[0])
        return _launch(cluster, words[1:], "slurm" if words == argv else "local")
    except ValueError as error:
        print(f"error: {spelled(str(error))}", file=sys.stderr)
        return 2


def _examples(words: list[str]) -> int:
    """Write our cluster files into a folder, and return the exit code."""
    if len(words) != 1:
        raise ValueError(f"{EXAMPLES}: give one folder, such as slurm")
    for line in write_examples(Path(words[0]).expanduser()):
        print(line)
    return 0


def _launch(cluster: Cluster, words: list[str], kind: str) -> int:
    from submitit.core.utils import UncompletedJobError

    from launch.plan import check_ranks
    from pfedmma_dist import plugins
    from pfedmma_dist.config.command_line import parse, unread, with_default
    from pfedmma_dist.config.identity import run_folder
    from pfedmma_dist.data.sets.registry import SOURCES
    from pfedmma_dist.outline import outlines

    config = parse(with_default(words), methods=outlines(), sources=SOURCES)
    if config is None:
        return 0
    for remark in unread(words, config).values():
        print(f"warning: {spelled(remark)}", file=sys.stderr)
    check_ranks(config, cluster.num_ranks, on_gpus=bool(cluster.gpus_per_rank))
    folder = run_folder(config, outlines()).absolute()
    check_log_folder(folder)
    if kind == "slurm":
        refuse_without_slurm(", or add --local")
    config.run.folder = str(folder)
    saved = save(config, folder / "submitit")
    clean_environment(plugins.folders(config.plugins))
    run = Run([str(saved)], folder=str(folder), max_failures=cluster.max_failures)
    try:
        job = submit(run, cluster, saved.parent, kind, folder.name)
    except UncompletedJobError as error:  # sbatch refused
        print(f"error: {spelled(str(error))}", file=sys.stderr)
        return 1
    print(f"job         {job.job_id}")
    print(f"run folder  {folder}")
    print(f"log         {job.paths.stdout}", flush=True)
    return _wait(job) if kind == "local" else 0


def _wait(job: Any) -> int:
    """Wait for a local job and return the exit code."""
    from submitit.core.utils import UncompletedJobError

    try:
        job.results()
    except UncompletedJobError:
        print("error: the run failed; the end of its log says why", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


def save(config: Config, folder: Path) -> Path:
    """Write the configuration under a name made of its content, never over another one."""
    from pfedmma_dist.config.written import to_yaml

    text = to_yaml(config)
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:8]}.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, text)
    return path


def clean_environment(further: Sequence[str] = ()) -> None:
    """Let the job see this program, and nothing of a job that this shell may be in.

    further: folders of modules that it needs.
    """
    for variable in inherited(os.environ):
        del os.environ[variable]
    own = () if Path(sysconfig.get_paths()["purelib"]) == ROOT else (str(ROOT),)
    paths = [*own, *further, os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))


if __name__ == "__main__":
    from launch.job import main as imported  # submitit cannot pickle a Run of __main__ by name

    sys.exit(ended(lambda: imported(sys.argv[1:])))
