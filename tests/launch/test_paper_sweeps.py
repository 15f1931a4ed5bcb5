"""The sweeps of the paper's tables: every method, every data set, the paper's numbers."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from launch.plan import PlannedRun, plan
from pfedmma_dist.config.documents import read_yaml
from pfedmma_dist.methods import METHODS

SWEEPS = Path(__file__).parents[2] / "configs" / "sweep"
COOP = ["sun397", "caltech101", "oxford_pets", "oxford_flowers", "food101", "dtd", "ucf101"]
ONE = {
    "base_to_novel": ("data.name=dtd", "seed=1"),
    "feature_shift": ("seed=1",),
    "label_shift": ("data.name=cifar100", "data.beta=0.5", "seed=1"),
}
HOW = "`python -m tests.cards` prints the rows to add"


def grid(table: str) -> dict[str, list[Any]]:
    return read_yaml(SWEEPS / f"table_{table}.yaml")["grid"]


@cache
def planned(table: str) -> list[PlannedRun]:
    """Return the runs at one point of the grid: a plan of all takes seconds."""
    return plan(str(SWEEPS / f"table_{table}.yaml"), ["data.root=DATA", *ONE[table]])


def is_alone(run: PlannedRun) -> bool:
    """Whether a single client has all data."""
    return run.config.data.num_clients == 1


@pytest.mark.parametrize("table", ONE)
def test_table_has_every_method_and_three_seeds(table):
    assert {run.config.method["name"] for run in planned(table)} == METHODS.keys(), HOW
    assert grid(table)["seed"] == [1, 2, 3]


def test_base_to_novel_has_seven_sets_and_the_papers_numbers():
    assert grid("base_to_novel")["data.name"] == COOP
    for run in planned("base_to_novel"):
        if is_alone(run):
            continue
        assert (run.config.data.num_clients, run.config.data.shots) == (10, 16)


def test_feature_shift_has_thirty_clients_on_domainnet_and_a_quarter_of_them_in_a_round():
    runs = [run for run in planned("feature_shift") if not is_alone(run)]
    by_set = {run.config.data.name: run.config for run in runs}
    assert by_set.keys() == {"domainnet", "office_caltech10"}
    found = by_set["domainnet"]
    assert (found.data.num_clients, found.data.beta) == (30, 0.5)
    assert (found.federation.fraction, found.federation.rounds) == (0.25, 50)


def test_label_shift_has_both_cifars_at_three_strengths():
    assert grid("label_shift")["data.name"] == ["cifar10", "cifar100"]
    assert grid("label_shift")["data.beta"] == [0.1, 0.5, 1.0]
    for run in planned("label_shift"):
        if is_alone(run):
            continue
        assert (run.config.data.num_clients, run.config.federation.fraction) == (100, 0.1)


@pytest.mark.parametrize("table", ONE)
def test_every_method_that_shares_as_it_likes_has_a_row_without_sharing(table):
    sharing = {name for name, method in METHODS.items() if hasattr(method.Options(), "share")}
    alone = {
        r.config.method["name"] for r in planned(table) if r.config.method.get("share") == "none"
    }
    assert alone == sharing, HOW


@pytest.mark.parametrize("table", ONE)
def test_table_has_one_client_with_all_data(table):
    found = [run.config for run in planned(table) if is_alone(run)]
    assert found and {config.method["name"] for config in found} == {"pfedmma"}
    assert all(config.federation.fraction == 1.0 for config in found)
