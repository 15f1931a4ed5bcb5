"""Our federation follows the authors' own loops, round by round, on their own batches."""

from pathlib import Path

import pytest
from tiny import on_ranks

from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.world import World
from tests.trajectories.defects import defects_of, planned, with_defects
from tests.trajectories.played import Differences, follow
from tests.trajectories.recorded import FILES, variants

NEAR = 1e-5
RELEASED = [file for file in FILES if "released" in variants(file)]
ALONE = {
    "schedule": ("promptfl_half", "pfedmma_allcosine"),
    "textcache": ("pfedmma_all",),
    "drop": ("promptfl6_all",),
    "alias": ("promptfl_own_all",),
    "history": ("promptfl_own_all",),
    "unweighted": ("promptfl_own_all",),
    "gating_leak": ("pfedmoap_halfguard",),
    "snapshot": ("pfedmoap_halfguard",),
    "nearest": ("pfedmoap_all",),
    "stale_experts": ("pfedmoap_halfguard",),
    "eval_experts": ("pfedmoap_halfguard",),
}
"""Defect -> files that hold it alone; momentum is alone in what FedPGP and FedOTP released."""
ON_RANKS = [
    ("pfedmma_half", "off"),
    ("pfedmoap_halfguard", "off"),
    ("pfedmma_half", "only_textcache"),
    ("promptfl_half", "only_schedule"),
    ("promptfl_own_all", "only_alias"),
    ("promptfl6_all", "only_drop"),
]


def hold(found: Differences) -> None:
    """Refuse what is not near, in any round."""
    assert max([*found.shared, *found.rows]) <= NEAR, found
    assert max(found.accuracy) <= NEAR, found


def check(file: str, variant: str, folder: Path) -> None:
    plan = planned(file, variant, folder)
    hold(follow(with_defects(file, plan, defects_of(file, variant)), file, variant))


@pytest.mark.parametrize("file", FILES)
def test_federation_follows_a_sound_loop(file: str, tmp_path: Path) -> None:
    check(file, "off", tmp_path)


@pytest.mark.parametrize("file", RELEASED)
def test_federation_with_its_defects_follows_a_released_loop(file: str, tmp_path: Path) -> None:
    check(file, "released", tmp_path)


@pytest.mark.parametrize(("name", "file"), [(n, file) for n in ALONE for file in ALONE[n]])
def test_federation_with_one_defect_follows_it(name: str, file: str, tmp_path: Path) -> None:
    check(file, f"only_{name}", tmp_path)


@pytest.mark.parametrize("name", ["stale_experts", "eval_experts"])
def test_federation_with_all_defects_but_one_follows_it(name: str, tmp_path: Path) -> None:
    """Who sits out is scored with what others have left, which scores by themselves do not tell."""
    check("pfedmoap_halfguard", f"without_{name}", tmp_path)


@pytest.mark.parametrize(("file", "variant"), ON_RANKS)
def test_two_ranks_follow_as_one_does(file: str, variant: str, tmp_path: Path) -> None:
    plan = planned(file, variant, tmp_path)
    assert variant in variants(file)

    def play(world: World) -> tuple[Federation, Differences]:
        federation = with_defects(file, plan, defects_of(file, variant), world)
        return federation, follow(federation, file, variant)

    (first, near), (second, other) = on_ranks(2, play)
    hold(near)
    hold(other)
    assert near.shared == other.shared and near.accuracy == other.accuracy
    assert not set(first.hosted) & set(second.hosted)
