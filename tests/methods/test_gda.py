"""Class means and GDA are counted: sums bit-equal for any division, and the formulas' rows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from agreement import SECOND, near
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import NUM_BASE, SIZES, on_ranks, same_state, tiny_clip, tiny_federation, tiny_task
from torch import Tensor

from pfedmma_dist.clip.load import dims
from pfedmma_dist.config.choices import ServerRule
from pfedmma_dist.config.learning import ServerConfig
from pfedmma_dist.data.partitioners.partition import Partition
from pfedmma_dist.federation import counting
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods.gda import AT_ONCE, GDA, STEPS, ClassMeans, GDAOptions, Prior
from pfedmma_dist.methods.own_prior import CountedPrior
from pfedmma_dist.params import Layout
from pfedmma_dist.world import World

BOTH = (ClassMeans, GDA)
HALF = {"fraction": 0.5}


def unit(rows: np.ndarray) -> Tensor:
    x = torch.from_numpy(rows)
    return (x / x.norm(dim=1, keepdim=True)).float()


def checked(made: Federation, num_images: int) -> None:
    counting.check(made.method, made.layout, made.corrections, num_images)


def rounded(x: Tensor) -> np.ndarray:
    return (x.double() * STEPS).round().numpy() / STEPS


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=28, max_size=28), st.integers(1, 3), st.integers(1, 4))
def test_sums_are_bit_equal_to_the_pooled_ones_for_any_division(
    owners: list[int], cohort_size: int, num_shards: int
) -> None:
    task, owner = tiny_task(), np.array(owners)
    rows = np.sort(task.train.members)
    present = np.unique(owner)
    dealt = [rows[owner == client] for client in present]
    divided = replace(task, train=Partition.of(dealt), client_classes=Partition.of(dealt))
    pooled = replace(task, train=Partition.of([rows]), client_classes=Partition.of([rows]))
    here, there = (
        tiny_federation(GDA, task=one, cohort_size=size, num_shards=shards)
        for one, size, shards in ((divided, cohort_size, num_shards), (pooled, 1, 1))
    )
    for federation in (here, there):
        federation.round(0)
    assert torch.equal(here.exchange.closed, there.exchange.closed)
    assert torch.equal(here.exchange.shared, there.exchange.shared)


@pytest.mark.parametrize("num_ranks", [2, 3])
def test_ranks_reach_no_bit(num_ranks: int) -> None:
    def work(world: World) -> object:
        federation = tiny_federation(GDA, world, **HALF)
        for index in range(3):
            federation.round(index)
        return federation

    (alone,) = on_ranks(1, work)
    for federation in on_ranks(num_ranks, work):
        same_state(federation, alone)


def test_products_of_the_largest_chunk_are_exact() -> None:
    rng = np.random.default_rng(0)
    method = GDA(GDAOptions(), replace(tiny_clip().dims, embed_dim=8), 2)
    for rows in (rng.standard_normal((AT_ONCE, 8)), np.ones((AT_ONCE, 1)) * np.eye(8)[:1]):
        images = unit(rows + 1e-9)
        x = (images.double() * STEPS).round().long()
        found = method.statistics(images, torch.zeros(AT_ONCE, dtype=torch.int64))
        row, column = np.triu_indices(8)
        expected = x.numpy().T @ x.numpy()  # int64
        np.testing.assert_array_equal(found[-len(row) :].numpy(), expected[row, column])


def test_sums_hold_as_many_images_as_they_say() -> None:
    most = GDA.most_images * (STEPS * 9 / 8) ** 2
    assert most < 2**63 and AT_ONCE * (STEPS * 9 / 8) ** 2 < 2**53
    made = tiny_federation(GDA)
    checked(made, GDA.most_images)
    with pytest.raises(ValueError, match=r"^method\.name: the sums of gda hold 4,194,304 "):
        checked(made, GDA.most_images + 1)


def test_classifier_is_that_of_the_formulas() -> None:
    rng = np.random.default_rng(1)
    images, labels = unit(rng.standard_normal((40, 6)) + 1), np.arange(40) % 3
    method = GDA(GDAOptions(), replace(tiny_clip().dims, embed_dim=6), 3)
    found = method.classifier(method.statistics(images, torch.from_numpy(labels)))
    x, often = rounded(images), np.bincount(labels)
    means = np.stack([x[labels == c].mean(axis=0) for c in range(3)])
    covariance = np.mean([np.outer(d, d) for d in x - means[labels]], axis=0)
    precision = 6 * np.linalg.inv(39 * covariance + np.trace(covariance) * np.eye(6))
    weight = means @ precision
    bias = np.log((often + 1) / 43) - (weight * means).sum(axis=1) / 2
    probes = unit(rng.standard_normal((5, 6))).double().numpy()
    expected = probes @ weight.T + bias
    ours = probes @ found[:18].view(3, 6).numpy().T + found[18:].numpy()
    common = (ours - expected).mean(axis=1, keepdims=True)  # moves all logits of an image alike
    near(GDA.name, SECOND, "logits", ours - common, expected, atol=1e-7)


def test_class_means_are_unit_vectors_of_the_means() -> None:
    images = unit(np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]))
    method = ClassMeans(ClassMeans.Options(), replace(tiny_clip().dims, embed_dim=3), 2)
    sums = method.statistics(images, torch.tensor([0, 0, 1]))
    assert sums[:2].tolist() == [2, 1]
    half = 0.5**0.5
    expected = torch.tensor([half, half, 0, 0, 0, 1], dtype=torch.float64)
    near(ClassMeans.name, SECOND, "classifier", method.classifier(sums), expected, atol=1e-7)


@pytest.mark.parametrize("kind", BOTH)
def test_class_that_nobody_has_sent_is_at_the_mean_of_all(kind: type) -> None:
    images = unit(np.random.default_rng(2).standard_normal((8, 5)))
    labels = torch.arange(8) % 2
    few, more = (kind(kind.Options(), replace(tiny_clip().dims, embed_dim=5), c) for c in (2, 3))
    logits = []
    for method in (few, more):
        found = method.classifier(method.statistics(images, labels))
        assert found.isfinite().all()
        logits.append(found[: method.num_classes * 5].view(-1, 5))
    torch.testing.assert_close(logits[1][:2], logits[0])
    centre = rounded(images).mean(axis=0) if kind is ClassMeans else np.zeros(5)
    centre = centre / max(np.linalg.norm(centre), 1e-30)
    np.testing.assert_allclose(logits[1][2].numpy(), centre, atol=1e-9)


def test_images_that_do_not_differ_have_no_covariance() -> None:
    method = GDA(GDAOptions(), replace(tiny_clip().dims, embed_dim=4), 4)
    sums = method.statistics(unit(np.eye(4)), torch.arange(4))
    with pytest.raises(ValueError, match=r"^method\.name: the 4 images .* do not differ within"):
        method.classifier(sums)


@pytest.mark.parametrize("kind", BOTH)
def test_client_sends_once_and_sums_add_up_over_rounds(kind: type) -> None:
    federation, at_once = tiny_federation(kind, **HALF), tiny_federation(kind)
    at_once.round(0)
    up, costs = federation.cost().up, []
    for index in range(6):
        federation.round(index)
        new = np.setdiff1d(federation.participants(index), federation.trained(index))
        costs.append(federation.cost(index).up)
        assert costs[-1] == up * len(new) // 3
        came = federation.trained(index + 1)
        sent = federation.exchange.closed[:NUM_BASE].sum()
        assert int(sent) == sum(SIZES[client] for client in came)
    assert len(came) == len(SIZES) and costs[0] == up and costs[-1] == 0
    assert torch.equal(federation.exchange.closed, at_once.exchange.closed)
    before = at_once.exchange.shared
    at_once.round(1)
    assert torch.equal(at_once.exchange.shared, before)


def test_resumed_client_sends_nothing_again() -> None:
    through, first, second = (tiny_federation(GDA, **HALF) for _ in range(3))
    for index in range(4):
        through.round(index)
    for index in range(2):
        first.round(index)
    second.load(*first.state(), 2)
    for index in (2, 3):
        second.round(index)
    same_state(second, through)


@pytest.mark.parametrize("kind", BOTH)
def test_novel_classes_have_zero_shot_alone_and_trained_ones_the_classifier(kind: type) -> None:
    federation = tiny_federation(kind, options=kind.Options(alpha=10.0))
    before = federation.evaluate(full=True).percent
    federation.round(0)
    after = federation.evaluate(full=True).percent
    np.testing.assert_array_equal(after["novel"], before["novel"])
    assert (after["base"] != before["base"]).any()


def test_own_prior_stays_with_the_client_and_takes_the_place_of_the_pooled_one() -> None:
    federation = tiny_federation(GDA, options=GDAOptions(prior=Prior.own))
    counted, pooled = tiny_federation(CountedPrior), tiny_federation(GDA)
    for each in (federation, counted, pooled):
        each.round(0)
    everybody = np.arange(len(SIZES))
    assert torch.equal(federation.clients.gather(everybody), counted.clients.gather(everybody))
    assert torch.equal(federation.exchange.closed, pooled.exchange.closed)
    often = pooled.exchange.closed[:NUM_BASE].double()
    prior = ((often + 1) / (often.sum() + NUM_BASE)).log().float()
    gap = pooled.exchange.shared - federation.exchange.shared
    torch.testing.assert_close(gap[-NUM_BASE:], prior, rtol=0, atol=1e-4)
    assert not gap[:-NUM_BASE].any()


def test_cost_at_vit_b_16_is_that_of_the_papers_sums() -> None:
    costs = []
    for kind in BOTH:
        method = kind(kind.Options(), dims("ViT-B-16"))
        layout = Layout(method.specs)
        cost = method.exchange(layout, layout.template(0), 0).cost()
        costs.append((cost.up, cost.down, cost.once))
    assert costs == [(25_650, 25_600, True), (156_978, 25_650, True)]


def test_what_counting_makes_no_use_of_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^server\.name: clients of gda send sums"):
        tiny_federation(GDA, server=ServerConfig(name=ServerRule.median))
    with pytest.raises(ValueError, match=r"^server\.name: "):
        tiny_federation(ClassMeans, server=ServerConfig(lr=0.5))
    with pytest.raises(ValueError, match=r"^method\.name: gda takes no step that federation\.prox"):
        checked(tiny_federation(GDA, proximal=0.5), 1)
    checked(tiny_federation(CountedPrior, proximal=0.5), 1)  # which shares nothing


def test_feature_that_is_no_unit_vector_is_refused() -> None:
    method = GDA(GDAOptions(), replace(tiny_clip().dims, embed_dim=4), 4)
    for value in (float("nan"), 2.0):
        with pytest.raises(ValueError, match="no unit vector"):
            method.statistics(torch.full((1, 4), value), torch.zeros(1, dtype=torch.int64))
