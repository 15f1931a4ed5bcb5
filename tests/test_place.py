"""The launchers' variables: whose are followed, and what is wrong with them."""

import logging

import pytest

from pfedmma_dist.world.launchers import LAUNCHERS, UNREAD
from pfedmma_dist.world.place import Place, find_place, speaks

MEETING = "MASTER_ADDR=head MASTER_PORT=29500"
SRUN = "SLURM_JOB_ID=123456 SLURM_STEP_NODELIST=n[2-3] SLURM_STEP_NUM_TASKS=2"
OPEN_MPI = "OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_RANK=1"
LIVE = "TORCHELASTIC_RUN_ID=none"


def env(words: str) -> dict[str, str]:
    """Return `A=1 B=2` as variables."""
    return dict(word.split("=", 1) for word in words.split())


def refused(words: str) -> str:
    """Return why these variables are refused."""
    with pytest.raises(ValueError, match=r"^\w+( and \w+)*: ") as error:
        find_place(env(words))
    return str(error.value)


def remarks(place: Place) -> str:
    return "; ".join(words for _, words in place.remarks)


@pytest.mark.parametrize(
    ("words", "rank", "size", "local_rank", "meets"),
    [
        ("", 0, 1, None, ""),
        ("RANK=0 WORLD_SIZE=1", 0, 1, None, ""),
        (f"RANK=5 WORLD_SIZE=8 LOCAL_RANK=1 LOCAL_WORLD_SIZE=4 {LIVE} {MEETING}", 5, 8, 1, "head"),
        (f"SLURM_PROCID=1 SLURM_LOCALID=0 {SRUN}", 1, 2, 0, "n2"),
        (f"{OPEN_MPI} {MEETING}", 1, 4, 1, "head"),
        (f"{OPEN_MPI} OMPI_COMM_WORLD_LOCAL_SIZE=4 PMIX_NAMESPACE=a@1", 1, 4, 1, "127.0.0.1"),
        (f"PMI_RANK=2 PMI_SIZE=3 MPI_LOCALRANKID=0 {MEETING}", 2, 3, 0, "head"),
        (f"SLURM_PROCID=1 {SRUN} PMI_RANK=1 PMI_SIZE=2", 1, 2, None, "n2"),  # srun --mpi=pmi2
        (f"SLURM_PROCID=1 {SRUN} WORLD_SIZE=2", 1, 2, None, "n2"),
        (f"SLURM_PROCID=1 SLURM_LOCALID=1 {SRUN} RANK=1 WORLD_SIZE=2", 1, 2, 1, "n2"),
        (
            "SUBMITIT_LOCAL_GLOBALID=1 SUBMITIT_LOCAL_NTASKS=2 SUBMITIT_LOCAL_LOCALID=1 "
            "SUBMITIT_LOCAL_JOB_ID=4711",
            1, 2, 1, "127.0.0.1",
        ),
    ],
)  # fmt: skip
def test_launcher_gives_the_place(
    words: str, rank: int, size: int, local_rank: int | None, meets: str
) -> None:
    variables = env(words)
    place = find_place(variables)
    assert (place.rank, place.size, place.local_rank) == (rank, size, local_rank)
    assert place.host == variables.get("MASTER_ADDR", "") == meets
    assert str(place.port or "") == variables.get("MASTER_PORT", "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("RANK=0", "RANK: '0' is set, but WORLD_SIZE is not; start the ranks with `torchrun"),
        ("WORLD_SIZE=8", "WORLD_SIZE: '8' is set, but RANK is not"),
        ("LOCAL_RANK=1", "LOCAL_RANK: '1' is set, but RANK and WORLD_SIZE are not"),
        ("OMPI_COMM_WORLD_RANK=0", "but OMPI_COMM_WORLD_SIZE is not; start the ranks with `mpirun"),
        ("PMI_SIZE=4", "PMI_SIZE: '4' is set, but PMI_RANK is not"),
        ("SLURM_STEP_NUM_TASKS=4", "but SLURM_PROCID is not; start the ranks with `srun"),
        ("SLURM_PROCID=3", "SLURM_PROCID: '3' is set, but SLURM_STEP_NUM_TASKS is not"),
        ("RANK= WORLD_SIZE=2", "RANK: '' is empty"),
        ("RANK=", "RANK: '' is empty"),
        ("RANK=one WORLD_SIZE=2", "RANK: 'one' is no whole number"),
        ("RANK=1_0 WORLD_SIZE=20", "RANK: '1_0' is no whole number"),
        ("RANK=4 WORLD_SIZE=4", "RANK: '4' is not 0 to 3 by WORLD_SIZE=4"),
        ("RANK=-1 WORLD_SIZE=4", "RANK: '-1' is not 0 to 3"),
        ("RANK=0 WORLD_SIZE=0", "WORLD_SIZE: '0' is not 1 to 65536"),
        ("RANK=0 WORLD_SIZE=1000000000", "WORLD_SIZE: '1000000000' is not 1 to 65536"),
        (f"RANK=0 WORLD_SIZE=4 LOCAL_RANK=-1 {MEETING}", "LOCAL_RANK: '-1' is not 0 to 3"),
        (
            f"RANK=0 WORLD_SIZE=4 LOCAL_RANK=2 LOCAL_WORLD_SIZE=2 {MEETING}",
            "LOCAL_RANK: '2' is not 0 to 1 by LOCAL_WORLD_SIZE=2",
        ),
        ("RANK=0 WORLD_SIZE=2", "MASTER_ADDR and MASTER_PORT: not set, so RANK=0 of WORLD_SIZE=2"),
        ("RANK=0 WORLD_SIZE=2 MASTER_PORT=1", "MASTER_ADDR: not set"),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=0", "MASTER_PORT: '0' is no port from 1"),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=70000", "MASTER_PORT: '70000' is no port"),
        ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=a MASTER_PORT=", "MASTER_PORT: '' is empty"),
        ("SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=2", "so SLURM_PROCID=0 of SLURM_STEP_NUM_TASKS=2"),
        (OPEN_MPI, "`mpirun -x MASTER_ADDR=HOST_OF_RANK_0 -x MASTER_PORT=29500 -np N python"),
        (f"{OPEN_MPI} OMPI_COMM_WORLD_LOCAL_SIZE=2 PMIX_NAMESPACE=a", "MASTER_ADDR: not set"),
        (
            f"SLURM_PROCID=1 {SRUN} WORLD_SIZE=8",
            "WORLD_SIZE: '8', but srun says SLURM_PROCID=1 of SLURM_STEP_NUM_TASKS=2; unset "
            "WORLD_SIZE to follow it",
        ),
        (f"SLURM_PROCID=1 {SRUN} RANK=0 WORLD_SIZE=1", "RANK: 0 of WORLD_SIZE=1, but srun says"),
        (f"SLURM_PROCID=1 {SRUN} RANK=0 WORLD_SIZE=4 {MEETING}", "unset RANK WORLD_SIZE to follow"),
        (
            f"SLURM_PROCID=1 {SRUN} PMI_RANK=0 PMI_SIZE=1",
            "PMI_RANK: 0 of PMI_SIZE=1, but srun says",
        ),
        ("FLUX_TASK_RANK=0 FLUX_JOB_SIZE=4", "FLUX_TASK_RANK: '0' of FLUX_JOB_SIZE=4 is of a"),
        ("MV2_COMM_WORLD_RANK=3", "set RANK=$MV2_COMM_WORLD_RANK, WORLD_SIZE, MASTER_ADDR and"),
        ("PMIX_RANK=2", "so each rank would be alone; start with `torchrun"),
    ],
)
def test_what_is_wrong_with_a_variable_is_named_with_the_remedy(words: str, told: str) -> None:
    assert told in refused(words)


@pytest.mark.parametrize("launcher", LAUNCHERS, ids=lambda launcher: launcher.name)
def test_half_of_every_launcher_is_refused_and_unset_is_the_remedy(launcher: object) -> None:
    for name in (launcher.rank, launcher.size):
        told = refused(f"{name}=1" if name == launcher.rank else f"{name}=2")
        assert told.endswith(f"or for one rank alone: unset {name}") or "LOCAL_NTASKS" in told
    assert find_place({}).size == 1


@pytest.mark.parametrize("rank", UNREAD)
def test_rank_of_a_launcher_that_is_not_read_is_refused(rank: str) -> None:
    assert refused(f"{rank}=1").startswith(f"{rank}: '1' is of a launcher that this program does")


@pytest.mark.parametrize(
    ("words", "level", "told"),
    [
        ("SLURM_JOB_ID=7 SLURM_NTASKS=4 SLURM_PROCID=0", "WARNING", "though SLURM_NTASKS=4: srun"),
        (LIVE, "WARNING", "TORCHELASTIC_RUN_ID='none' is set without RANK and WORLD_SIZE"),
        ("PMIX_RANK=0", "WARNING", "PMIX_RANK=0 is not read: this is one rank alone"),
        (f"SLURM_PROCID=1 {SRUN} RANK=0 WORLD_SIZE=1 {LIVE}", "WARNING", "inside each of 2 tasks"),
        (
            f"SLURM_PROCID=1 {SRUN}",
            "INFO",
            "2 ranks, by srun, meet at n2:23456 (made of SLURM_STEP",
        ),
        (
            f"RANK=3 WORLD_SIZE=4 {MEETING}",
            "INFO",
            "by RANK and WORLD_SIZE set by hand, meet at he",
        ),
        (
            f"SLURM_PROCID=1 {SRUN} RANK=0 WORLD_SIZE=4 {LIVE} {MEETING}",
            "INFO",
            "SLURM_PROCID=1 of SLURM_STEP_NUM_TASKS=2, of srun, is passed over",
        ),
        (f"SLURM_PROCID=0 {SRUN} {OPEN_MPI} {MEETING}", "INFO", "of srun, is passed over"),
        (f"SLURM_PROCID=1 {SRUN} RANK=3 WORLD_SIZE=4 {MEETING}", "INFO", "of srun, is passed over"),
    ],
)
def test_what_is_odd_but_clear_goes_on_with_a_remark(words: str, level: str, told: str) -> None:
    found = [words for number, words in find_place(env(words)).remarks if told in words]
    assert found
    levels = {logging.getLevelName(number) for number, words in find_place(env(words)).remarks}
    assert level in levels


@pytest.mark.parametrize(
    "words", ["", "SLURM_JOB_ID=1 SLURM_PROCID=0", "FLUX_TASK_RANK=0 FLUX_JOB_SIZE=1"]
)
def test_what_says_nothing_is_not_remarked_on(words: str) -> None:
    assert remarks(find_place(env(words))) == ""


def test_steps_of_one_job_meet_at_ports_of_their_own() -> None:
    words = f"SLURM_PROCID=1 {SRUN}"
    ports = {find_place(env(f"{words} SLURM_STEP_ID={step}")).port for step in range(8)}
    assert len(ports) == 8
    assert find_place(env(words)).port == 23456 in ports
    assert all(20000 <= port < 30000 for port in ports)


def test_ranks_of_one_mpirun_meet_at_one_port_and_of_another_at_another() -> None:
    words = f"{OPEN_MPI} OMPI_COMM_WORLD_LOCAL_SIZE=4"
    ports = [find_place(env(f"{words} PMIX_NAMESPACE={name}")).port for name in ("a", "a", "b")]
    assert ports[0] == ports[1] != ports[2]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", True),
        ("RANK=1 WORLD_SIZE=2", False),
        ("RANK=0 WORLD_SIZE=2", True),
        (f"{OPEN_MPI}", False),
        ("SLURM_PROCID=0 SLURM_NTASKS=2", True),
        (f"SLURM_PROCID=1 {SRUN}", False),
        ("RANK=x", True),
        ("RANK=", True),
    ],
)
def test_rank_0_speaks_for_all_and_so_does_who_does_not_know_its_rank(
    words: str, expected: bool
) -> None:
    assert speaks(env(words)) is expected
