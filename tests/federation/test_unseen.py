"""Clients that never train are scored as they would join, and leave no trace."""

import numpy as np
import pytest
import torch
from tiny import SIZES, on_ranks, tiny_federation

from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.promptfl import PromptFL
from pfedmma_dist.methods.zero_shot import ZeroShot
from pfedmma_dist.quantities.scores import UNSEEN
from pfedmma_dist.world import World

EVERYBODY = np.arange(len(SIZES))


def trained(method: type = PFedMMA, world: World | None = None, **keys: object) -> Federation:
    federation = tiny_federation(method, world, **{"unseen": 0.34, **keys})
    for index in range(2 if federation.layout.num_trained else 0):
        federation.round(index)
    return federation


def test_unseen_clients_are_drawn_by_the_seed_and_never_train() -> None:
    federation = trained()
    assert len(federation.unseen) == 2
    assert sorted([*federation.seen, *federation.unseen]) == EVERYBODY.tolist()
    assert set(federation.participants(0)) == set(federation.seen)
    assert len(federation.clients) == 4
    assert trained().unseen.tolist() == federation.unseen.tolist()


def test_nobody_is_unseen_by_default() -> None:
    federation = tiny_federation(PFedMMA)
    assert len(federation.unseen) == 0
    assert list(federation.evaluate(full=True).percent) == ["local", "own", "base", "novel"]


def test_scores_of_seen_and_unseen_clients_stand_apart() -> None:
    federation = trained()
    percent = federation.evaluate(full=True).percent
    assert list(percent) == ["local", "own", *UNSEEN, "base", "novel"]
    for name, values in percent.items():
        scored = federation.unseen if name in UNSEEN else federation.seen
        assert np.flatnonzero(~np.isnan(values)).tolist() == scored.tolist(), name
    assert list(federation.evaluate(full=False).percent) == ["local", "own"]


def test_unseen_client_as_downloaded_has_the_template_and_the_mean() -> None:
    federation, other = trained(), tiny_federation(PFedMMA)
    other.exchange.load(federation.exchange.state(), np.empty(0, int))
    percent = federation.evaluate(full=True).percent["unseen"]
    fresh = other.evaluate(full=False).percent["local"]
    np.testing.assert_array_equal(percent[federation.unseen], fresh[federation.unseen])


@pytest.mark.parametrize("rest", [True, False])
def test_tuning_trains_what_it_says_and_keeps_nothing(rest: bool) -> None:
    federation = trained()
    before = federation.clients.gather(EVERYBODY), federation.exchange.shared.clone()
    theta, _ = federation.start(federation.unseen, training=False)
    tuned, _ = Examiner(federation)._tuned(1, rest=rest)(federation.unseen)
    width = federation.layout.num_private
    assert (tuned[:, :width] != theta[:, :width]).any(dim=1).all()
    assert torch.equal(tuned[:, width:], theta[:, width:]) == rest
    federation.evaluate(full=True)
    assert torch.equal(federation.clients.gather(EVERYBODY), before[0])
    assert torch.equal(federation.exchange.shared, before[1])
    assert len(federation.clients) == 4


def test_more_epochs_are_more_steps() -> None:
    federation = trained()
    once, _ = Examiner(federation)._tuned(1, rest=False)(federation.unseen)
    thrice, _ = Examiner(federation)._tuned(3, rest=False)(federation.unseen)
    start, _ = federation.start(federation.unseen, training=False)
    assert ((thrice - start).norm(dim=1) > (once - start).norm(dim=1)).all()


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_method_scores_the_unseen(method: type) -> None:
    federation = trained(method)
    percent = federation.evaluate(full=True).percent
    for name in UNSEEN:
        assert np.isfinite(percent[name][federation.unseen]).all()
    if method is PromptFL:  # nothing is private
        np.testing.assert_array_equal(percent["unseen_private"], percent["unseen"])
    if method is ZeroShot:
        np.testing.assert_array_equal(percent["unseen_all"], percent["unseen"])


def test_reference_has_the_same_scopes() -> None:
    federation = trained()
    reference = Examiner(federation).reference(ZeroShot(ZeroShot.Options(), federation.clip.dims))
    assert list(reference.percent) == Examiner(federation).scope_names
    for name in UNSEEN:
        assert np.isfinite(reference.percent[name][federation.unseen]).all()


def test_same_bits_on_any_number_of_ranks() -> None:
    def work(world: World) -> tuple[Federation, dict]:
        federation = trained(PFedMMA, world)
        return federation, federation.evaluate(full=True).percent

    alone, expected = work(World.alone())
    for federation, percent in on_ranks(3, work):
        assert torch.equal(federation.exchange.shared, alone.exchange.shared)
        for name, values in expected.items():
            np.testing.assert_array_equal(percent[name], values)


@pytest.mark.parametrize("unseen", [0.1, 0.999999])
def test_share_that_leaves_one_side_empty_is_refused(unseen: float) -> None:
    if unseen > 0.5:
        assert len(tiny_federation(PFedMMA, unseen=unseen).seen) == 1
        return
    with pytest.raises(ValueError, match=r"^federation\.unseen: 0\.1 of 6 clients is 0; .* set 0"):
        tiny_federation(PFedMMA, unseen=unseen)
