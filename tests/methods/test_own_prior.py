"""The own-class prior knows which classes a client has, and nothing of its images."""

import numpy as np
import pytest
import torch
from agreement import SECOND, near
from setting import NUM_BASE, Setting
from tiny import SIZES, tiny_federation

from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.own_prior import CountedPrior, OwnPrior

ROWS = np.arange(6)[None]


@pytest.mark.parametrize("name", ["own_prior", "own_prior_counted"])
def test_logits_are_zero_shots_and_the_bias(name: str) -> None:
    setting, plain = Setting(name, {}), Setting("zero_shot", {})
    theta = torch.arange(float(NUM_BASE), dtype=setting.theta.dtype)[None]
    clients = np.zeros(1, int)
    ours = setting.logits(theta, ROWS, clients)
    slow = plain.logits(theta[:, :0], ROWS, clients) + theta[:, None]
    near(name, SECOND, "logits", ours, slow, atol=1e-7, rtol=1e-7)


def test_classes_that_nobody_trains_on_have_no_prior() -> None:
    federation = tiny_federation(OwnPrior, optim=OptimConfig(lr=1.0))
    before = federation.evaluate(full=True).percent
    for index in range(3):
        federation.round(index)
    after = federation.evaluate(full=True).percent
    np.testing.assert_array_equal(after["novel"], before["novel"])
    assert (after["local"] != before["local"]).any()


def test_counted_prior_is_that_of_all_labels_of_a_client() -> None:
    federation = tiny_federation(CountedPrior)
    assert federation.round(0).loss > 0
    task, found = federation.task, federation.clients.gather(np.arange(len(SIZES)))
    for client, bias in enumerate(found.tolist()):
        labels = task.labels("base", task.train.rows(client)).tolist()
        expected = [
            np.log((labels.count(c) + 1) / (len(labels) + NUM_BASE)) for c in range(NUM_BASE)
        ]
        assert bias == pytest.approx(expected, rel=1e-6)
    federation.round(1)
    assert torch.equal(federation.clients.gather(np.arange(len(SIZES))), found)


def test_nothing_is_sent() -> None:
    for kind in (OwnPrior, CountedPrior):
        cost = tiny_federation(kind).cost()
        assert (cost.up, cost.down) == (0, 0)


def test_every_method_that_counts_classes_can_be_counted_without_data() -> None:
    setting = Setting("zero_shot", {})
    for kind in METHODS.values():
        kind(kind.Options(), setting.clip.dims)
