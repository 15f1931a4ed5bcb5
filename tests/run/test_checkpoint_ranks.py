"""Checkpoints over ranks: any number of them may go on, and they fail together."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from pfedmma_dist.run import stored
from pfedmma_dist.run.loading import load
from pfedmma_dist.world import World

RANKS = """
import sys
from pathlib import Path
import torch
from pfedmma_dist.run import manifest, stored
from pfedmma_dist.run.checkpoint import CheckpointError, save
from pfedmma_dist.run.loading import load
from pfedmma_dist.world import World

def full(tensors, path):
    raise OSError(28, "No space left on device")

folder, world = Path(sys.argv[1]), World.connect("cpu")
mine = list(range(world.rank, 3, world.size))
loaded = load(folder, world, mine, "abc", 3)
before = loaded.shards if loaded else {shard: {} for shard in mine}
rows = {shard: before[shard].get("rows", torch.zeros(1)) + shard + 1 for shard in mine}
shards = {shard: {} if shard == 2 else {"rows": rows[shard]} for shard in mine}
meta = {
    "fingerprint": "abc", "num_shards": 3, "seconds": 1.0, "unscored": None,
    "configuration": {}, "task": {}, "weights": {},
}
state = (shards, {"shared": torch.ones(2)}, meta, 2)
round_index = loaded.round_index + 1 if loaded else 1
save(folder, world, round_index, *state)
if world.rank == world.size - 1:
    stored.save_file = full
try:
    save(folder, world, round_index + 1, *state)
except CheckpointError as error:
    Path(f"{folder}_{world.size}_{world.rank}").write_text(str(error))
world.close()
"""


def alone(program: list[str]) -> None:
    """Run the one rank in this process."""
    with pytest.MonkeyPatch.context() as context:
        context.setattr(sys, "argv", program)
        context.setattr(stored, "save_file", stored.save_file)  # to be put back
        runpy.run_path(program[0])


def test_two_ranks_go_on_from_one_and_back_and_fail_together(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    (tmp_path / "ranks.py").write_text(RANKS)
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    program = [str(tmp_path / "ranks.py"), str(folder)]
    alone(program)
    subprocess.run([sys.executable, *torchrun, *program], env=environment, check=True, timeout=120)
    alone(program)
    loaded = load(folder, World.alone(), [0, 1, 2], "abc", 3)
    assert loaded.round_index == 3
    assert [loaded.shards[shard]["rows"].item() for shard in (0, 1)] == [3.0, 6.0]
    assert loaded.shards[2] == {}
    first, second = (Path(f"{folder}_2_{rank}").read_text() for rank in (0, 1))
    assert first == second
    assert "No space left on device" in first
    assert "round_000002" in first
    assert sorted(path.name for path in folder.iterdir()) == ["round_000002", "round_000003"]
