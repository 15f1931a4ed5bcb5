"""A part of the clients, or of the images, is scored where a key asks, and is called a part."""

import csv
import io
from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from recorded import record
from runs import call, make_lab
from tiny import tiny_federation, tiny_task

from launch import state
from pfedmma_dist.build import zero_shot
from pfedmma_dist.data.tasks.sample import thinned
from pfedmma_dist.federation import foresight
from pfedmma_dist.federation.grouping import sample_of, those_to_score
from pfedmma_dist.methods.pfedmma import PFedMMA
from pfedmma_dist.methods.promptfl import PromptFL
from pfedmma_dist.quantities.sampled import Sample
from pfedmma_dist.quantities.student import t_quantile
from pfedmma_dist.results.comma_separated import comma_separated
from pfedmma_dist.results.latex import latex
from pfedmma_dist.results.outcome import read_outcome
from pfedmma_dist.results.tables import tables
from pfedmma_dist.run import result
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.metrics import read_metrics

SOME = {"fraction": 0.34, "first_round_all": False, "rounds": 2}  # two of six clients train


@pytest.mark.parametrize("method", [PFedMMA, PromptFL])
def test_number_of_clients_have_the_scores_that_they_have_among_all(method: type) -> None:
    whole, some = (tiny_federation(method, evaluate=who, **SOME) for who in ({}, {"clients": "3"}))
    for federation in (whole, some):
        federation.round(0)
    everybody, found = whole.evaluate(full=True).percent, some.evaluate(full=True).percent
    scored = np.flatnonzero(~np.isnan(found["base"]))
    assert len(scored) == 3
    assert np.isnan(zero_shot(some).percent["base"]).sum() == 3
    for name, percent in found.items():
        np.testing.assert_array_equal(percent[scored], everybody[name][scored])
    some.round(1)  # the same clients in every round
    again = some.evaluate(full=False).percent["local"]
    np.testing.assert_array_equal(np.isnan(again), np.isnan(found["local"]))


def test_reference_classifies_the_images_of_those_alone_that_are_scored() -> None:
    task = tiny_task()
    own = replace(task, scopes=task.scopes[:2])  # no test set that all share
    for clients, count in (("all", 6), ("1", 1)):
        federation = tiny_federation(PFedMMA, evaluate={"clients": clients}, task=own, **SOME)
        scored = those_to_score(federation)
        assert len(scored) == count
        wanted = np.unique(np.concatenate([own.scopes[0].rows_of(client) for client in scored]))
        assert zero_shot(federation).num_images == len(wanted)


def test_participants_are_those_that_have_trained_by_then() -> None:
    federation = tiny_federation(PFedMMA, evaluate={"clients": "participants"}, **SOME)
    for rounds in (1, 2):
        federation.round(rounds - 1)
        base = federation.evaluate(full=True).percent["base"]
        assert np.flatnonzero(~np.isnan(base)).tolist() == federation.trained(rounds).tolist()
    reference = zero_shot(federation).percent["base"]
    np.testing.assert_array_equal(np.isnan(reference), np.isnan(base))


def test_number_of_images_is_drawn_from_each_common_test_set_alone() -> None:
    whole = tiny_task()
    some = thinned(whole, "5", seed=3)
    assert thinned(whole, "all", seed=3) is whole
    for before, after in zip(whole.scopes, some.scopes, strict=True):
        if not before.common:
            assert after is before
            continue
        assert len(after.rows) == 5
        assert after.num_all == len(before.rows)
        assert np.isin(after.rows, before.rows).all()
        assert (np.diff(after.rows) > 0).all()
    federation = tiny_federation(PFedMMA, task=some)
    assert sample_of(federation).images == {"base": (5, 16), "novel": (5, 8)}
    assert sample_of(tiny_federation(PFedMMA)) is None
    found = federation.evaluate(full=True).percent
    assert (found["novel"] % 20 == 0).all()
    np.testing.assert_array_equal(
        found["local"], tiny_federation(PFedMMA).evaluate(full=True).percent["local"]
    )


def test_interval_of_clients_and_of_images() -> None:
    values = np.array([40.0, np.nan, 60.0, np.nan, 80.0, np.nan])
    drawn = Sample("3", 6).half_width("base", values)
    assert drawn == pytest.approx(t_quantile(2) * 20 * sqrt((1 - 3 / 6) / 3))
    alike = np.where(np.isnan(values), np.nan, 50.0)
    images = Sample("participants", 6, {"base": (25, 100)})
    assert images.half_width("base", alike) == pytest.approx(1.96 * 50 * sqrt(0.75 / 25), rel=1e-3)
    assert images.half_width("local", values) is None  # participants are no sample of all
    assert Sample("3", 6).half_width("base", values[:2]) is None


def test_run_says_everywhere_that_its_scores_are_of_a_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = make_lab(tmp_path)
    words = {"evaluate__clients": 2, "evaluate__base_novel_images": 5, "federation__rounds": 1}
    assert call(lab.words("part", **words)) == 0
    told = capsys.readouterr()
    of = "2 of 4 clients, 5 of 12 images of Base, 5 of 12 images of Novel"
    assert f"scored on    {of}" in told.out
    assert "95 % confidence intervals of the means over all: Local ±" in told.out
    assert f"scored on {of}" in told.err
    folder = RunFolder(lab.folder("part"))
    facts = result.read(folder)["scored"]
    assert (facts["clients"], facts["num_clients"], facts["of"]) == ("2", 2, 4)
    assert read_metrics(folder.metrics)["clients_scored"].tolist() == [2]
    head, *rows = (line.split(",") for line in folder.clients.read_text().splitlines())
    scored = [row for row in rows if row[head.index("base_percent")]]
    assert [row[head.index("base_images")] for row in scored] == ["5", "5"]
    events = b"".join(path.read_bytes() for path in folder.path.glob("events*"))
    assert b"sampled accuracy/local" in events
    assert b"\x0eaccuracy/local" not in events  # a tag behind its length
    [table, *_] = tables([read_outcome(folder.path)])
    assert any(of in remark and "Local ±" in remark for remark in table.remarks)
    assert table.title.endswith(", sampled")
    assert f"% Scored on a sample, pfedmma: {of}; 95" in latex([table])
    rows = list(csv.DictReader(io.StringIO(comma_separated([table]))))
    assert all(f": {of}; 95 %" in row["sample"] for row in rows)
    assert state.outcome(folder.path).endswith(f"  scored on {of}")


def test_table_of_whole_runs_has_no_word_on_samples(tmp_path: Path) -> None:
    run = read_outcome(record(tmp_path / "run", {"local_mean": 50.0}))
    assert tables([run])[0].remarks == ()
    assert "sample" not in comma_separated(tables([run])).splitlines()[0].split(",")
    assert "scored on" not in state.outcome(tmp_path / "run")


def test_last_scoring_is_timed_by_a_client_that_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    federation = tiny_federation(PFedMMA, evaluate={"clients": "participants"}, **SOME)
    monkeypatch.setattr(foresight, "UNTIMED", 0)
    begin, asked = federation.start, []

    def start(clients: np.ndarray, **words: bool) -> object:
        asked.extend(clients.tolist())
        return begin(clients, **words)

    monkeypatch.setattr(federation, "start", start)
    foresight.foresee(federation)
    scored = federation.trained(2)
    assert federation.shards[0][0] not in scored  # the first of all has no features
    assert asked
    assert np.isin(asked, scored).all()
