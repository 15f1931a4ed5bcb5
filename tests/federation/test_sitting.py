"""Scoring that is cut short goes on to the same scores, and nobody's numbers are scored twice."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import joined_sets, on_ranks, tiny_federation

from pfedmma_dist.federation import evaluate
from pfedmma_dist.federation.classify import ROW, STREAMS, Group
from pfedmma_dist.federation.evaluate import Scores, Sitting, score
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.pfedmoap import PFedMoAP
from pfedmma_dist.stopped import Stopped
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


@pytest.mark.parametrize("part", ["all", "unseen", "in threes", "two sets"])
def test_scores_of_many_starts_equal_those_of_one_and_no_image_is_scored_twice(
    monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    changes = {"unseen": {"unseen": 0.34}, "in threes": {**SOME, "cohort_size": 3}}
    changes["two sets"] = {**SOME, "task": joined_sets()}
    federation = tiny_federation(PFedMMA, **changes.get(part, {}))
    federation.round(0)
    whole = federation.evaluate(full=True)
    monkeypatch.setattr(evaluate, "PIECE_SECONDS", 0.0)
    tables: dict[str, torch.Tensor] = {}
    starts, images = 0, 0
    while starts < 60:
        # a batch of a group, which has three and more; what is done meets once in each start
        sitting = after_pieces(1 if part != "unseen" else 5)
        sitting.so_far = tables
        found, starts = federation.evaluate(True, sitting), starts + 1
        images += found.num_images
        if found.is_whole:
            break
        assert found.stop
        assert found.percent == {}
    assert starts >= 3
    same(found.percent, whole.percent)
    # a start that is cut short says nothing of the images of unseen clients
    assert images <= whole.num_images and (part == "unseen" or images == whole.num_images)


@pytest.mark.parametrize("meetings", [2, 5])
def test_ranks_stop_together_and_go_on_alone(
    monkeypatch: pytest.MonkeyPatch, meetings: int
) -> None:
    federation = tiny_federation(PFedMMA, **SOME)  # so that some are scored together
    federation.round(0)
    whole = federation.evaluate(full=True)
    monkeypatch.setattr(evaluate, "PIECE_SECONDS", 0.0)

    def work(world: World) -> tuple[Scores, dict[str, torch.Tensor]]:
        own = tiny_federation(PFedMMA, world, **SOME)
        own.round(0)
        sitting = after_pieces(meetings) if world.rank else Sitting()
        return own.evaluate(True, sitting), sitting.so_far

    (first, tables), (second, others) = on_ranks(2, work)
    assert first.stop and second.stop and not first.is_whole and not second.is_whole
    assert all(torch.equal(table, others[name]) for name, table in tables.items())
    again = Sitting(so_far=tables)
    assert any((table[:, :2] > 0).any() for table in tables.values())
    same(federation.evaluate(True, again).percent, whole.percent)
    back = on_ranks(2, lambda world: resumed(world, tables))  # and two go on where one stopped
    same(back[0].percent, whole.percent)


def resumed(world: World, tables: Mapping[str, torch.Tensor]) -> Scores:
    """Go on with scores on some ranks."""
    own = tiny_federation(PFedMMA, world, **SOME)
    own.round(0)
    return own.evaluate(True, Sitting(so_far=dict(tables)))


def test_cohort_whose_clients_have_come_to_different_places_goes_on_one_by_one() -> None:
    federation = tiny_federation(PFedMMA, cohort_size=3)
    federation.round(0)
    classifier = Examiner(federation).classifier(federation.method, list(federation.task.scopes))
    group, so_far = Group(np.array([0, 1, 3])), classifier.fresh(6)
    assert len(classifier.parts(group, so_far)) == 1
    so_far[1, ROW] = classifier.wanted(0, group)[1][3]
    assert [part.clients.tolist() for part in classifier.parts(group, so_far)] == [[0], [1], [3]]
    alike = classifier.parts(replace(group, alike=True), so_far)
    assert [part.clients.tolist() for part in alike] == [[0, 3], [1]]
    assert classifier.num_images(alike[1], so_far) == classifier.num_images(group) // 3 - 3
    so_far[:, STREAMS] = 2
    assert classifier.parts(group, so_far) == []


@pytest.mark.parametrize("phase", ["round", "scores"])
def test_local_epochs_can_be_left_at_each_step(phase: str) -> None:
    federation = tiny_federation(PFedMMA, evaluate={"finetune_epochs": 2}, local_epochs=2)
    steps = iter(range(1))  # fewer than any client has

    def hurry() -> None:
        if next(steps, None) is None:
            raise Stopped("stopped by a signal")

    federation.on_step = hurry
    with pytest.raises(Stopped):
        federation.round(0) if phase == "round" else federation.evaluate(full=False)
    assert len(federation.clients) == 0
