"""Launchers: the variables by which each tells a process its rank, in order of precedence."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Launcher:
    """What one launcher sets for each rank that it starts."""

    name: str
    rank: str
    size: str
    local_rank: str
    example: str  # of a start
    local_size: str = ""  # ranks on the host of this one
    nodes: str = ""  # hosts of the ranks, rank 0's first
    job: tuple[str, ...] = ()  # numbers that the ranks of one start share; the first decides
    lives: str = ""  # set by the launcher itself, not by those who set rank and size by hand

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of all that says where a rank stands."""
        return tuple(filter(None, (self.rank, self.size, self.local_rank, self.local_size)))

    def set_in(self, env: Mapping[str, str]) -> str:
        """Name those of them that are set, with blanks between, as `unset` takes them."""
        return " ".join(name for name in self.variables if name in env)


TORCHRUN = Launcher(
    "torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "torchrun --nproc_per_node=N -m ...",
    local_size="LOCAL_WORLD_SIZE", lives="TORCHELASTIC_RUN_ID",
)  # fmt: skip
"""Rank and size are set by hand under these names too, and by submitit for a job of several."""

SRUN = Launcher(
    "srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "srun -n N python -m ...",
    nodes="SLURM_STEP_NODELIST", job=("SLURM_JOB_ID", "SLURM_STEP_ID"),
)  # fmt: skip
"""The size of the step, not SLURM_NTASKS: a batch script and salloc's shell see that one too."""

LAUNCHERS = (
    TORCHRUN,
    Launcher(
        "submitit's local executor", "SUBMITIT_LOCAL_GLOBALID", "SUBMITIT_LOCAL_NTASKS",
        "SUBMITIT_LOCAL_LOCALID", "python -m launch.job ... --local",
        local_size="SUBMITIT_LOCAL_NTASKS", job=("SUBMITIT_LOCAL_JOB_ID",),
    ),
    Launcher(
        "Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
        "mpirun -x MASTER_ADDR=HOST_OF_RANK_0 -x MASTER_PORT=29500 -np N python -m ...",
        local_size="OMPI_COMM_WORLD_LOCAL_SIZE",
        job=("PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"),
    ),
    Launcher(
        "PMI (MPICH, Intel MPI)", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID",
        "mpiexec -genv MASTER_ADDR HOST_OF_RANK_0 -genv MASTER_PORT 29500 -n N python -m ...",
        local_size="MPI_LOCALNRANKS", job=("PMI_JOBID",),
    ),
    SRUN,
)  # fmt: skip
"""The innermost first. torchrun runs inside srun's tasks and mpirun's; mpirun lets srun start one
daemon a node, whose variables its ranks inherit."""

UNREAD = {
    "FLUX_TASK_RANK": "FLUX_JOB_SIZE",
    "JSM_NAMESPACE_RANK": "JSM_NAMESPACE_SIZE",
    "MV2_COMM_WORLD_RANK": "MV2_COMM_WORLD_SIZE",
    "HOROVOD_RANK": "HOROVOD_SIZE",
    "PALS_RANKID": "",
    "ALPS_APP_PE": "",
    "PMIX_RANK": "",
}
"""Ranks of launchers that are not read, and their sizes: each rank would take itself for alone."""

READ_NAMES = "torchrun, srun, submitit, Open MPI and PMI"
"""The launchers that are read, for messages."""

STORE_OF_TORCHRUN = "TORCHELASTIC_USE_AGENT_STORE"
"""Set where torchrun lets its ranks meet in a store of its own."""

MEETING = ("MASTER_ADDR", "MASTER_PORT", TORCHRUN.lives, STORE_OF_TORCHRUN)

NAMES = tuple(
    dict.fromkeys(
        [
            *(name for launcher in LAUNCHERS for name in launcher.variables),
            *(name for pair in UNREAD.items() for name in pair if name),
            *MEETING,
        ]
    )
)
"""All variables that decide how many ranks there are, and where they meet."""
