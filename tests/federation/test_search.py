"""A search on validation images finds what a loop over all points finds, and nothing else."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from tiny import on_ranks, tiny_federation, validated

from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.search import choose, search
from pfedmma_dist.methods import METHODS, own_images
from pfedmma_dist.methods.searched import Searched
from pfedmma_dist.world import World

GRID = {"beta": (0.5, 2.0, 5.5), "alpha": (0.1, 1.0, 30.0, 100.0)}
SEARCHED = [name for name, kind in METHODS.items() if issubclass(kind, Searched)]


def trained(name: str, world: World | None = None) -> Federation:
    federation = tiny_federation(METHODS[name], world, task=validated(), fraction=0.5)
    federation.round(0)
    return federation


@pytest.mark.parametrize("name", SEARCHED)
def test_it_finds_what_a_loop_over_all_points_finds(name: str) -> None:
    federation = trained(name)
    usual = federation.method.options
    before = np.nanmean(federation.evaluate(full=False).percent["val"])
    slow = {}
    for point in product(*GRID.values()):
        federation.method.options = replace(usual, **dict(zip(GRID, point, strict=True)))
        slow[point] = np.nanmean(federation.evaluate(full=False).percent["val"])
    federation.method.options = usual
    assert max(slow.values()) > min(slow.values())  # else anything would be the best
    found = search(federation, GRID)
    best = max(slow.values())
    assert found.percent == pytest.approx(best, abs=1e-6)
    first = next(point for point, percent in slow.items() if percent > best - 1e-6)
    assert tuple(found.values.values()) == first
    assert found.ties == sum(percent > best - 1e-6 for percent in slow.values())
    assert found.before == pytest.approx(before, abs=1e-6)
    assert (found.num_images, found.num_clients) == (9, 5)
    choose(federation, found)
    again = np.nanmean(federation.evaluate(full=True).percent["val"])
    assert again == pytest.approx(found.percent, abs=1e-6)


def test_only_clients_that_are_scored_are_asked() -> None:
    federation = trained("tip_adapter")
    federation.scored = federation.scored[:2]  # as evaluate.clients=2 may draw; no more is encoded
    assert search(federation, GRID).num_clients <= 2


def test_ranks_find_the_same() -> None:
    alone = search(trained("tip_adapter"), GRID)
    assert on_ranks(2, lambda world: search(trained("tip_adapter", world), GRID)) == [alone] * 2


def test_no_other_image_is_read() -> None:
    federation, looked = trained("tip_adapter"), []
    features, [scope] = (
        federation.sources.test,
        [one for one in federation.task.scopes if one.name == "val"],
    )
    read = features.rows

    def rows(kinds: object, views: tuple[np.ndarray, np.ndarray]) -> object:
        looked.extend(views[0])
        return read(kinds, views)

    features.rows = rows
    search(federation, GRID)
    assert set(looked) == set(scope.rows.members)


def test_grid_has_as_many_points_as_the_released_one() -> None:
    grid = own_images.GRID
    assert sorted(map(len, grid.values())) == [20, 200]
    assert all(min(values) > 0 and list(values) == sorted(values) for values in grid.values())
    assert math.isclose(grid["alpha"][-1], 3) and math.isclose(grid["beta"][-1], 5.5)
