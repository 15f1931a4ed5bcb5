"""Scoring that is cut short goes on to the same scores, and nobody's numbers are scored twice."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from tiny import on_ranks, tiny_federation

from pfedmma_dist.federation import evaluate
from pfedmma_dist.federation.classify import Group
from pfedmma_dist.federation.evaluate import Scores, Sitting, score
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.pfedmoap import PFedMoAP
from pfedmma_dist.world import World

SOME = {"fraction": 0.34, "first_round_all": False}  # two of six clients train


def same(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> None:
    """Hold scores to those of another scoring."""
    assert list(one) == list(other)
    for name, percent in one.items():
        np.testing.assert_array_equal(percent, other[name], err_msg=name)


def one_by_one(federation: Federation) -> Scores:
    """Score every client by itself."""
    examiner = Examiner(federation)
    classifier = examiner.classifier(federation.method, list(federation.task.scopes))
    groups = [Group(np.array([client])) for client in federation.seen]
    return score(classifier, examiner.start, groups, federation.world)


@pytest.mark.parametrize("method", [PFedMMA, PFedMoAP])
def test_clients_that_never_trained_are_scored_once_and_as_one_by_one(method: type) -> None:
    federation = tiny_federation(method, **SOME)
    federation.round(0)
    federation.round(1)
    distinct = 1 + len(federation.trained(2))
    assert distinct < 6
    once, each = federation.evaluate(full=True), one_by_one(federation)
    same(once.percent, each.percent)
    assert (once.num_images, each.num_images) == (distinct * 24, 6 * 24)


@pytest.mark.parametrize("name", METHODS)
def test_clients_that_never_trained_hold_the_same_numbers(name: str) -> None:
    federation = tiny_federation(METHODS[name], **SOME)
    if not federation.layout.num_trained and not METHODS[name].counts:
        return
    federation.round(0)
    idle = np.setdiff1d(federation.seen, federation.trained(1))
    assert not federation.clients.have_trained(idle).any()
    theta, extra = federation.start(idle, training=False)
    assert (theta == theta[0]).all()
    if isinstance(extra, list):  # one of each client
        assert all(own == extra[0] for own in extra)


def after_pieces(count: int) -> Sitting:
    """Return a sitting that is asked to stop at its meeting of this number."""
    meetings = iter(range(count - 1))
    return Sitting(stop=lambda: next(meetings, None) is None)


@pytest.mark.parametrize("part", ["all", "unseen"])
def test_scores_of_many_starts_equal_those_of_one(
    monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    unseen = {"unseen": 0.34} if part == "unseen" else {}
    federation = tiny_federation(PFedMMA, **unseen)
    federation.round(0)
    whole = federation.evaluate(full=True)
    monkeypatch.setattr(evaluate, "PIECE_SECONDS", 0.0)
    tables: dict[str, torch.Tensor] = {}
    starts, images = 0, 0
    while starts < 20:
        sitting = after_pieces(5)  # as many as two clients take
        sitting.so_far = tables
        found, starts = federation.evaluate(True, sitting), starts + 1
        images += found.num_images
        if found.is_whole:
            break
        assert found.stop
        assert found.percent == {}
    assert starts >= 3
    same(found.percent, whole.percent)
    assert images < 3 * whole.num_images  # what was scored is not scored again


def test_ranks_stop_together_and_go_on_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    federation = tiny_federation(PFedMMA)
    federation.round(0)
    whole = federation.evaluate(full=True)
    monkeypatch.setattr(evaluate, "PIECE_SECONDS", 0.0)

    def work(world: World) -> tuple[Scores, dict[str, torch.Tensor]]:
        own = tiny_federation(PFedMMA, world)
        own.round(0)
        sitting = after_pieces(5) if world.rank else Sitting()
        return own.evaluate(True, sitting), sitting.so_far

    (first, tables), (second, others) = on_ranks(2, work)
    assert first.stop and second.stop and not first.is_whole and not second.is_whole
    assert all(torch.equal(table, others[name]) for name, table in tables.items())
    again = Sitting(so_far=tables)
    done = sum(int(table[:, 0].sum()) for table in tables.values())
    found = federation.evaluate(True, again)
    same(found.percent, whole.percent)
    assert done > 0
    assert found.num_images == (6 - done) * 24
