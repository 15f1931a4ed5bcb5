"""A number is said once: every quantity is in every report, and a new one is one entry."""

import ast
import csv
import io
import json
import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from dealt import dealt
from recorded import plan, record, round_row, three
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from launch import status, table
from launch.runs import named_runs
from pfedmma_dist.quantities import catalogue, costs, scores
from pfedmma_dist.quantities.quantity import Place, Quantity, Source
from pfedmma_dist.quantities.units import UNITS
from pfedmma_dist.results.columns import ALL
from pfedmma_dist.results.figures import pictures
from pfedmma_dist.run import result
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.metrics import columns, read_metrics
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.run.record import ClientTable, MethodResult, RoundRecord
from pfedmma_dist.run.report import Report
from pfedmma_dist.run.table import show
from pfedmma_dist.world import World

SCORES = {
    "local": np.array([100.0, 80.0, 60.0]),
    "own": np.array([100.0, 90.0, 80.0]),
    "val": np.array([90.0, 80.0, 70.0]),
    "unseen": np.array([70.0, 60.0, 50.0]),
    "unseen_private": np.array([75.0, 65.0, 55.0]),
    "unseen_all": np.array([80.0, 70.0, 60.0]),
    "attackers": np.array([30.0, 20.0, 10.0]),
    "backdoor": np.array([1.0, 2.0, 3.0]),
    "base": np.array([40.0, 50.0, 60.0]),
    "novel": np.array([40.0, 40.0, 40.0]),
}
CLOCK = {"simulated_seconds": 2.5, "simulated_so_far": 5.0, "clients_arrived": 3} | {
    "clients_late": 1, "clients_lost": 0,
}  # fmt: skip
DOMAINS = {"photo": np.array([0, 1]), "line art": np.array([2])}


def jain(values: np.ndarray) -> float:
    """Return Jain's fairness index, in percent."""
    known = values[~np.isnan(values)]
    return float(100 * known.sum() ** 2 / (len(known) * (known**2).sum()))


JAIN = Quantity(
    key="local_jain", unit="percent", heading="Fairness", meaning="Jain's index of Local",
    of=("local",), make=jain, column="local_jain_percent", tag="accuracy/local_jain",
    line="fairness {:.1f} %", terminal="Jain", is_ranked=True,
    places=Place.TABLES | Place.STATUS | Place.RUN_FIGURE | Place.SWEEP_FIGURES,
)  # fmt: skip
FAIR = 100 * 240**2 / (3 * (100**2 + 80**2 + 60**2))


def finished(path: Path, domains: dict[str, np.ndarray] | None = None) -> RunFolder:
    """Return the folder of a run of two rounds in which everything was scored."""
    folder = RunFolder(path)
    folder.create()
    clients = ClientTable.count(4, *dealt(3, lambda client: np.array([client, 3])), domains)
    final = scores.summary(SCORES, domains)
    with Report(folder, World.alone(), clients, list(SCORES), {}, "", 0, clocked=True) as report:
        for index in range(2):
            report.round(
                RoundRecord(
                    round_index=index, loss=1.5, samples=100, train_seconds=2.0,
                    evaluate_seconds=0.5, client_up_bytes=12, client_down_bytes=16, rank_bytes=24,
                    scores=SCORES, simulated=CLOCK, epsilon=index + 0.5,
                )
            )  # fmt: skip
        result = MethodResult(
            name="tuned", scores=final, trained=20, up_numbers=3, down_numbers=3, up_bytes=12,
            down_bytes=12, start_numbers=4, seconds=7.0, peeking=0.5, epsilon=1.5, delta=1e-3,
        )  # fmt: skip
        report.finish(
            SCORES, final, [replace(result, name="zero-shot CLIP", trained=0), result], {}
        )
    folder.config.write_text(
        "seed: 1\nmethod: {name: tuned}\ndata: {name: d, root: r, task: base_to_novel, "
        "num_clients: 3}\n"
    )
    return folder


def everything() -> list[Quantity]:
    return catalogue.every(scores.summary(SCORES, DOMAINS))


def test_keys_columns_and_tags_are_told_apart() -> None:
    for words in ("key", "column", "tag"):
        found = [word for quantity in everything() if (word := getattr(quantity, words))]
        assert len(set(found)) == len(found), words


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return finished(tmp_path_factory.mktemp("sweep") / "run", DOMAINS)


def test_every_quantity_of_rounds_is_in_metrics_and_tensorboard(folder: RunFolder) -> None:
    found = catalogue.of_rounds(SCORES, DOMAINS)
    metrics = read_metrics(folder.metrics)
    assert list(metrics) == ["round", *(quantity.column for quantity in found)]
    events = EventAccumulator(str(folder.path))
    events.Reload()
    for quantity in found:
        if quantity is not costs.GPU_MIB:
            assert not np.isnan(metrics[quantity.column]).any(), quantity.key
            assert len(events.Scalars(quantity.tag)) == 2, quantity.key


def test_columns_and_tags_of_metrics_are_as_ever() -> None:
    assert columns(["local", "own", "base", "novel"], ["photo"]) == {
        "round": "",
        "loss": "train/loss",
        "epsilon": "privacy/epsilon",
        "samples_per_second": "cost/samples_per_second",
        "train_seconds": "cost/train_seconds",
        "evaluate_seconds": "cost/evaluate_seconds",
        "local_mean_percent": "accuracy/local",
        "local_worst_decile_percent": "accuracy/local_worst_decile",
        "local_std_percent": "accuracy/local_std",
        "local_jain": "fairness/local_jain",
        "local_gini": "fairness/local_gini",
        "own_mean_percent": "accuracy/own",
        "base_mean_percent": "accuracy/base",
        "novel_mean_percent": "accuracy/novel",
        "domain_photo_mean_percent": "domain/photo",
        "base_in_photo_mean_percent": "domain_base/photo",  # a data set, then
        "novel_in_photo_mean_percent": "domain_novel/photo",
        "hm_in_photo_percent": "domain_hm/photo",
        "hm_percent": "accuracy/hm",
        "hm_base_novel_percent": "accuracy/hm_base_novel",
        "client_up_bytes": "cost/client_up_bytes",
        "client_down_bytes": "cost/client_down_bytes",
        "rank_bytes": "cost/rank_bytes",
        "resident_mib": "cost/resident_mib",
        "gpu_mib": "cost/gpu_mib",
    }


def test_every_score_and_cost_of_a_run_is_in_its_result(folder: RunFolder) -> None:
    row = result.read(folder)["results"][-1]
    for quantity in everything():
        if quantity.source is Source.CLIENTS:
            assert quantity.key in row["scores"]
        elif quantity.source is Source.RESULT:
            assert quantity.key in row


def test_every_quantity_is_a_column_of_tables(
    folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert table.main([str(folder.path), "--columns", ALL, "--format", "csv"]) == 0
    found = {row["column"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert found == {quantity.key for quantity in everything()} - {costs.GPU_MIB.key}


@pytest.mark.parametrize("kind", table.FORMATS)
def test_every_quantity_can_be_written_in_every_form(
    kind: str, folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    for quantity in everything():
        words = [str(folder.path), "--columns", quantity.key, "--format", kind]
        assert table.main(words) == 0
        assert capsys.readouterr().out


def test_every_quantity_that_says_so_is_in_the_terminal(
    folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [MethodResult(**row) for row in result.read(folder)["results"]]
    show("run", rows)
    text = capsys.readouterr().out
    for quantity in everything():
        if quantity.terminal and not quantity.is_spare:
            shown = quantity.domain[:4] if quantity.domain else quantity.terminal.split("\n")[0]
            assert shown in text, quantity.key


def test_every_quantity_that_says_so_is_in_status(folder: RunFolder) -> None:
    told = status.read_states(folder.path.parent, {"run": "x"})[0][0].note
    for quantity in everything():
        if Place.STATUS in quantity.places:
            value = result.read(folder)["results"][-1]["scores"][quantity.key]
            assert f"{quantity.heading} {UNITS[quantity.unit](value)}" in told


def test_every_quantity_of_rounds_can_be_drawn_over_them(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [replace(q, places=q.places | Place.SWEEP_FIGURES) for q in scores.SCORES]
    monkeypatch.setattr(scores, "SCORES", tuple(entries))
    for name in ("TRAINING", "TIMES", "TRAFFIC", "CLOCK"):
        entries = [replace(q, places=Place.SWEEP_FIGURES) for q in getattr(costs, name)]
        monkeypatch.setattr(costs, name, tuple(entries))
    found = {
        p.name.partition("_over_rounds")[0]: p for p in pictures(named_runs([str(folder.path)]))
    }
    for quantity in catalogue.of_rounds(["local"]):
        if quantity.column != costs.GPU_MIB.column:
            (axes,) = found[quantity.key].draw().axes
            assert axes.get_ylabel() == quantity.label


def test_new_quantity_is_one_entry(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(scores, "SCORES", (*scores.SCORES, JAIN))
    folder = finished(tmp_path / "run")
    plan(tmp_path, [{"row": "tuned", "folder": "run", "seed": 1}])

    assert read_metrics(folder.metrics)["local_jain_percent"] == pytest.approx([FAIR] * 2)
    events = EventAccumulator(str(folder.path))
    events.Reload()
    assert [event.value for event in events.Scalars("accuracy/local_jain")] == pytest.approx(
        [FAIR] * 2
    )
    result = json.loads(folder.result.read_text())["results"]
    assert result[-1]["scores"]["local_jain"] == pytest.approx(FAIR)

    show("run", [MethodResult(**row) for row in result])
    shown = capsys.readouterr().out
    assert "Jain" in shown and f"{FAIR:.2f}" in shown
    with caplog.at_level(logging.INFO), Progress(World.alone(), Console(), 2) as progress:
        measured = {"loss": 1.0, "samples_per_second": 2.0}
        progress.round_done(
            SimpleNamespace(
                round_index=0, scores=SCORES, measured=measured, train_seconds=1.0,
                evaluate_seconds=0.0, scored_on="",
            )
        )  # fmt: skip
    assert f"fairness {FAIR:.1f} %" in caplog.text

    assert table.main([str(tmp_path)]) == 0
    assert "Fairness" in capsys.readouterr().out
    assert table.main([str(tmp_path), "--columns", "local_jain,seconds", "--format", "csv"]) == 0
    rows = {r["column"]: r["mean"] for r in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert float(rows["local_jain"]) == pytest.approx(FAIR)
    assert status.main([str(tmp_path)]) == 0
    assert f"Fairness {FAIR:.2f}" in capsys.readouterr().out

    drawn = {p.name: p for p in pictures(named_runs([str(tmp_path)]))}
    figure = drawn["local_jain_over_rounds-d-base_to_novel"].draw()
    assert figure.axes[0].get_lines()[0].get_ydata() == pytest.approx([FAIR] * 2)


def test_new_quantity_is_drawn_in_the_runs_own_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    from pfedmma_dist.run.figures import accuracy_over_rounds

    monkeypatch.setattr(scores, "SCORES", (*scores.SCORES, JAIN))
    numbers = catalogue.numbers_of_round({}, SCORES)
    metrics = {name: np.array([value, value]) for name, value in numbers.items()}
    figure = accuracy_over_rounds({"round": np.arange(2), **metrics}, list(SCORES), {})
    drawn = {line.get_label(): line.get_ydata()[0] for line in figure.axes[0].get_lines()}
    assert drawn["Fairness"] == pytest.approx(FAIR)


def test_new_quantity_does_not_disturb_runs_recorded_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = record(tmp_path / "a", three(60, 50, 40), rounds=[round_row(0, 1.0), round_row(1, 2.0)])
    assert table.main([str(run)]) == 0
    before = capsys.readouterr().out
    monkeypatch.setattr(scores, "SCORES", (*scores.SCORES, JAIN))
    assert table.main([str(run)]) == 0
    assert capsys.readouterr().out == before
    assert table.main([str(run), "--columns", "local_jain"]) == 0
    assert "–" in capsys.readouterr().out


def test_no_code_knows_a_score_by_its_key() -> None:
    package = Path(scores.__file__).parents[1]
    words = {"scopes": ["local", "base", "novel", "global"], "domains": ["photo"]}
    known = {
        word for q in scores.scores(*words.values()) for word in (q.key, q.column, q.tag) if word
    }
    for path in (*package.rglob("*.py"), *(package.parent / "launch").rglob("*.py")):
        if path.parent.name == "quantities" or path.stem == "published":
            continue  # where they are said; the paper's own figures
        tree = ast.parse(path.read_text())
        found = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        assert not found & known, path


def test_scopes_are_called_as_their_means_are() -> None:
    names = {"local": "Local", "unseen_private": "Unseen, own tuned", "unseen_all": "Unseen, tuned"}
    assert {scope: scores.titled(scope) for scope in names} == names
    assert scores.titled("global") == "Global"
