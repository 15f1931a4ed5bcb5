"""The ranks of a run: who we are, which device is ours, and the exact sum over all of us.

The only file that imports torch.distributed or asks for a device. Code above it is the same for one
rank and for eight. Sums are taken over integers: adding int64 is associative, so neither the number
of ranks nor the order of the clients can reach a bit of the result.
"""

import os
import re
import socket
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

FRACTION_BITS = 48
"""Bits after the point of a fixed-point number: steps of 3.6e-15, values within +-32,768."""

SCALE = float(2**FRACTION_BITS)
LIMIT = float(2 ** (63 - FRACTION_BITS))

TEXT_BYTES = 1024
"""Bytes of a message that travel to the other ranks."""


def to_fixed(x: Tensor) -> Tensor:
    """Round float64 `x` to int64 fixed point. Values of 32,768 and more, or not finite, raise."""
    if not bool((x.abs() < LIMIT).all()):  # also False for nan
        raise ValueError(f"a number to be averaged is not finite or not below {LIMIT:g}")
    return (x.double() * SCALE).round().to(torch.int64)


def from_fixed(x: Tensor) -> Tensor:
    """Return the float64 value of int64 fixed point `x`."""
    return x.double() / SCALE


class RankLost(RuntimeError):
    """Say that a collective failed, as it does where another rank has gone."""


@dataclass
class World:
    """This rank among all. `World.connect` joins the process group; `World.alone` needs none."""

    rank: int
    size: int
    device: torch.device
    host_ranks: tuple[int, ...] = (0,)  # the ranks of this host
    bytes_reduced: int = 0  # payload handed to `exact_sum` so far, per rank
    collectives: int = 0  # calls of `exact_sum` so far

    @classmethod
    def alone(cls, device: str = "cpu") -> "World":
        """Return a world of one rank without a process group."""
        return cls(0, 1, torch.device(device))

    @classmethod
    def connect(cls, device: str = "auto") -> "World":
        """Join the ranks that torchrun or SLURM started, or stand alone.

        device: auto, cpu or cuda. A rank takes the GPU of its local rank, modulo the visible ones:
        torchrun shows all of them to every rank, submitit only its own.
        """
        place = _place()
        cuda = torch.cuda.is_available()
        if device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"run.device: {device!r} is none of auto, cpu, cuda")
        if device == "cuda" and not cuda:
            raise ValueError(
                "run.device: 'cuda' was asked for, but torch sees no CUDA device here; "
                "set run.device=cpu, or install a CUDA build of torch and check nvidia-smi"
            )
        if device == "cpu" or not cuda:
            chosen = torch.device("cpu")
        else:
            chosen = torch.device("cuda", place["local_rank"] % torch.cuda.device_count())
            torch.cuda.set_device(chosen)
        world = cls(place["rank"], place["size"], chosen)
        if world.size > 1:
            store = _fresh_store(world.rank, world.size)
            dist.init_process_group(
                "nccl" if chosen.type == "cuda" else "gloo",
                init_method=None if store else "env://",
                store=store,
                rank=world.rank,
                world_size=world.size,
                timeout=timedelta(hours=2),  # ranks may evaluate for long between two collectives
                device_id=chosen if chosen.type == "cuda" else None,
            )
            world.host_ranks = world._find_host_mates()
        return world

    @property
    def first(self) -> bool:
        """Whether this is rank 0, the one that speaks and writes."""
        return self.rank == 0

    @property
    def host_rank(self) -> int:
        """Position among the ranks of this host."""
        return self.host_ranks.index(self.rank)

    @property
    def host_size(self) -> int:
        """Number of ranks of this host."""
        return len(self.host_ranks)

    def exact_sum(self, x: Tensor) -> Tensor:
        """Return the sum of int64 `x` over all ranks, the same bits at any number of them."""
        assert x.dtype == torch.int64
        self.bytes_reduced += x.numel() * x.element_size()
        self.collectives += 1
        if self.size == 1:
            return x
        total = x.to(self.device, copy=True)
        _all_reduce(total)
        return total.to(x.device)

    def gather(self, x: Tensor) -> Tensor:
        """Return every rank's int64 `x`, which has the same shape on all, in rank order."""
        table = torch.zeros(self.size, *x.shape, dtype=torch.int64)
        table[self.rank] = x
        return self.exact_sum(table)

    def gather_texts(self, text: str) -> list[str]:
        """Return every rank's `text`, cut to TEXT_BYTES, in rank order."""
        padded = text.encode(errors="replace")[:TEXT_BYTES].ljust(TEXT_BYTES, b"\0")
        rows = self.gather(torch.tensor(list(padded))).tolist()
        return [bytes(row).rstrip(b"\0").decode(errors="ignore") for row in rows]

    def barrier(self) -> None:
        """Wait for all ranks."""
        if self.size > 1:
            _all_reduce(torch.zeros(1, dtype=torch.int64, device=self.device))
            if self.device.type == "cuda":
                torch.cuda.synchronize()

    def close(self) -> None:
        """Leave the process group."""
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()

    def _find_host_mates(self) -> tuple[int, ...]:
        """Return the ranks that share this host; they can share one feature file."""
        name = socket.gethostname().encode()[:64].ljust(64)
        names = torch.zeros(self.size, 64, dtype=torch.int64)
        names[self.rank] = torch.tensor(list(name))
        total = names.to(self.device)
        dist.all_reduce(total)
        return tuple((total == total[self.rank]).all(dim=1).nonzero().flatten().tolist())


def _fresh_store(rank: int, size: int) -> dist.Store | None:
    """Return a part of torchrun's store that is new to this start of the ranks; None without one.

    torchrun keeps its store over restarts, addresses of dead ranks included: whoever comes first
    calls one of them and hangs. Its restart count cannot tell starts apart, since hosts count for
    themselves (pytorch issue 135712). So rank 0 hands out a name to whoever has started last.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None
    store, *_ = next(dist.rendezvous("env://", rank, size, timeout=timedelta(minutes=30)))
    if rank > 0:
        start = store.add(f"starts/{rank}", 1)
        name = store.get(f"name/{rank}/{start}").decode()  # waits for it
        store.set(f"taken/{rank}/{name}", "")
    else:
        name = uuid.uuid4().hex
        for other in range(1, size):
            while not store.check([f"taken/{other}/{name}"]):
                store.set(f"name/{other}/{store.add(f'starts/{other}', 0)}", name)
                time.sleep(0.02)
    return dist.PrefixStore(name, store)


def _all_reduce(x: Tensor) -> None:
    """Sum `x` over all ranks in place."""
    try:
        dist.all_reduce(x)
    except RuntimeError as error:
        raise RankLost(
            f"stopped, because another rank has gone; what it said last is the reason ({error})"
        ) from error


def limit_threads(threads: int | None, world: World) -> int:
    """Set this rank's CPU threads (None: its share of the cores) and return their number.

    Ranks that together ask for more threads than cores spin against each other: measured 12 times
    slower.
    """
    count = threads or _own_cores(world)
    torch.set_num_threads(count)
    return count


def _own_cores(world: World) -> int:
    """Return this rank's share of the cores that it may run on."""
    env = os.environ
    per_task = int(env.get("SLURM_CPUS_PER_TASK", 0))
    if per_task and int(env.get("SLURM_STEP_NUM_TASKS", 0)) == world.size:
        return per_task  # one task a rank: srun may or may not have bound it to its own cores
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        cores = len(os.sched_getaffinity(0))
    return max(1, cores // world.host_size)


def make_deterministic() -> None:
    """Ask torch for kernels whose results do not vary from call to call."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a debugging aid that costs time


def _place() -> dict[str, int]:
    """Read rank, size and local rank from torchrun's variables or from an srun step's."""
    env = os.environ
    if "RANK" in env and "WORLD_SIZE" in env:
        return {
            "rank": int(env["RANK"]),
            "size": int(env["WORLD_SIZE"]),
            "local_rank": int(env.get("LOCAL_RANK", 0)),
        }
    if int(env.get("SLURM_STEP_NUM_TASKS", 1)) > 1:  # set by srun, not in a batch script
        nodes = env["SLURM_STEP_NODELIST"]
        env.setdefault("MASTER_ADDR", _first_host(nodes))
        env.setdefault("MASTER_PORT", str(20000 + int(env["SLURM_JOB_ID"]) % 10000))
        return {
            "rank": int(env["SLURM_PROCID"]),
            "size": int(env["SLURM_STEP_NUM_TASKS"]),
            "local_rank": int(env["SLURM_LOCALID"]),
        }
    return {"rank": 0, "size": 1, "local_rank": 0}


def _first_host(nodes: str) -> str:
    """Return the first name of a SLURM node list: `gpu[03-07,9],cpu1` -> `gpu03`."""
    first = re.split(r",(?![^\[]*\])", nodes)[0]
    return re.sub(r"\[([^],-]*)[^]]*\]", r"\1", first)
