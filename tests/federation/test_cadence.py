"""Where nobody says how often, scores on the way stay within a tenth of what training costs."""

import re
from pathlib import Path

import numpy as np
import pytest
from runs import call, make_lab
from tiny import tiny_federation

from pfedmma_dist.config.choices import Select
from pfedmma_dist.federation import cadence as cadences
from pfedmma_dist.federation.cadence import SHARE, TRAINED, cadence
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.promptfl import PromptFL
from pfedmma_dist.run import checkpoint, manifest
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.metrics import read_metrics

SOME = {"fraction": 0.34, "first_round_all": False, "rounds": 12}  # two of six clients train


def spent(federation: Federation) -> tuple[list[int], list[int]]:
    """Train, score after each round, and count the image passes of both."""
    training, scoring = [], []
    for index in range(federation.cfg.federation.rounds):
        training.append(TRAINED * federation.round(index).num_samples)
        scoring.append(federation.evaluate(full=False).num_images)
    return training, scoring


@pytest.mark.parametrize(
    "method, changes",
    [(PFedMMA, {}), (PromptFL, {}), (PFedMMA, {"clients": "participants"}),
     (PFedMMA, {"clients": "4"})],
)  # fmt: skip
def test_fewest_rounds_are_those_that_really_cost_a_tenth(
    monkeypatch: pytest.MonkeyPatch, method: type, changes: dict[str, str]
) -> None:
    monkeypatch.setattr(cadences, "EACH_ROUND", 2)
    federation = tiny_federation(method, evaluate=changes, **SOME)
    found = cadence(federation)
    training, scoring = (np.array(one) for one in spent(federation))
    cost = {n: scoring[:-1][n - 1 :: n].sum() / training.sum() for n in range(1, 13)}
    assert found.share == pytest.approx(cost[1], rel=0.35)  # own images of many, told from above
    assert cost[found.every] <= SHARE
    assert found.every > 1
    assert cadence(federation) == found  # whatever has been trained
    assert f"{'every' if found.every < 12 else 'last'}" in found.words


def test_run_says_how_often_it_scores_and_saves_what_it_scores_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cadences, "EACH_ROUND", 2)
    saved = []
    save = checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda *all_of_it: saved.append(all_of_it) or save(*all_of_it)
    )
    lab = make_lab(tmp_path)
    words = lab.words("often", run__checkpoint_every=2)
    assert call(words) == 0
    folder = RunFolder(lab.folder("often"))
    told = re.search(
        r"evaluate\.every: scores Local every (\d) rounds, since", capsys.readouterr().err
    )
    assert f"every: {told[1]}\n" in folder.config.read_text()
    local = read_metrics(folder.metrics)["local_mean_percent"]
    assert np.flatnonzero(~np.isnan(local)).tolist() == [1, 3]
    assert [one[2] for one in saved] == [2, 4]  # both before their scores
    assert all(one[5]["unscored"] for one in saved)
    records = [manifest.read(path) for path in folder.checkpoints.iterdir()]
    assert [record.meta["unscored"] for record in records] == [None, None]


def test_few_clients_and_choices_among_the_rounds_are_scored_in_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert cadence(tiny_federation(PFedMMA, **SOME)).every == 1
    monkeypatch.setattr(cadences, "EACH_ROUND", 2)
    chosen = tiny_federation(PFedMMA, evaluate={"select": Select.best_val}, **SOME)
    assert (cadence(chosen).every, cadence(chosen).words) == (1, "")
