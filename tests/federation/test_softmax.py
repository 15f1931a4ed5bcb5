"""The softmax of the training loss may have a client's own classes alone; scores do not ask."""

import numpy as np
import pytest
import torch
from tiny import tiny_federation, tiny_task

from pfedmma_dist.config.choices import Order, Softmax
from pfedmma_dist.config.learning import ControlConfig, OptimConfig
from pfedmma_dist.data.tasks.control import controlled
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.trainer import LocalTrainer
from pfedmma_dist.methods.own_prior import OwnPrior
from pfedmma_dist.methods.promptfl import PromptFL

STILL = OptimConfig(weight_decay=0.0, lr=0.5)


def federation(softmax: Softmax, method: type = OwnPrior, **keys: object) -> Federation:
    return tiny_federation(method, **{"optim": STILL, "softmax": softmax, **keys})


def test_bias_of_a_class_that_a_client_has_not_keeps_its_bits() -> None:
    bent = {softmax: federation(softmax) for softmax in Softmax}
    for one in bent.values():
        one.round(0)
    everybody = np.arange(6)
    has = torch.from_numpy(tiny_task().own_columns("base", everybody))
    assert not has.all() and (has.sum(dim=1) > 1).any()
    alone = bent[Softmax.own].clients.gather(everybody)
    assert (alone[~has] == 0).all()
    assert (alone[has & (has.sum(dim=1) > 1)[:, None]] != 0).all()
    assert (bent[Softmax.all].clients.gather(everybody)[~has] != 0).all()


def test_client_of_one_class_has_nothing_to_learn() -> None:
    [single] = np.flatnonzero(tiny_task().client_classes.sizes() == 1)
    one = federation(Softmax.own, PromptFL, cohort_size=1, num_shards=6)
    [cohort] = one.cohorts(np.array([single]))
    _, result = one._train(cohort, 0)
    assert result.loss.tolist() == [0.0]
    assert torch.equal(result.theta[0], one.exchange.shared)


def test_labels_of_others_take_part_where_a_control_deals_them() -> None:
    task = controlled(tiny_task(), ControlConfig(labels=Order.permuted), 1)
    own = [task.own_columns("base", np.array([client]))[0] for client in range(6)]
    labels = [task.labels("base", task.train.rows(client)) for client in range(6)]
    assert any(not mine[named].all() for mine, named in zip(own, labels, strict=True))
    assert np.isfinite(federation(Softmax.own, task=task).round(0).loss)


def test_scores_of_the_same_numbers_do_not_ask_for_it() -> None:
    trained = federation(Softmax.own)
    trained.round(0)
    other = federation(Softmax.all)
    other.load(*trained.state(), 1)
    ours, theirs = (one.evaluate(full=True).percent for one in (trained, other))
    for name, percent in ours.items():
        np.testing.assert_array_equal(percent, theirs[name])


def test_unseen_clients_are_tuned_on_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned, train = [], LocalTrainer.train
    monkeypatch.setattr(
        LocalTrainer, "train", lambda *args: tuned.append(train(*args)) or tuned[-1]
    )
    one = federation(Softmax.own, unseen=0.34, cohort_size=1)
    one.evaluate(full=True)
    has = [int((result.theta != 0).sum()) for result in tuned]
    owned = one.task.client_classes.sizes()[one.unseen]
    assert sorted(has) == sorted([n if n > 1 else 0 for n in owned] * 2)  # private, then all
