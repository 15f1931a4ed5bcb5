"""What one job asks of a cluster: slurm/*.yaml, read as strictly as a run's configuration."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from launch.cluster_files import find_file, known_files
from launch.script import check_options, check_setup
from pfedmma_dist.config.built import merged
from pfedmma_dist.config.documents import read_layer
from pfedmma_dist.config.kinds import CLUSTER, refuse_other_kind
from pfedmma_dist.config.limits import AT_LEAST_1, NOT_NEGATIVE, enforce, limited

INHERITED = re.compile(
    r"(SLURM|SLURMD|SBATCH|SRUN|PMI|PMIX|SUBMITIT|TORCHELASTIC|OMPI)_.*"
    r"|MASTER_(ADDR|PORT)|(LOCAL_|GROUP_|ROLE_)?(RANK|WORLD_SIZE)|ROLE_NAME|MPI_LOCAL\w+"
)
"""Variables that describe the job or the ranks a shell is in, and would mislead a job started
there: an inherited SLURM_CPU_BIND alone makes ranks share a core."""

KEPT = ("SLURM_CONF",)  # where the cluster is found, not which job this is


@dataclass(kw_only=True)
class Cluster:
    """What one job asks of a cluster."""

    partition: str | None = None
    """Partition; null takes the cluster's default."""
    account: str | None = None
    """Account to charge."""
    qos: str | None = None
    """Quality of service."""
    nodes: int = limited(1, AT_LEAST_1)
    """Nodes of the job."""
    ranks_per_node: int = limited(1, AT_LEAST_1)
    """Ranks on each node, one SLURM task each; on all nodes at most federation.num_shards."""
    gpus_per_rank: int = limited(1, NOT_NEGATIVE)
    """GPUs of each rank; 0 trains on CPUs."""
    cpus_per_rank: int = limited(8, AT_LEAST_1)
    """CPU cores of each rank."""
    memory: float | None = limited(None, AT_LEAST_1)
    """Memory of each node, GiB; null takes the cluster's default."""
    timeout_minutes: int = limited(60, AT_LEAST_1)
    """Time limit of one start, minutes; the job goes on in a new one where it was not finished."""
    warning_seconds: int = limited(300, AT_LEAST_1)
    """Time before that limit at which the run is told to save and stop, seconds; longer than a
    round and a checkpoint take. Slurm may be 60 s early."""
    max_requeues: int = limited(10, NOT_NEGATIVE)
    """How often the job may go on after its time limit; preemptions are not counted."""
    max_failures: int = limited(3, AT_LEAST_1)
    """How often in a row a start may fail before the job gives up, counted from the newest
    checkpoint: by a crash, a killed rank or a lost node, not by what the user has to mend."""
    array_parallelism: int = limited(256, AT_LEAST_1)
    """How many runs of one submission of a sweep may run at a time."""
    setup: list[str] = field(default_factory=list)
    """Shell lines before the ranks start, such as `module load cuda`; bash -n sees them first."""
    sbatch: dict[str, Any] = field(default_factory=dict)
    """Further options of sbatch, without their dashes: `{constraint: a100, exclusive: true}`."""

    @property
    def num_ranks(self) -> int:
        """Return the number of ranks."""
        return self.nodes * self.ranks_per_node

    def parameters(self, name: str) -> dict[str, Any]:
        """Return the job as parameters of submitit's AutoExecutor."""
        return {
            "name": name,
            "nodes": self.nodes,
            "tasks_per_node": self.ranks_per_node,
            # Not per task: ranks take the GPU of their number on the node.
            "gpus_per_node": self.gpus_per_rank * self.ranks_per_node or None,
            "cpus_per_task": self.cpus_per_rank,
            "mem_gb": self.memory,
            "timeout_min": self.timeout_minutes,
            "stderr_to_stdout": True,
            "slurm_partition": self.partition,
            "slurm_account": self.account,
            "slurm_qos": self.qos,
            "slurm_signal_delay_s": self.warning_seconds,
            "slurm_setup": self.setup or None,
            "local_setup": self.setup or None,
            "slurm_additional_parameters": {"requeue": True, **self.sbatch},
            # Since Slurm 22.05 srun forgets sbatch's --cpus-per-task. And where one rank dies, the
            # others would wait for it for hours.
            "slurm_srun_args": [f"--cpus-per-task={self.cpus_per_rank}", "--kill-on-bad-exit=1"],
        }


def read_cluster(path: str) -> Cluster:
    """Return the cluster of a YAML file; ValueError where it makes no sense."""
    found = find_file(path)
    if found is None:
        raise ValueError(
            f"there is no cluster file {path}; known: {', '.join(known_files())}; python -m "
            "launch.job --examples slurm writes these there, to be edited"
        )
    layer = replace(read_layer(found), source=path)
    refuse_other_kind(path, layer.tree, CLUSTER)
    cluster = merged(Cluster, [layer])
    enforce(cluster)
    check_setup(cluster.setup, f" (in {path})")
    check_options(cluster.sbatch, f" (in {path})")
    if cluster.warning_seconds >= 60 * cluster.timeout_minutes:
        raise ValueError(
            f"warning_seconds: {cluster.warning_seconds} is not below timeout_minutes="
            f"{cluster.timeout_minutes}: the job would stop as soon as it starts (in {path})"
        )
    return cluster


def inherited(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the variables that a new job must not see."""
    return [name for name in environment if INHERITED.fullmatch(name) and name not in KEPT]


def refuse_without_slurm(otherwise: str = "") -> None:
    """Raise ValueError on a machine that has no Slurm. otherwise: another way, in words."""
    if shutil.which("sbatch") is None:
        raise ValueError(f"there is no sbatch here; submit from a login node{otherwise}")
