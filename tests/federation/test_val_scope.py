"""Own validation images are scored whenever own test images are, and move no other score."""

import numpy as np
import pytest
from tiny import WITHOUT, tiny_federation, tiny_task, validated

from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods.method import Method
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.promptfl import PromptFL
from pfedmma_dist.quantities.scores import UNSEEN


def trained(method: type[Method], task: Task, **keys: object) -> Federation:
    federation = tiny_federation(method, task=task, **keys)
    federation.round(0)
    return federation


@pytest.mark.parametrize("method", [PFedMMA, PromptFL])
@pytest.mark.parametrize("full", [False, True])
def test_scores_beside_it_stay_as_they_are(method: type[Method], full: bool) -> None:
    usual = trained(method, tiny_task()).evaluate(full).percent
    percent = trained(method, validated()).evaluate(full).percent
    assert list(percent) == ["local", "own", "val", *(["base", "novel"] if full else [])]
    for name, values in usual.items():
        np.testing.assert_array_equal(percent[name], values)
    assert np.flatnonzero(np.isnan(percent["val"])).tolist() == [WITHOUT]


def test_unseen_clients_choose_no_round() -> None:
    federation = trained(PFedMMA, validated(), unseen=0.34)
    percent = federation.evaluate(full=True).percent
    assert list(percent) == ["local", "own", "val", *UNSEEN, "base", "novel"]
    assert np.isnan(percent["val"][federation.unseen]).all()
