"""Where this rank stands among all, as torchrun or SLURM tell it."""

import os
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """This rank, how many there are, and its number on its host."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0


def find_place() -> Place:
    """Read rank, size and local rank from torchrun's variables or from an srun step's."""
    env = os.environ
    if "RANK" in env and "WORLD_SIZE" in env:
        return Place(int(env["RANK"]), int(env["WORLD_SIZE"]), int(env.get("LOCAL_RANK", 0)))
    if int(env.get("SLURM_STEP_NUM_TASKS", 1)) > 1:  # set by srun, not in a batch script
        nodes = env["SLURM_STEP_NODELIST"]
        env.setdefault("MASTER_ADDR", _first_host(nodes))
        env.setdefault("MASTER_PORT", str(20000 + int(env["SLURM_JOB_ID"]) % 10000))
        return Place(
            int(env["SLURM_PROCID"]),
            int(env["SLURM_STEP_NUM_TASKS"]),
            int(env["SLURM_LOCALID"]),
        )
    return Place()


def _first_host(nodes: str) -> str:
    """Return the first name of a SLURM node list: `gpu[03-07,9],cpu1` -> `gpu03`."""
    first = re.split(r",(?![^\[]*\])", nodes)[0]
    return re.sub(r"\[([^],-]*)[^]]*\]", r"\1", first)
