"""Train rows against test columns: made-up runs and evaluations, their means checked by hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from recorded import record

from launch.generalise import main
from pfedmma_dist.results.cells import Table
from pfedmma_dist.results.evaluations import is_scored, write_evaluation
from pfedmma_dist.results.generalisation import generalisation
from pfedmma_dist.results.heat import heat
from pfedmma_dist.results.outcome import read_outcome
from pfedmma_dist.run.folder import RunFolder

LOCAL = {"local_mean": 50.0}


def evaluation(
    folder: Path,
    data: str,
    untouched: Mapping[str, float],  # scope, of all images or of a domain -> percent
    clients: Mapping[str, Sequence[float | None]],  # likewise -> of each client
    shared: float | None = None,
    client_domains: Mapping[str, Sequence[int]] | None = None,
    own: bool = False,
    is_uniform: bool = False,
) -> Path:
    """Write what `evaluate` would of a run on another set."""
    domains = {name.removeprefix("cross_"): 1 for name in untouched if name != "cross"}
    means = {name: sum(filter(None, own)) / sum(x is not None for x in own)
             for name, own in clients.items()}  # fmt: skip
    rows = [{f"{name}_mean": x for name, x in scores.items()} for scores in (untouched, means)]
    rows += [] if shared is None else [dict.fromkeys(rows[0], shared)]
    facts = {
        "data": data, "root": "data", "own": own, "domains": domains, "words": [data],
        "client_domains": client_domains or {}, "is_uniform": is_uniform,
    }  # fmt: skip
    path = folder / "evaluations" / f"{data}-0.json"
    path.parent.mkdir(exist_ok=True)
    results = [{"scores": scores} for scores in rows]
    body = {"cross": facts, "results": results, "clients": clients}
    write_evaluation(path, RunFolder(folder), body)
    return path


UNTOUCHED = {"pets": 50.0, "cars": 40.0}


def two_sets(folder: Path) -> list[Path]:
    """A method trained on either of two sets with two seeds; one evaluation is missing."""
    paths = []
    for seed, (own, away) in {1: (80.0, 60.0), 2: (90.0, 70.0)}.items():
        for data, other in (("pets", "cars"), ("cars", "pets")):
            config = {"data.name": data, "seed": seed, "data.task": "label_shift"}
            path = record(folder / f"{data}-{seed}", LOCAL, config=config)
            here, there = ({"cross": UNTOUCHED[name]} for name in (data, other))
            evaluation(path, data, here, {"cross": [own, own]}, 75.0, own=True)
            if (data, seed) != ("cars", 2):
                evaluation(path, other, there, {"cross": [away - 10, away + 10]})
            paths.append(path)
    return paths


def cells(table: Table, *names: str) -> list[tuple[float | None, float | None]]:
    """Return mean and deviation of the cells of one row."""
    [row] = [row for row in table.rows if row.names == names]
    return [(cell.mean, cell.deviation) for cell in row.cells]


def test_sets_are_a_matrix_with_means_off_its_diagonal(tmp_path: Path) -> None:
    paths = two_sets(tmp_path)
    [table] = generalisation(map(read_outcome, paths))
    assert [column.title for column in table.columns] == [
        "pets", "cars", "Source", "Targets", "Gain"
    ]  # fmt: skip
    deviation = pytest.approx(50**0.5)  # of 80 and 90
    own, away, gain = (85.0, deviation), (65.0, deviation), (25.0, deviation)
    assert cells(table, "tuned", "pets") == [own, away, own, away, gain]
    alone = (60.0, None)  # of the seed that was scored
    assert cells(table, "tuned", "cars") == [alone, own, own, alone, (10.0, None)]
    assert cells(table, "tuned", "pets, shared part alone")[0] == (75.0, 0.0)
    assert [mean for mean, _ in cells(table, "zero-shot CLIP", "nothing")[:2]] == [50.0, 40.0]
    [told] = [words for words in table.remarks if "is to be run" in words]
    command = f"python -m pfedmma_dist.evaluate {tmp_path}/cars-2 --cross data.name=pets"
    assert told.startswith(f"`{command} data.root=data`")


def test_zero_shot_that_differs_from_run_to_run_is_told(tmp_path: Path) -> None:
    paths = two_sets(tmp_path)
    evaluation(paths[0], "cars", {"cross": 45.0}, {"cross": [60.0]})
    [table] = generalisation(map(read_outcome, paths))
    assert any("zero-shot CLIP is not the same beside all runs" in told for told in table.remarks)


def test_domains_are_rows_of_their_clients_and_columns_of_their_images(tmp_path: Path) -> None:
    path = record(tmp_path / "run", LOCAL, config={"data.task": "feature_shift"})
    evaluation(
        path, "glyphs", {"cross": 35.0, "cross_ink": 30.0, "cross_oil": 40.0},
        {"cross": [50.0, 50.0, None], "cross_ink": [60.0, 20.0, None],
         "cross_oil": [45.0, 80.0, None]},
        shared=50.0, client_domains={"ink": [0], "oil": [1, 2]}, own=True,
    )  # fmt: skip
    [table] = generalisation([read_outcome(path)])
    means = {row.names[1]: [cell.mean for cell in row.cells] for row in table.rows}
    assert means == {
        "nothing": [30.0, 40.0, None, 35.0, None],
        "ink": [60.0, 45.0, 60.0, 45.0, 5.0],
        "oil": [20.0, 80.0, 80.0, 20.0, -10.0],
        "mean of the rows above": [None, None, 70.0, 32.5, -2.5],
        "all domains, shared part alone": [50.0, 50.0, 50.0, None, None],
    }
    figure = heat(table)
    [panel] = [axes for axes in figure.axes if axes.get_title()]
    assert panel.get_title() == "tuned"
    assert [tick.get_text() for tick in panel.get_yticklabels()] == [*means]
    assert {text.get_text() for text in panel.texts} >= {"60.0", "45.0", "20.0", "80.0"}
    shown = panel.images[0].get_array()
    assert shown[1].tolist() == [30.0, 5.0, 5.0] and shown[2].tolist() == [-10.0, 40.0, -10.0]


def test_clients_that_hold_the_same_numbers_are_one_row_and_share_a_panel(tmp_path: Path) -> None:
    runs = []
    for name in ("one", "two"):
        path = record(tmp_path / name, LOCAL, config={"method.name": name})
        evaluation(
            path, "glyphs", {"cross": 30.0, "cross_ink": 30.0},
            {"cross": [50.0], "cross_ink": [50.0]},
            client_domains={"ink": [0]}, own=True, is_uniform=True,
        )  # fmt: skip
        runs.append(read_outcome(path))
    [table] = generalisation(runs)
    assert [row.names for row in table.rows[1:]] == [("one", "all domains"), ("two", "all domains")]
    [panel] = [axes for axes in heat(table).axes if axes.get_title()]
    assert panel.get_title() == "trained on all domains"
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["nothing", "one", "two"]


def held_out(folder: Path) -> list[Path]:
    return [
        record(
            folder / f"{domain}-{seed}",
            None if (domain, seed) == ("oil", 2) else {"local_mean": 60.0, "held_out_mean": score},
            config={"data.task": "feature_shift", "data.held_out": domain, "seed": seed},
            zero_shot={"local_mean": 50.0, "held_out_mean": 40.0},
        )
        for domain, score in (("ink", 70.0), ("oil", 50.0))
        for seed in (1, 2)
    ]


def test_leaving_a_domain_out_needs_no_evaluation(tmp_path: Path) -> None:
    [table] = generalisation(map(read_outcome, held_out(tmp_path)))
    assert [column.title for column in table.columns] == ["ink", "oil", "Targets", "Source"]
    assert cells(table, "tuned") == [(70.0, 0.0), (50.0, None), (60.0, None), (60.0, None)]
    assert cells(table, "zero-shot CLIP") == [(40.0, 0.0), (40.0, None), (40.0, None), (50.0, None)]
    assert table.rows[1].cells[1].is_partial


def test_command_prints_every_format_draws_and_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [path, *_] = held_out(tmp_path)
    for form, words in {"csv": "held_out", "latex": r"\begin{tabular}", "markdown": "###"}.items():
        assert main([str(path), "--format", form]) == 0
        out, err = capsys.readouterr()
        assert "ink" in out and (words in out or form == "csv")
    assert main([str(path), "--out", str(tmp_path / "drawn")]) == 0
    assert (tmp_path / "drawn" / "glyphs_leave_one_domain_out.png").is_file()
    nothing = record(tmp_path / "plain", LOCAL)
    (nothing / "evaluations").mkdir()
    (nothing / "evaluations" / "membership.json").write_text("{}")
    capsys.readouterr()
    assert main([str(nothing)]) == 2
    assert (
        "python -m pfedmma_dist.evaluate RUN data.name=NAME scores one" in capsys.readouterr().err
    )


def test_evaluation_that_is_not_as_it_was_written_counts_as_missing_and_is_named(
    tmp_path: Path,
) -> None:
    path = record(tmp_path / "run", LOCAL, config={"data.name": "pets"})
    evaluation(path, "cars", {"cross": 50.0}, {"cross": [60.0]})
    edited = evaluation(path, "dtd", {"cross": 50.0}, {"cross": [60.0]})
    edited.write_text(edited.read_text().replace("50.0", "10.0"))
    (path / "evaluations" / "sun-0.json").write_text("{")
    folder = RunFolder(path)
    assert is_scored(folder, ["cars"]) and not is_scored(folder, ["dtd"])
    [table] = generalisation([read_outcome(path)])
    assert [column.title for column in table.columns][:1] == ["cars"]
    assert len([told for told in table.remarks if "dtd-0" in told or "sun-0" in told]) == 2
    result = json.loads((path / "result.json").read_text())
    (path / "result.json").write_text(json.dumps({**result, "rounds": 9}))  # it trained further
    assert not is_scored(folder, ["cars"])
    with pytest.raises(ValueError, match="no run here was scored on another data set"):
        generalisation([read_outcome(path)])
