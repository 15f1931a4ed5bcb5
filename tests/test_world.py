"""Ranks, exact sums and threads."""

import json
import logging
import os
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed as dist

from pfedmma_dist.stopped import STOPPED, Stopped
from pfedmma_dist.world import (
    RankLost,
    World,
    from_fixed,
    limit_threads,
    make_deterministic,
    to_fixed,
    verdict,
)
from pfedmma_dist.world import world as module
from pfedmma_dist.world.address import Network
from pfedmma_dist.world.launchers import NAMES
from pfedmma_dist.world.place import Place
from pfedmma_dist.world.roster import Roster
from pfedmma_dist.world.verdict import Verdict

Join = Callable[..., tuple[World, dict]]


@pytest.fixture
def join(monkeypatch: pytest.MonkeyPatch) -> Join:
    """Return a function that connects under given variables, up to the process group."""
    for name in [*NAMES, *(name for name in os.environ if name.startswith("SLURM_"))]:
        monkeypatch.setenv(name, "")  # so that what connect sets is undone
        monkeypatch.delenv(name)
    asked: dict = {}
    monkeypatch.setattr(
        dist, "init_process_group", lambda *args, **kwargs: asked.update(kwargs, backend=args[0])
    )
    kind = "cpu"

    def meet(place: Place) -> tuple[dist.Store, Roster]:
        return met(place.rank, place.size, kind)

    monkeypatch.setattr(module, "meet", meet)

    def connect(
        env: dict[str, str], gpus: int = 0, device: str = "auto", uuids: tuple[str, ...] = ()
    ) -> tuple[World, dict]:
        nonlocal kind
        kind = "cuda" if gpus and device != "cpu" else "cpu"
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
        called = [SimpleNamespace(uuid=name) for name in uuids or range(gpus)]
        monkeypatch.setattr(
            torch.cuda, "get_device_properties", lambda device: called[device.index]
        )
        return World.connect(device), asked

    return connect


def alone(rank: int, size: int) -> Roster:
    """Return the roster of ranks of which the others have said nothing."""
    return Roster(dist.HashStore(), rank, size)


def met(rank: int, size: int, kind: str = "cpu") -> tuple[dist.Store, Roster]:
    """Return the store and the roster of ranks that have met, all of them on this host.

    kind: of device that the others compute on.
    """
    store = dist.HashStore()
    for other in range(size):
        store.set(f"verdict/{other}", json.dumps(vars(Verdict(device=kind))))
        store.set(f"network/{other}", " ".join(Network.own()))
        store.set(f"gpu/{other}", f"GPU-{other}")
    rosters = [Roster(store, other, size) for other in range(size)]
    rosters[rank].read(store)
    return store, rosters[rank]


class Done:
    """A sum that is over as soon as it began."""

    def __init__(self, error: str = "") -> None:
        self.error = error

    def is_completed(self) -> bool:
        return True

    def wait(self) -> None:
        if self.error:
            raise RuntimeError(self.error)


def torchrun(rank: int, size: int, local_rank: int) -> dict[str, str]:
    place = {"RANK": f"{rank}", "WORLD_SIZE": f"{size}", "LOCAL_RANK": f"{local_rank}"}
    return {**place, "MASTER_ADDR": "head", "MASTER_PORT": "1234", "TORCHELASTIC_RUN_ID": "none"}


def slurm(nodes: str, **others: str) -> dict[str, str]:
    return {
        "SLURM_STEP_NUM_TASKS": "4",
        "SLURM_STEP_NODELIST": nodes,
        "SLURM_JOB_ID": "123456",
        "SLURM_PROCID": "3",
        "SLURM_LOCALID": "1",
        **others,
    }


def test_fixed_point_is_off_by_half_a_step_at_most() -> None:
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1e-3, 1e-3, 1000))
    assert (from_fixed(to_fixed(x)) - x).abs().max() <= 2.0**-49


def test_numbers_on_the_grid_are_exact() -> None:
    x = torch.tensor([0.0, 1.0, -0.5, 2.0**-48, 32767.5, -32767.5], dtype=torch.float64)
    assert torch.equal(from_fixed(to_fixed(x)), x)


def test_sum_of_fixed_points_has_no_order() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.standard_normal(1000) * 10.0 ** rng.integers(-12, 2, 1000))
    fixed = to_fixed(x)
    sums = {sum(fixed[rng.permutation(1000)].tolist()) for _ in range(20)}
    sums |= {int(fixed[rng.permutation(1000)].view(8, 125).sum(dim=0).sum()) for _ in range(20)}
    assert len(sums) == 1


@pytest.mark.parametrize("value", [32768.0, -32768.0, float("inf"), float("-inf"), float("nan")])
def test_number_beyond_the_fixed_point_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not finite or not below 32768"):
        to_fixed(torch.tensor([0.0, value], dtype=torch.float64))


def test_world_alone_sums_to_itself_and_counts() -> None:
    world = World.alone()
    assert world.exact_sum(torch.tensor([1, 2, 3])).tolist() == [1, 2, 3]
    world.exact_sum(torch.tensor([4]))
    assert (world.collectives, world.bytes_reduced) == (2, 32)
    assert (world.first, world.host_rank, world.host_size) == (True, 0, 1)


def test_only_integers_are_summed() -> None:
    with pytest.raises(AssertionError):
        World.alone().exact_sum(torch.tensor([1.0]))


def test_sum_over_ranks_leaves_its_argument_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_reduce(x: torch.Tensor, async_op: bool) -> Done:
        x.mul_(2)
        return Done()

    monkeypatch.setattr(dist, "all_reduce", all_reduce)
    x = torch.tensor([1, 2])
    world = World(0, 2, torch.device("cpu"), roster=alone(0, 2))
    assert world.exact_sum(x).tolist() == [2, 4]
    assert x.tolist() == [1, 2]


def test_sum_without_all_its_ranks_says_what_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Done("Connection closed by peer")
    monkeypatch.setattr(dist, "all_reduce", lambda x, async_op: gone)
    world = World(0, 2, torch.device("cpu"), roster=alone(0, 2))
    Roster(world.roster.store, 1, 2).enter("round 3")
    told = "another rank has gone.*did not come: rank 1 .host .*, round 3.*Connection closed by"
    with pytest.raises(RankLost, match=told):
        world.exact_sum(torch.tensor([1]))


def test_sum_that_failed_since_a_rank_was_asked_to_stop_is_no_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dist, "all_reduce", lambda x, async_op: Done("Connection closed by peer"))
    world = World(0, 2, torch.device("cpu"), roster=alone(0, 2))
    Roster(world.roster.store, 1, 2).say_leaving()
    with pytest.raises(Stopped, match="a signal to rank 1") as ended:
        world.exact_sum(torch.tensor([1]))
    assert ended.value.code == STOPPED


def test_without_a_launcher_there_is_one_rank(join: Join) -> None:
    world, asked = join({})
    assert (world.rank, world.size, world.device) == (0, 1, torch.device("cpu"))
    assert asked == {}


def test_torchrun_gives_rank_and_size(join: Join) -> None:
    world, asked = join(torchrun(2, 3, 0))
    assert (world.rank, world.size, world.first) == (2, 3, False)
    assert (asked["backend"], asked["rank"], asked["world_size"]) == ("gloo", 2, 3)


def test_torchrun_inside_a_slurm_step_wins(join: Join) -> None:
    world, _ = join(torchrun(1, 2, 1) | slurm("node1"))
    assert (world.rank, world.size) == (1, 2)


@pytest.mark.parametrize(
    ("local_rank", "gpus", "index"),
    [(1, 4, 1), (3, 1, 0), (5, 4, 1)],
    ids=["all visible", "own visible", "shared"],
)
def test_rank_takes_the_gpu_of_its_local_rank(
    join: Join, local_rank: int, gpus: int, index: int
) -> None:
    world, asked = join(torchrun(5, 8, local_rank), gpus)
    assert world.device == torch.device("cuda", index)
    assert asked["backend"] == "gloo"  # which lets ranks share a GPU


@pytest.mark.parametrize(
    ("uuids", "sharers"),
    [(("GPU-5",), 1), (("GPU-2",), 2), (("GPU-0", "GPU-1"), 2)],
    ids=["each sees its own alone", "sees that of rank 2", "all see two"],
)
def test_ranks_share_a_gpu_that_has_one_name_whatever_they_see(
    join: Join, uuids: tuple[str, ...], sharers: int
) -> None:
    world, _ = join(torchrun(5, 8, 5), len(uuids), uuids=uuids)
    assert (world.host_size, world.sharers) == (8, sharers)


def test_rank_without_a_local_rank_takes_the_gpu_of_its_place_on_the_host(join: Join) -> None:
    by_hand = torchrun(2, 4, 0)
    del by_hand["LOCAL_RANK"]
    world, _ = join(by_hand, gpus=4)
    assert world.device == torch.device("cuda", 2)


def test_ranks_of_which_some_have_no_gpu_are_refused(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, roster = met(1, 2, "cuda")
    monkeypatch.setattr(verdict, "HEARD_SECONDS", 0.1)
    monkeypatch.setattr(module, "meet", lambda place: (store, roster))
    with pytest.raises(ValueError, match=r"^run\.device: rank 1, on host .*, computes on cpu, and"):
        join(torchrun(1, 2, 1))


def test_ranks_that_cannot_join_are_told_what_to_set(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*words: object, **others: object) -> None:
        raise RuntimeError("[/src/gloo/pair.cc:144] no error\nstack")

    monkeypatch.setattr(dist, "init_process_group", refuse)
    told = r"^rank 1 cannot join the others over gloo \(no error\); .* set GLOO_SOCKET_IFNAME to"
    with pytest.raises(RankLost, match=told):
        join(torchrun(1, 2, 1))


def test_how_ranks_were_started_is_told_once_and_by_rank_0(
    join: Join, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for rank in (1, 0, 0):
        world, _ = join(torchrun(rank, 2, 0))
        world.tell()
        world.tell()
    assert caplog.messages == ["2 ranks, by torchrun, meet at head:1234"] * 2


def test_cpu_is_taken_where_it_is_asked_for(join: Join) -> None:
    world, asked = join(torchrun(0, 2, 0), gpus=2, device="cpu")
    assert world.device == torch.device("cpu")
    assert asked["backend"] == "gloo"


def test_slurm_step_gives_rank_size_and_meeting_point(join: Join) -> None:
    world, asked = join(slurm("gpu[03-07,9],cpu1"))
    assert (world.rank, world.size) == (3, 4)
    assert (asked["rank"], asked["world_size"]) == (3, 4)
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("gpu03", "23456")


def test_meeting_point_that_is_set_is_kept(join: Join) -> None:
    join(slurm("node1", MASTER_ADDR="head", MASTER_PORT="1234"))
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("head", "1234")


def test_single_task_of_slurm_is_one_rank(join: Join) -> None:
    world, _ = join(slurm("node1", SLURM_STEP_NUM_TASKS="1", SLURM_PROCID="0", SLURM_LOCALID="0"))
    assert world.size == 1


def test_batch_script_is_no_step(join: Join) -> None:
    world, _ = join({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"})
    assert world.size == 1


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node1", "node1"),
        ("node1,node2", "node1"),
        ("node-7", "node-7"),
        ("a100-[11,13-17]", "a100-11"),
        ("cpu1,gpu[03-07]", "cpu1"),
        ("gpu[3-4],gpu[7-9]", "gpu3"),
        ("rack[0-3]_blade[05,07]", "rack0_blade05"),
        ("node[1-2].cluster,head", "node1.cluster"),
    ],
)
def test_first_name_of_a_node_list(join: Join, nodes: str, first: str) -> None:
    join(slurm(nodes))
    assert os.environ["MASTER_ADDR"] == first


def test_missing_cuda_is_named_with_the_remedy(join: Join) -> None:
    with pytest.raises(ValueError, match="run.device: 'cuda' .* run.device=cpu"):
        join({}, device="cuda")


def test_unknown_device_is_named(join: Join) -> None:
    with pytest.raises(ValueError, match="run.device: 'tpu' is none of auto, cpu, cuda"):
        join({}, device="tpu")


@pytest.mark.parametrize(
    ("threads", "host_size", "expected"),
    [(3, 2, 3), (None, 1, 8), (None, 3, 2), (None, 9, 1)],
    ids=["asked for", "alone", "shared", "more ranks than cores"],
)
def test_ranks_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, threads: int | None, host_size: int, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    world = World(0, host_size, torch.device("cpu"), tuple(range(host_size)))
    assert limit_threads(threads, world) == expected
    assert torch.get_num_threads() == expected


def test_a_rank_that_is_a_slurm_task_takes_the_cores_of_its_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(3)), raising=False)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    world = World(0, 2, torch.device("cpu"), (0, 1))
    assert limit_threads(None, world) == 3


def test_deterministic_kernels_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    make_deterministic()
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"  # the user's choice stays
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":0:0")
    make_deterministic()  # no matter without a GPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    told = (
        r"^run\.deterministic: true, and .*CUBLAS_WORKSPACE_CONFIG=:0:0 .*set it to :4096:8 or :16"
    )
    with pytest.raises(ValueError, match=told):
        make_deterministic()
