"""Scores equal a slow loop over clients, test sets and images."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import NUM_IMAGES, NUM_TRAIN, tiny_federation, tiny_task
from torch import Tensor
from toy import Stretch, Table

from pfedmma_dist.clip.model import ImageFeatures
from pfedmma_dist.data.partitioners.partition import Partition
from pfedmma_dist.data.tasks.task import Scope, Task
from pfedmma_dist.federation.classify import Classifier, Group, rows_of
from pfedmma_dist.federation.evaluate import Scores, Sitting, score
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.promptfl import PromptFL
from pfedmma_dist.params import Layout
from pfedmma_dist.world import World

WIDTH, NUM_CLIENTS = 3, 6
RNG = np.random.default_rng(0)
NUMBERS = torch.from_numpy(RNG.standard_normal((NUM_IMAGES, WIDTH)))
TEXTS = {
    name: SimpleNamespace(plain=torch.from_numpy(RNG.standard_normal((count, WIDTH))), clip=None)
    for name, count in (("base", 4), ("novel", 2))
}
THETA = torch.from_numpy(RNG.standard_normal((NUM_CLIENTS, WIDTH)))
COHORTS = [np.array([4, 1]), np.array([0]), np.array([5, 2, 3])]


class ScoredImages(Table):
    """Features of test images alone, as a feature cache holds them."""

    def rows(self, kind: ImageFeatures, views: tuple[np.ndarray, np.ndarray]) -> Tensor:
        assert (views[0] >= NUM_TRAIN).all()
        assert (views[1] == 0).all()
        return super().rows(kind, views)


def score_stretched(
    task: Task,
    scopes: list[Scope],
    *,
    theta: Tensor = THETA,
    uniform: bool = False,
    cohorts: list[np.ndarray] = COHORTS,
    batch_size: int = 7,
    sitting: Sitting | None = None,
) -> Scores:
    method = Stretch(WIDTH, shared=uniform)
    features, layout = ScoredImages(NUMBERS), Layout(method.specs)
    groups = [Group(clients) for clients in cohorts]
    if uniform and cohorts:
        groups = [Group(np.concatenate(cohorts), alike=True)]
    classifier = Classifier(method, layout, task, scopes, TEXTS, features, batch_size)
    return score(classifier, lambda clients: (theta[clients], None), groups, World.alone(), sitting)


def accuracy(task: Task, scope: Scope, client: int, theta: Tensor = THETA) -> float:
    """Return percent by a loop over images; nan where there are none."""
    classes = TEXTS[scope.class_set].plain * theta[client]
    hits = []
    label_of = task.class_sets[scope.class_set].label_of
    own = [label_of[label] for label in task.client_classes.rows(client)]
    for row in scope.rows_of(client):
        sums = {
            column: float(sum(NUMBERS[row, d] * vector[d] for d in range(WIDTH)))
            for column, vector in enumerate(classes)
            if column in own or not scope.own_classes
        }
        hits.append(max(sums, key=sums.get) == label_of[task.images.labels[row]])
    return 100 * sum(hits) / len(hits) if hits else float("nan")


def check(scores: Scores, task: Task, scopes: list[Scope], theta: Tensor = THETA) -> None:
    assert list(scores.percent) == [scope.name for scope in scopes]
    for scope in scopes:
        expected = [accuracy(task, scope, client, theta) for client in range(NUM_CLIENTS)]
        np.testing.assert_allclose(scores.percent[scope.name], expected, rtol=1e-12)


@pytest.mark.parametrize("batch_size", [1, 7, 100])
def test_scores_equal_a_slow_loop(batch_size: int) -> None:
    task = tiny_task()
    scopes = list(task.scopes)
    scores = score_stretched(task, scopes, batch_size=batch_size)
    check(scores, task, scopes)
    assert len({tuple(percent) for percent in scores.percent.values()}) == 4
    assert (scores.percent["own"] >= scores.percent["local"]).all()


def test_own_images_alone_are_classified_where_nothing_else_is_due() -> None:
    task = tiny_task()
    local, own = (scope for scope in task.scopes if not scope.full)
    scores = score_stretched(task, [local, own])
    check(scores, task, [local, own])
    assert scores.num_images == sum(len(local.rows_of(c)) for c in range(NUM_CLIENTS))


def test_image_of_two_test_sets_is_classified_once() -> None:
    task = tiny_task()
    assert score_stretched(task, list(task.scopes)).num_images == NUM_CLIENTS * 24


def test_numbers_common_to_all_are_scored_once_with_the_same_result() -> None:
    task, same = tiny_task(), THETA[:1].expand(NUM_CLIENTS, -1)
    scopes = list(task.scopes)
    once = score_stretched(task, scopes, theta=same, uniform=True)
    each = score_stretched(task, scopes, theta=same, uniform=False)
    check(once, task, scopes, same)
    for name, percent in each.percent.items():
        np.testing.assert_array_equal(once.percent[name], percent)
    assert (once.num_images, each.num_images) == (24, NUM_CLIENTS * 24)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("uniform", [False, True])
@pytest.mark.parametrize("empty", [[1], [1, 4], list(range(NUM_CLIENTS))], ids=str)
def test_client_without_an_image_has_no_score(empty: list[int], uniform: bool, place: int) -> None:
    task = tiny_task()
    whole = task.scopes[place]
    kept = [whole.rows_of(c) if c not in empty else np.zeros(0, int) for c in range(NUM_CLIENTS)]
    scopes = [replace(whole, rows=Partition.of(kept))]
    theta = THETA[:1].expand(NUM_CLIENTS, -1)
    scores = score_stretched(task, scopes, theta=theta, uniform=uniform)
    check(scores, task, scopes, theta)
    assert np.flatnonzero(np.isnan(scores.percent[whole.name])).tolist() == empty


@pytest.mark.parametrize("uniform", [False, True])
def test_rank_without_clients_scores_nobody(uniform: bool) -> None:
    scores = score_stretched(tiny_task(), list(tiny_task().scopes), cohorts=[], uniform=uniform)
    assert scores.num_images == 0
    assert all(np.isnan(percent).all() for percent in scores.percent.values())


def test_scores_cost_one_collective() -> None:
    federation = tiny_federation(PFedMMA)
    federation.evaluate(full=True)
    assert federation.world.collectives == 1


def test_full_scores_hold_all_test_sets_and_others_the_own_images() -> None:
    federation = tiny_federation(PFedMMA)
    assert list(federation.evaluate(full=False).percent) == ["local", "own"]
    assert list(federation.evaluate(full=True).percent) == ["local", "own", "base", "novel"]


def test_federated_prompts_are_scored_once_and_personal_ones_for_each() -> None:
    shared, own = (
        tiny_federation(PromptFL, options=PromptFL.Options(share=share))
        for share in type(PromptFL.Options().share)
    )
    own.round(0)
    assert shared.evaluate(full=True).num_images == 24
    assert own.evaluate(full=True).num_images == NUM_CLIENTS * 24


def test_scores_are_of_each_clients_own_numbers() -> None:
    federation = tiny_federation(PFedMMA)
    before = federation.evaluate(full=True).percent["base"]
    far = 1000 * federation.clients.gather(np.array([2]))
    federation.clients.scatter(np.array([2]), far)
    after = federation.evaluate(full=True).percent["base"]
    assert np.flatnonzero(after != before).tolist() == [2]


def test_stop_is_told() -> None:
    federation = tiny_federation(PFedMMA)
    assert federation.evaluate(False, Sitting(stop=lambda: True)).stop
    assert not federation.evaluate(False).stop


def test_rows_to_score_are_sorted_and_unique() -> None:
    scopes = [
        Scope("a", "base", np.array([3, 5]), True),
        Scope("b", "base", np.array([1, 5]), True),
    ]
    assert rows_of(scopes, np.array([0, 1])).tolist() == [1, 3, 5]
    assert rows_of(scopes, np.zeros(0, int)).tolist() == []
