"""Clients of several data sets in one federation: each tells the classes of its own set apart."""

import numpy as np
import pytest
import torch
from tiny import joined_sets, on_ranks, same_state, tiny_federation, tiny_sets, tiny_task

from pfedmma_dist.build import zero_shot
from pfedmma_dist.config.choices import Softmax
from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.data.tasks.sample import thinned
from pfedmma_dist.data.tasks.several import joined_tasks
from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.foresight import workload
from pfedmma_dist.federation.grouping import sample_of
from pfedmma_dist.federation.inference import attack
from pfedmma_dist.federation.probes import swapped
from pfedmma_dist.methods.fedtpg import FedTPG
from pfedmma_dist.methods.linear_probe import LinearProbe
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.promptfl import PromptFL, PromptFLOptions
from pfedmma_dist.methods.share import Share
from pfedmma_dist.quantities.scores import summary
from pfedmma_dist.world import World

FIRST, SECOND = range(6), range(6, 9)
"""Clients of the two sets."""


def federation(method: type[Method] = PFedMMA, task: Task | None = None, **keys: object):
    return tiny_federation(method, task=task or joined_sets(), **{"rounds": 2, **keys})


def scores_of(made: Federation) -> dict[str, np.ndarray]:
    return made.evaluate(full=True).percent


@pytest.mark.parametrize("method", [PFedMMA, FedTPG, LinearProbe])
def test_federation_of_one_listed_set_has_the_bits_of_that_set(method: type[Method]) -> None:
    alone, listed = (
        federation(method, task, softmax=Softmax.own)
        for task in (tiny_task(), joined_tasks(["zoo"], [tiny_task()], ["a photo of a {}."]))
    )
    for index in range(2):
        assert alone.round(index).loss == listed.round(index).loss
    same_state(alone, listed)
    ours, theirs = scores_of(alone), scores_of(listed)
    assert list(ours) == list(theirs)
    for name, percent in ours.items():
        np.testing.assert_array_equal(theirs[name], percent)


def test_clients_of_two_sets_have_the_same_bits_on_two_ranks() -> None:
    def trained(world: World) -> Federation:
        made = federation(world=world)
        made.round(0)
        return made

    alone = trained(World.alone())
    cohorts = [cohort.clients for cohort in alone.cohorts(np.arange(9))]
    assert max(map(len, cohorts)) > 1
    assert all({*own} <= {*FIRST} or {*own} <= {*SECOND} for own in map(np.ndarray.tolist, cohorts))

    def found(world: World) -> tuple[Federation, dict[str, np.ndarray]]:
        made = trained(world)
        return made, scores_of(made)

    wanted = scores_of(alone)
    for made, percent in on_ranks(2, found):
        same_state(made, alone)
        for name, values in percent.items():
            np.testing.assert_array_equal(values, wanted[name])


def test_run_that_goes_on_has_the_bits_of_one_that_was_not_stopped() -> None:
    whole, first, second = (federation(FedTPG) for _ in range(3))
    whole.round(0), whole.round(1)
    first.round(0)
    second.load(*first.state(), 1)
    second.round(1)
    same_state(second, whole)


def test_client_that_shares_nothing_trains_as_in_its_set_alone() -> None:
    keys = {"options": PromptFLOptions(share=Share.none), "batch_size": 16}  # in any order
    keys["optim"] = OptimConfig(lr=0.1)
    joint = federation(PromptFL, **keys)
    loss = joint.round(0).loss
    rows, found, mean = joint.clients.gather(np.arange(9)), scores_of(joint), 0.0
    for own, task in zip((FIRST, SECOND), tiny_sets(), strict=True):
        alone = federation(PromptFL, task, **keys)
        mean += alone.round(0).loss * int(alone.sizes.sum()) / int(joint.sizes.sum())
        torch.testing.assert_close(rows[[*own]], alone.clients.gather(np.arange(len(own))))
        for name, percent in scores_of(alone).items():
            np.testing.assert_array_equal(found[name][[*own]], percent)
    assert loss == pytest.approx(mean, abs=1e-6)


def test_zero_shot_of_each_set_is_that_of_the_set_alone() -> None:
    joint = federation(unseen=0.34)
    found = zero_shot(joint).percent
    for own, task in zip((FIRST, SECOND), tiny_sets(), strict=True):
        alone = zero_shot(federation(task=task)).percent
        seen = np.isin([*own], joint.seen)
        for name, percent in alone.items():
            np.testing.assert_array_equal(found[name][[*own]][seen], percent[seen])
        np.testing.assert_array_equal(found["unseen"][[*own]][~seen], alone["local"][~seen])


def test_scores_are_summed_up_over_all_and_over_the_clients_of_each_set() -> None:
    made = federation()
    percent = scores_of(made)
    found = summary(percent, made.task.domains)
    for name, own in (("zoo", FIRST), ("farm", SECOND)):
        means = [percent[scope][[*own]].mean() for scope in ("local", "base", "novel")]
        assert found[f"domain_{name}_mean"] == means[0]
        assert found[f"base_in_{name}_mean"] == means[1]
        assert found[f"novel_in_{name}_mean"] == means[2]
        assert found[f"hm_in_{name}"] == 3 / sum(1 / mean for mean in means)
    assert found["base_mean"] == percent["base"].mean()


def test_numbers_of_a_client_may_be_tried_on_images_of_another_set() -> None:
    made = federation()
    made.round(0)
    table, own = swapped(made), scores_of(made)["local"]
    np.testing.assert_array_equal(np.diag(table), own)
    assert np.isfinite(table).all()


def test_images_are_sampled_set_by_set() -> None:
    made = federation(
        task=joined_tasks(["zoo", "farm"], [thinned(t, "9", 1) for t in tiny_sets()], ["{}"] * 2)
    )
    sample = sample_of(made)
    assert sample.images == {"base": (18, 30), "novel": (17, 18)}
    assert sample.of_client["novel"].tolist() == [8] * 6 + [9] * 3


def test_work_of_scoring_is_foreseen_as_it_is_done() -> None:
    made = federation(evaluate={"batch_size": 8})
    scopes = list(made.task.scopes)
    before = workload(made, 0, scopes)
    assert (before.own, before.shared) == (0, 2)  # nobody has trained: a group of each set
    assert before.shared_images == made.evaluate(full=True).num_images
    made.round(0)
    after = workload(made, 1, scopes)
    assert after.passes == made.evaluate(full=True).num_images


def test_membership_is_guessed_among_the_classes_of_each_set() -> None:
    made = federation(PromptFL, optim=OptimConfig(lr=0.5))
    made.round(0)
    areas = []
    for task in tiny_sets():
        alone = federation(PromptFL, task)
        alone.exchange.shared = made.exchange.shared
        areas += [attack(alone, 1).images.area] * task.num_clients
    assert attack(made, 1).images.area == pytest.approx(np.mean(areas))
    assert areas[0] != areas[-1]
