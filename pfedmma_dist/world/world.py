"""One rank among all: its device, the exact sum over all of them, and what it says of itself."""

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

import torch
import torch.distributed as dist
from torch import Tensor

from pfedmma_dist.stopped import Stopped
from pfedmma_dist.world.address import INTERFACES, check_interfaces, check_reachable
from pfedmma_dist.world.meeting import meet
from pfedmma_dist.world.place import Remark, find_place
from pfedmma_dist.world.roster import Roster, Watch
from pfedmma_dist.world.verdict import Verdict, check, heard, tell_others
from pfedmma_dist.world.waiting import QUIET_SECONDS, RankLost, doze, told_meanwhile, wait_for_ranks

log = logging.getLogger(__name__)

BEYOND_PATIENCE = 600.0
"""Seconds that torch's own limit lies beyond ours, which can say more."""

TEXT_BYTES = 1024
"""Bytes of a message that travel to the other ranks."""

SOURCE = re.compile(r"\[/\S+:\d+\] ")
"""The place in gloo's sources that its errors begin with."""

ALL_TOLD_SECONDS = 0.3
"""In which all ranks that saw a sum fail have left a note that they were there."""


@dataclass
class World:
    """This rank among all. `World.connect` joins the process group; `World.alone` needs none."""

    rank: int
    size: int
    device: torch.device
    host_ranks: tuple[int, ...] = (0,)  # the ranks of this host
    sharers: int = 1  # the ranks that compute on this one's GPU
    patience: float = 7200.0  # seconds to wait for other ranks in a sum
    roster: Roster | None = None  # None where there is no other rank
    bytes_reduced: int = 0  # payload handed to `exact_sum` so far, per rank
    collectives: int = 0  # calls of `exact_sum` so far
    round_seconds: float = 0.0  # of the last round: what is long is measured by it
    asked_to_stop: Callable[[], float | None] = lambda: None  # when this process was
    broken: bool = False  # a sum has failed or was left
    remarks: tuple[Remark, ...] = ()  # on how the ranks were started

    @classmethod
    def alone(cls, device: str = "cpu") -> "World":
        """Return a world of one rank without a process group."""
        return cls(0, 1, torch.device(device))

    @classmethod
    def connect(cls, device: str = "auto", patience: float = 7200.0) -> "World":
        """Join the ranks that a launcher started, or stand alone.

        device: auto, cpu or cuda. A rank takes the GPU of its local rank, modulo the visible ones:
        torchrun shows all of them to every rank, submitit only its own. A launcher that gives no
        local rank leaves the place among the ranks of the host. Ranks may share a GPU.
        """
        place = find_place()
        cuda = torch.cuda.is_available()
        if device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"run.device: {device!r} is none of auto, cpu, cuda")
        problem = ""
        if device == "cuda" and not cuda:
            problem = (
                "run.device: 'cuda' was asked for, but torch sees no CUDA device here; "
                "set run.device=cpu, or install a CUDA build of torch and check nvidia-smi"
            )
        on_gpu = cuda and device != "cpu"
        world = cls(place.rank, place.size, torch.device("cpu"), patience=patience)
        world.remarks = place.remarks
        store = None
        if world.size > 1:
            try:
                check_interfaces()
            except ValueError as error:
                tell_others(Verdict(str(error)))
                raise
            store, world.roster = meet(place)
            own = Verdict(problem, device="cuda" if on_gpu else "cpu")
            check(heard(store, place.rank, place.size, own))
            world.host_ranks = world.roster.host_mates()
        elif problem:
            raise ValueError(problem)
        if on_gpu:
            local = world.host_rank if place.local_rank is None else place.local_rank
            world.device = torch.device("cuda", local % torch.cuda.device_count())
            torch.cuda.set_device(world.device)
        if store is not None:
            world._join(store)
        return world

    def _join(self, store: dist.Store) -> None:
        """Make the process group of the ranks that have met: gloo, wherever they compute.

        What is summed are integers in host memory, once a round. NCCL would copy them to the GPU
        and back, refuse ranks that share one, and wait for a rank that has died.
        """
        assert self.roster is not None
        kind = self.device.type
        if kind == "cuda":  # by its own name: launchers may show each rank another GPU as the first
            gpu = str(torch.cuda.get_device_properties(self.device).uuid)
            store.set(f"gpu/{self.rank}", gpu)
        words = (
            f"rank {self.rank} still joins the others over gloo; where this does not end, let the "
            f"hosts' firewalls pass, or set {INTERFACES} to the interface by which they reach each "
            "other"
        )
        try:
            with told_meanwhile(words):
                check_reachable(store, self.rank, self.size)
                dist.init_process_group(
                    "gloo",
                    store=store,
                    rank=self.rank,
                    world_size=self.size,
                    timeout=timedelta(seconds=self.patience + BEYOND_PATIENCE),
                )
        except RuntimeError as error:
            raise RankLost(
                f"rank {self.rank} cannot join the others over gloo ({_reason(error)}); look "
                f"whether one has ended, else set {INTERFACES} to the interface by which the hosts "
                "reach each other"
            ) from error
        if kind == "cuda":
            gpus = store.multi_get([f"gpu/{rank}" for rank in self.host_ranks])
            self.sharers = gpus.count(gpu.encode())

    def tell(self) -> None:
        """Say how the ranks were started, and what is odd about it; logging must be set up."""
        for level, words in self.remarks if self.first else ():
            log.log(level, "%s", words)
        self.remarks = ()

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

    def entering(self, phase: str) -> None:
        """Say what this rank begins with, for others that may have to wait for it."""
        if self.roster is not None:
            self.roster.enter(phase)

    def exact_sum(self, x: Tensor) -> Tensor:
        """Return the sum of int64 `x` over all ranks, the same bits at any number of them."""
        assert x.dtype == torch.int64
        self.bytes_reduced += x.numel() * x.element_size()
        self.collectives += 1
        if self.size == 1:
            return x
        total = x.to("cpu", copy=True)
        self._all_reduce(total)
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
            self._all_reduce(torch.zeros(1, dtype=torch.int64))

    def say_leaving(self) -> None:
        """Tell ranks that wait for this one, or will, that a stop does not let it come: they leave
        with the same code."""
        if self.roster is not None:
            self.roster.say_leaving()

    def close(self) -> None:
        """Leave the process group, and the port where the ranks met."""
        if self.size > 1 and dist.is_initialized() and not self.broken:
            dist.destroy_process_group()  # which would wait for a sum that was left
            self.roster = None  # the store listens for as long as anybody holds it

    def _all_reduce(self, x: Tensor) -> None:
        """Sum `x` over all ranks in place; meanwhile signals are heard and missing ranks named."""
        assert self.roster is not None
        self.roster.come()
        self.broken = True  # until it is done
        try:
            work = dist.all_reduce(x, async_op=True)
            doze(work, QUIET_SECONDS)
            if not work.is_completed():
                wait_for_ranks(
                    work, self.roster, self.asked_to_stop, self.patience, self.round_seconds
                )
            work.wait()
        except RankLost:
            raise
        except RuntimeError as error:
            self._end_without(error)
        self.broken = False

    def _end_without(self, error: RuntimeError) -> NoReturn:
        """Raise what it means that a sum has failed: a rank was asked to stop, or is lost."""
        self.asked_to_stop()
        assert self.roster is not None
        self.roster.tell()
        time.sleep(ALL_TOLD_SECONDS)
        watch = Watch(self.roster)
        watch.first_look()
        watch.end()
        if watch.leaving is not None:
            raise Stopped(f"stopped by a signal to rank {watch.leaving}, which has left") from error
        gone = self.roster.names(self.roster.behind())
        reason = _reason(error)
        raise RankLost(
            "stopped, because another rank has gone: what it said last, if anything, is the "
            "reason; the same command goes on from the last checkpoint "
            f"({'did not come: ' + gone + '; ' if gone else ''}{reason})"
        ) from error


def _reason(error: RuntimeError) -> str:
    return SOURCE.sub("", str(error)).partition("\n")[0]
