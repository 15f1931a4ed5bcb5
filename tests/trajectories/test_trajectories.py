"""Our federation follows the authors' own loops, round by round, on their own batches."""

from pathlib import Path

import pytest
from tiny import on_ranks

from pfedmma_dist.world import World
from tests.trajectories.played import Differences, federation_of, follow
from tests.trajectories.recorded import FILES, write_plan

NEAR = 1e-5


def hold(found: Differences) -> None:
    """Refuse what is not near, in any round."""
    assert max(found.shared) <= NEAR and max(found.rows) <= NEAR, found
    assert max(found.accuracy) <= NEAR, found


@pytest.mark.parametrize("file", FILES)
def test_federation_follows_a_sound_loop(file: str, tmp_path: Path) -> None:
    plan = write_plan(file, "off", tmp_path / "plan.jsonl")
    hold(follow(federation_of(file, plan), file, "off"))


@pytest.mark.parametrize("file", ["pfedmma_half", "fedpgp_all", "pfedmoap_halfguard"])
def test_two_ranks_follow_it_as_one_does(file: str, tmp_path: Path) -> None:
    plan = write_plan(file, "off", tmp_path / "plan.jsonl")

    def followed(world: World) -> Differences:
        return follow(federation_of(file, plan, world), file, "off")

    for found in on_ranks(2, followed):
        hold(found)
