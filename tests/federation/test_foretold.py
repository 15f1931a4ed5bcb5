"""What a run says of its last scoring beforehand is what that scoring then has to do."""

from dataclasses import replace

import numpy as np
import pytest
from tiny import NUM_BASE, tiny_federation, tiny_task

from pfedmma_dist import foretold as foretelling
from pfedmma_dist.data.partitioners.partition import Partition
from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.federation import foresight
from pfedmma_dist.federation.evaluate import Scores
from pfedmma_dist.federation.foresight import workload
from pfedmma_dist.foretold import Foretold
from pfedmma_dist.methods.fedpha import FedPHA
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.promptfl import PromptFL

SOME = {"fraction": 0.34, "first_round_all": False, "rounds": 2}  # two of six clients train


def thousand() -> Task:
    """Return the tiny task with 1,000 clients, each with an image or two of each kind."""
    task = tiny_task()
    base = task.scopes[2].rows
    known = task.train.members
    train = Partition.of([known[[k % len(known)]] for k in range(1000)])
    local = Partition.of([np.sort(base[[k % 5, 5 + k % 7]]) for k in range(1000)])
    scopes = tuple(one if one.common else replace(one, rows=local) for one in task.scopes)
    classes = Partition.of([np.arange(NUM_BASE)] * 1000)
    return replace(task, train=train, client_classes=classes, scopes=scopes)


@pytest.mark.parametrize(
    "method, evaluate",
    [(PFedMMA, {}), (PromptFL, {}), (FedPHA, {}), (PFedMMA, {"clients": "participants"}),
     (PFedMMA, {"clients": "30"})],
)  # fmt: skip
def test_images_foreseen_of_a_thousand_clients_are_those_that_are_classified(
    method: type, evaluate: dict[str, str]
) -> None:
    plan = {**SOME, "fraction": 0.005}
    federation = tiny_federation(method, evaluate=evaluate, task=thousand(), **plan)
    scopes = list(federation.task.scopes)
    for index in range(2):
        federation.round(index)
        for full in (False, True):
            own = [scope for scope in scopes if full or not scope.full]
            foreseen = workload(federation, index + 1, own)
            assert foreseen.passes == federation.evaluate(full).num_images
            assert foreseen.own <= 10


def test_long_last_scoring_is_told_with_the_key_that_shortens_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    federation = tiny_federation(PFedMMA, **SOME)
    assert Foretold(federation).found is None  # too few images to look
    assert Foretold(federation).words() == ""
    monkeypatch.setattr(foresight, "UNTIMED", 0)
    distinct = 1 + len(federation.trained(2))
    found = Foretold(federation)
    assert (found.found.work.rows, found.found.work.passes) == (distinct, 24 * distinct)
    assert found.words() == ""  # it takes no time
    monkeypatch.setattr(foretelling, "SPOKEN_SECONDS", 0.0)
    monkeypatch.setattr(foretelling, "FEWER_CLIENTS", 2)
    told = found.words()
    assert f"for {distinct} different rows of numbers and {24 * distinct} image passes" in told
    assert "the last scoring will take about" in told
    assert "evaluate.clients=2 makes it about" in told
    assert "base_novel_images" not in told


def test_first_scores_correct_what_was_foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresight, "UNTIMED", 0)
    federation = tiny_federation(PFedMMA, **SOME)
    federation.round(0)
    found = Foretold(federation)
    before = found.found.seconds
    wanted = found.found.speed.seconds(workload(federation, 1, federation.task.scopes[:2]), 1)
    slow = Scores({}, 0, seconds=1e6 * wanted, stop=False)
    told = found.after(1, False, slow)
    assert "the last scoring by the scores of round 1 will take about" in told
    assert found.found.seconds == pytest.approx(1e6 * before)
    assert found.after(2, False, slow) == ""  # said once
    near = Foretold(federation)
    wanted = near.found.speed.seconds(workload(federation, 1, federation.task.scopes[:2]), 1)
    assert near.after(1, False, Scores({}, 0, seconds=1.5 * wanted, stop=False)) == ""
