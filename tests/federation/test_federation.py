"""Rounds: what is averaged, what stays, what is counted, and that nothing else is remembered."""

import functools
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import SIZES, on_ranks, tiny_federation
from torch import Tensor
from ways import one_of_each_way

from pfedmma_dist.federation.evaluate import Scores
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.tally import RoundStats
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.promptfl import PromptFL
from pfedmma_dist.world import World

EVERYBODY = np.arange(len(SIZES))
NUM_SHARED = 3 * 32 * 32
HALF = {"fraction": 0.5}
TOGETHER = {"cohort_size": len(SIZES), "num_shards": 1}
TRAINED = [method for method in METHODS.values() if tiny_federation(method).layout.num_trained]
SHARING = [
    method
    for method in TRAINED
    if tiny_federation(method).layout.num_shared
    and not method.counts
    and tiny_federation(method).method.goes_on  # else something else than what was held is sent
]
WAYS = [METHODS[name] for name in one_of_each_way([method.name for method in TRAINED])]


def private_rows(federation: Federation) -> Tensor:
    return federation.clients.gather(EVERYBODY)


def same_state(a: Federation, b: Federation) -> bool:
    return torch.equal(private_rows(a), private_rows(b)) and same_server(a, b)


def same_server(a: Federation, b: Federation) -> bool:
    ours, theirs = a.exchange.state(), b.exchange.state()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def assert_same_scores(a: Scores, b: Scores) -> None:
    assert a.percent.keys() == b.percent.keys()
    for name, percent in a.percent.items():
        np.testing.assert_array_equal(percent, b.percent[name])


def test_round_has_one_collective_of_the_shared_numbers_and_three() -> None:
    federation = tiny_federation(PFedMMA)
    stats = federation.round(0)
    assert federation.world.collectives == 1
    assert stats.rank_bytes == federation.world.bytes_reduced == (NUM_SHARED + 3) * 8


def test_mean_that_runs_away_is_blamed_on_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    federation = tiny_federation(PFedMMA)
    monkeypatch.setattr(federation.corrections, "settle", lambda _, after, *__: after / 0)
    with pytest.raises(ValueError, match=r"^optim\.lr: .* not finite .*; lower optim\.lr$"):
        federation.round(0)


def test_round_counts_participants_and_images() -> None:
    stats = tiny_federation(PFedMMA).round(0)
    assert stats.num_participants == 6
    assert stats.num_samples == 8 + 4 + 2 + 4 + 1 + 4  # sizes 9 4 2 7 1 5 in full batches of 4
    kept = tiny_federation(PFedMMA, drop_last=False, local_epochs=2).round(0)
    assert kept.num_samples == 2 * sum(SIZES)


@pytest.mark.parametrize("method", [PFedMMA, PromptFL])
def test_shared_part_becomes_the_mean_by_sample_count(method: type) -> None:
    federation = tiny_federation(method, **HALF)
    chosen = federation.participants(0)
    uploads = {}
    upload = federation.exchange.upload

    def listen(clients: np.ndarray, shared: Tensor, weight: Tensor) -> None:
        uploads.update(zip(clients.tolist(), shared.double().numpy(), strict=True))
        upload(clients, shared, weight)

    federation.exchange.upload = listen
    federation.round(0)
    assert sorted(uploads) == chosen.tolist()
    total = sum(SIZES[client] for client in chosen)
    mean = sum(SIZES[client] / total * uploads[client] for client in chosen)
    np.testing.assert_allclose(federation.exchange.shared.numpy(), mean, rtol=1e-7, atol=1e-14)


@pytest.mark.parametrize("method", [method for method in SHARING if method in WAYS])
def test_proximal_term_holds_the_shared_part_of_any_method_near_the_download(method: type) -> None:
    moved, losses = [], []
    for mu in (0.0, 50.0):
        federation = tiny_federation(method, proximal=mu, local_epochs=4, **TOGETHER)
        start = federation.exchange.shared
        losses.append(federation.round(0).loss)
        moved.append((federation.exchange.shared - start).norm())
    assert 0 < moved[1] < 0.95 * moved[0]
    assert losses[1] > losses[0]


def test_loss_is_the_mean_by_sample_count() -> None:
    alone = [tiny_federation(PFedMMA, fraction=0.01, num_shards=1) for _ in EVERYBODY]
    losses = []
    for client, federation in enumerate(alone):
        federation.participants = lambda index, client=client: np.array([client])
        losses.append(federation.round(0).loss)
    expected = np.average(losses, weights=SIZES)
    assert tiny_federation(PFedMMA).round(0).loss == pytest.approx(expected, rel=1e-5)


def test_client_that_sits_out_keeps_its_own_and_gets_the_new_shared_part() -> None:
    federation = tiny_federation(PFedMMA, **HALF, first_round_all=True)
    federation.round(0)
    before, shared = private_rows(federation), federation.exchange.shared
    federation.round(1)
    chosen = federation.participants(1)
    idle = np.setdiff1d(EVERYBODY, chosen)
    assert len(chosen) == len(idle) == 3
    after = private_rows(federation)
    assert torch.equal(after[idle], before[idle])
    assert (after[chosen] != before[chosen]).any(dim=1).all()
    assert not torch.equal(federation.exchange.shared, shared)
    theta, _ = federation.start(idle, training=False)
    assert torch.equal(theta[:, -NUM_SHARED:], federation.exchange.shared.expand(3, -1))


def test_client_never_drawn_holds_the_template_and_takes_no_room() -> None:
    federation = tiny_federation(PFedMMA, **HALF)
    federation.round(0)
    assert len(federation.clients) == 3
    idle = np.setdiff1d(EVERYBODY, federation.participants(0))
    template = federation.layout.template(federation.cfg.seed)[: federation.layout.num_private]
    assert torch.equal(federation.clients.gather(idle), template.expand(3, -1))


def test_everybody_starts_from_the_template() -> None:
    federation = tiny_federation(PFedMMA)
    theta, extra = federation.start(EVERYBODY, training=True)
    assert torch.equal(theta, federation.layout.template(federation.cfg.seed).expand(6, -1))
    assert extra is None


def test_first_round_takes_all_where_asked() -> None:
    federation = tiny_federation(PFedMMA, **HALF, first_round_all=True)
    assert federation.round(0).num_participants == 6
    assert federation.round(1).num_participants == 3


@pytest.mark.parametrize("method", TRAINED)
def test_resumed_rounds_have_the_bits_of_uninterrupted_ones(method: type) -> None:
    through, second = (tiny_federation(method, **HALF) for _ in range(2))
    for index in range(2):
        through.round(index)
    second.load(*deepcopy(through.state()), 2)
    assert through.round(2).loss == second.round(2).loss
    assert same_state(second, through)
    again, scores = (federation.evaluate(full=True) for federation in (second, through))
    assert_same_scores(again, scores)


def test_scoring_leaves_no_trace() -> None:
    through, other = tiny_federation(PFedMMA), tiny_federation(PFedMMA)
    for index in range(2):
        through.round(index)
        other.evaluate(full=True)
        other.round(index)
    assert same_state(through, other)


@pytest.mark.parametrize("method", WAYS)
def test_size_of_cohorts_changes_rounding_alone(method: type) -> None:
    one, six = (tiny_federation(method, cohort_size=size, num_shards=1) for size in (1, 6))
    for federation in (one, six):
        federation.round(0)
        federation.round(1)
    torch.testing.assert_close(private_rows(one), private_rows(six), rtol=0, atol=1e-5)
    torch.testing.assert_close(one.exchange.shared, six.exchange.shared, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("method", "size"), [*((method, 3) for method in TRAINED), (PFedMMA, 2)])
def test_ranks_together_have_the_bits_of_one(method: type, size: int) -> None:
    alone, expected, scores = on_one_rank(method)
    ranks = on_ranks(size, lambda world: two_rounds(method, world))
    for federation, stats, found in ranks:
        assert same_server(federation, alone)
        hosted = np.concatenate([federation.shards[shard] for shard in federation.hosted])
        assert torch.equal(federation.clients.gather(hosted), alone.clients.gather(hosted))
        for name in ("loss", "num_samples", "rank_bytes"):
            assert [getattr(s, name) for s in stats] == [getattr(s, name) for s in expected]
        assert_same_scores(found, scores)
    hosted = [r.shards[s] for r, _, _ in ranks for s in r.hosted]
    assert sorted(np.concatenate(hosted)) == list(EVERYBODY)


def two_rounds(method: type, world: World) -> tuple[Federation, list[RoundStats], Scores]:
    federation = tiny_federation(method, world, **HALF)
    return federation, [federation.round(i) for i in range(2)], federation.evaluate(full=True)


@functools.cache
def on_one_rank(method: type) -> tuple[Federation, list[RoundStats], Scores]:
    """Return what ranks are compared with, whatever their number."""
    return two_rounds(method, World.alone())


def test_shards_do_not_depend_on_the_rank() -> None:
    shards = [
        tiny_federation(PFedMMA, World(rank, 3, torch.device("cpu"))).shards for rank in range(3)
    ]
    for other in shards[1:]:
        assert [own.tolist() for own in other] == [own.tolist() for own in shards[0]]


def test_shards_and_cohorts_go_by_steps() -> None:
    federation = tiny_federation(PFedMMA, batch_size=2, local_epochs=3)
    assert federation.steps.tolist() == [12, 6, 3, 9, 3, 6]  # of sizes 9 4 2 7 1 5
    cohorts = [cohort.clients.tolist() for cohort in federation.cohorts(EVERYBODY)]
    assert cohorts == [[0, 4], [3, 2], [1, 5]]


def test_more_ranks_than_shards_are_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="federation.num_shards=4 or more, or start fewer ranks"):
        tiny_federation(PFedMMA, World(0, 4, torch.device("cpu")))


def test_local_participants_are_those_hosted_here() -> None:
    ranks = [
        tiny_federation(PFedMMA, World(rank, 2, torch.device("cpu")), **HALF) for rank in range(2)
    ]
    mine = [federation.local_participants(0).tolist() for federation in ranks]
    assert sorted(mine[0] + mine[1]) == ranks[0].participants(0).tolist()


def test_stop_is_asked_once_and_told_to_all() -> None:
    federation, asked = tiny_federation(PFedMMA), []
    assert federation.round(0, lambda: bool(asked.append(0)) or True).stop
    assert asked == [0]
    assert not federation.round(1).stop


def test_progress_is_told_of_every_cohort() -> None:
    federation, told = tiny_federation(PFedMMA), []
    federation.on_cohort = told.append
    federation.round(0)
    assert sum(told) == 6
    assert max(told) == 2


def test_training_that_blows_up_names_client_and_round() -> None:
    federation = tiny_federation(PFedMMA)
    federation.cfg.optim = replace(federation.cfg.optim, lr=1e30)
    with pytest.raises(ValueError, match=r"optim.lr: 1e\+30 .* client \d in round 5"):
        federation.round(5)


def test_groups_of_features_hold_every_image_that_is_asked_for() -> None:
    federation = tiny_federation(PFedMMA)
    federation.cfg.data = replace(federation.cfg.data, views=3)
    train, [test] = federation.feature_groups(federation.hosted)
    pairs = {pair for rows, views in train for pair in zip(rows.tolist(), views.tolist())}  # noqa: B905
    assert pairs == {(row, view) for row in federation.task.train.members for view in (1, 2, 3)}
    assert test[0].tolist() == list(range(48, 72))
    assert set(test[1].tolist()) == {0}


def test_features_are_of_clients_that_train_in_some_round() -> None:
    federation = tiny_federation(PFedMMA, fraction=0.4, rounds=2)
    due = federation.trained(2)
    assert 2 <= len(due) < 5
    train, [test] = federation.feature_groups(federation.hosted)
    wanted = federation.task.train.rows_of_all(due)
    assert sorted(row for rows, _ in train for row in rows) == sorted(wanted)
    assert test[0].tolist() == list(range(48, 72))
    federation.cfg.evaluate.finetune_epochs = 1  # which everybody trains before it is scored
    train, _ = federation.feature_groups(federation.hosted)
    assert sum(len(rows) for rows, _ in train) == len(federation.task.train.members)


def test_clients_that_never_train_read_their_images_before_they_are_scored() -> None:
    federation = tiny_federation(PFedMMA, fraction=0.4, rounds=1, unseen=0.2)
    assert set(federation.unseen) < set(federation.reading)
    assert len(federation.reading) < 6


def test_rank_without_clients_needs_no_features() -> None:
    federation = tiny_federation(PFedMMA, World(6, 7, torch.device("cpu")), num_shards=7)
    train, [test] = federation.feature_groups(federation.hosted)
    assert train == []
    assert len(test[0]) == 0
