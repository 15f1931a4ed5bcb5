"""Checkpoints over ranks: any number of them may go on, and they fail together."""

from pathlib import Path

import torch
from ranks import run

from pfedmma_dist.run import stored
from pfedmma_dist.run.checkpoint import CheckpointError, save
from pfedmma_dist.run.loading import load
from pfedmma_dist.world import World


def full(tensors: object, path: Path) -> None:
    raise OSError(28, "No space left on device")


def save_twice(words: list[str]) -> int:
    """Go on from the newest checkpoint and save one more, then one that the last rank cannot."""
    folder, world = Path(words[0]), World.connect("cpu")
    mine = list(range(world.rank, 3, world.size))
    loaded = load(folder, world, mine, "abc", 3)
    before = loaded.shards if loaded else {shard: {} for shard in mine}
    rows = {shard: before[shard].get("rows", torch.zeros(1)) + shard + 1 for shard in mine}
    shards = {shard: {} if shard == 2 else {"rows": rows[shard]} for shard in mine}
    meta = {
        "fingerprint": "abc", "num_shards": 3, "seconds": 1.0, "unscored": None,
        "configuration": {}, "task": {}, "weights": {},
    }  # fmt: skip
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
    return 0


def test_two_ranks_go_on_from_one_and_back_and_fail_together(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    for index, size in enumerate((1, 2, 1)):
        ended = run([str(folder)], tmp_path / f"said {index}", size, main=save_twice)
        assert [rank.code for rank in ended] == [0] * size, ended
    loaded = load(folder, World.alone(), [0, 1, 2], "abc", 3)
    assert loaded.round_index == 3
    assert [loaded.shards[shard]["rows"].item() for shard in (0, 1)] == [3.0, 6.0]
    assert loaded.shards[2] == {}
    first, second = (Path(f"{folder}_2_{rank}").read_text() for rank in (0, 1))
    assert first == second
    assert "No space left on device" in first
    assert "round_000002" in first
    assert sorted(path.name for path in folder.iterdir()) == ["round_000002", "round_000003"]
