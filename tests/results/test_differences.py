"""Differences of recorded runs, over runs and over clients, and how they are written."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from recorded import plan, record, three
from scipy.stats import binomtest, ttest_rel

from launch.table import main
from pfedmma_dist.results.differences import CLIENT_MEANS, CLIENTS, RUNS
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.result import write

ONE = {1: (60.0, 80.0, None), 2: (64.0, 70.0, 50.0), 3: (90.0, 20.0, 55.0)}
OTHER = {1: (50.0, 80.0, None), 2: (50.0, 71.0, None), 3: (80.0, 10.0, 40.0)}
"""Seed -> Local of three clients, None where one has no images."""


def mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known)


def rows(folder: Path, sides: Mapping[str, Mapping[int, Sequence]], *data: str) -> Path:
    """Write a sweep of rows on data sets; the second set is 5 points lower in the first row."""
    planned = []
    for row, seeds in sides.items():
        for seed, clients in seeds.items():
            for index, name in enumerate(data or ("pets",)):
                local = mean(clients) - (5 * index if row == "a" else 0)
                config = {"method.name": row, "seed": seed, "data.name": name}
                run = f"{row}-{seed}-{name}"
                scores = three(local, 50, 40)
                record(folder / run, scores, config=config, clients={"local": clients})
                planned.append({"row": row, "folder": run})
    return plan(folder, planned)


def answer(
    capsys: pytest.CaptureFixture, folder: Path, *words: str, code: int = 0
) -> tuple[str, str]:
    assert main([str(folder), "--compare", "a", "b", *words]) == code
    told = capsys.readouterr()
    return told.out, told.err


def lines(
    capsys: pytest.CaptureFixture, folder: Path, *words: str, data: str = "pets"
) -> dict[tuple[str, str], dict[str, str]]:
    """Return (key, over) -> line of the CSV."""
    text, _ = answer(capsys, folder, *words, "--format", "csv")
    return {
        (line["key"], line["over"]): line
        for line in csv.DictReader(io.StringIO(text))
        if line["data"] == data
    }


def numbers(line: Mapping[str, str], *names: str) -> list[float]:
    return [float(line[name]) for name in names]


def test_differences_over_runs_are_those_of_scipy(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    found = lines(capsys, rows(tmp_path, {"a": ONE, "b": OTHER}))["local_mean", RUNS]
    ones, others = ([mean(clients) for clients in side.values()] for side in (ONE, OTHER))
    wanted = ttest_rel(ones, others).confidence_interval(0.95)
    difference = mean(ones) - mean(others)
    assert numbers(found, "mean_a", "mean_b", "difference", "low", "high") == pytest.approx(
        [mean(ones), mean(others), difference, wanted.low, wanted.high], rel=1e-6
    )
    above = sum(one > other for one, other in zip(ones, others, strict=True))
    counts = numbers(found, "above", "below", "equal", "n", "pairs", "clients")
    assert counts == [above, 3 - above, 0, 3, 3, 0]
    assert float(found["sign_test"]) == pytest.approx(binomtest(above, 3).pvalue)


def test_differences_over_clients_leave_out_who_has_no_images(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = rows(tmp_path, {"a": ONE, "b": OTHER})
    found = lines(capsys, folder)
    both = [[10.0, 0.0], [14.0, -1.0], [10.0, 10.0, 15.0]]  # of each seed
    every = sum(both, [])
    wanted = ttest_rel(every, [0.0] * 7).confidence_interval(0.95)
    clients = found["local", CLIENTS]
    assert numbers(clients, "difference", "low", "high") == pytest.approx(
        [mean(every), wanted.low, wanted.high], rel=1e-6
    )
    assert numbers(clients, "above", "below", "equal", "clients", "n") == [5, 1, 1, 7, 3]
    assert float(clients["sign_test"]) == pytest.approx(binomtest(5, 6).pvalue)
    means = list(map(mean, both))
    wanted = ttest_rel(means, [0.0] * 3).confidence_interval(0.95)
    by_run = found["local", CLIENT_MEANS]
    assert numbers(by_run, "difference", "low", "high") == pytest.approx(
        [mean(means), wanted.low, wanted.high], rel=1e-6
    )
    assert numbers(by_run, "above", "below", "equal", "n", "clients") == [3, 0, 0, 3, 7]
    text, _ = answer(capsys, folder)
    assert "Left out: 1 client scored in neither run: Local (pets, base to novel)." in text
    assert "Left out: 1 client scored in one run alone: Local (pets, base to novel)." in text


def test_single_pair_has_no_interval_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = rows(tmp_path, {"a": {1: ONE[1]}, "b": {1: OTHER[1]}})
    found = lines(capsys, folder)["local_mean", RUNS]
    assert (found["low"], found["high"], found["sign_test"]) == ("", "", "1.0")
    text, _ = answer(capsys, folder)
    assert "A single pair has no interval; add seeds." in text
    assert "| Local    |             runs | 70.00 | 65.00 | +5.00 |" in text


def test_average_over_data_sets_is_of_places_that_all_of_them_have(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = rows(tmp_path, {"a": ONE, "b": OTHER}, "pets", "cars")
    (folder / "b-2-cars" / "result.json").unlink()
    found = lines(capsys, folder, data="average")["local_mean", RUNS]
    assert found["n"] == "2"
    assert float(found["difference"]) == pytest.approx((5.0 + 55 - 130 / 3) / 2 - 2.5)
    assert lines(capsys, folder, data="cars")["local_mean", RUNS]["n"] == "2"
    assert lines(capsys, folder, data="pets")["local_mean", RUNS]["n"] == "3"
    text, _ = answer(capsys, folder)
    assert "Left out: 1 run of b without a result, and so its partner: seed 2 on cars." in text
    assert "Left out of the average: 1 of 3 pairs that are not on every data set" in text


def test_quantity_that_one_run_lacks_is_told(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for row, scores in {"a": three(60, 50, 40), "b": {"local_mean": 50.0}}.items():
        clients = {"local": (50.0, 60.0)}
        record(tmp_path / row, scores, config={"method.name": row}, clients=clients)
    runs = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert main([*runs, "--compare", "a", "b"]) == 0
    assert "Left out of HM: 1 of 1 pair, of which one run lacks it" in capsys.readouterr().out


def test_asked_columns_stand_in_their_order_with_signs_before_units(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for row, sent in (("a", 1024), ("b", 2048)):
        record(tmp_path / row, three(60, 50, 40), config={"method.name": row}, sent=sent)
    runs = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert main([*runs, "--compare", "a", "b", "--columns", "up_bytes,seconds"]) == 1
    text = capsys.readouterr().out
    assert [line.split(" ")[1] for line in text.splitlines()[4:6]] == ["Up,", "Run"]
    assert "| −4.0 KiB |" in text
    assert "|   1.0 s |   1.0 s |     0 ms |" in text


def test_latex_and_csv_tell_of_what_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = rows(tmp_path, {"a": ONE, "b": {1: OTHER[1], 2: OTHER[2]}})
    words = "Left out: 1 run of a that b lacks: seed 3."
    text, _ = answer(capsys, folder, "--format", "latex")
    assert f"% {words}\n" in text
    assert text.count(r"\begin{tabular}") == 1
    assert r"\caption{a $-$ b: pets, base to novel}" in text
    _, errors = answer(capsys, folder, "--format", "csv")
    assert words in errors.splitlines()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "is missing"),
        ("client,local_percent\n0,50\n0,60\n", "names a client twice"),
        ("client,local_percent\n0,many\n", "holds something else than numbers"),
        ("client,local_percent\n0\n", "has a line of another length"),
        ("client,classes\n0,5\n", "holds no scores"),
    ],
    ids=["missing", "twice", "words", "short", "no scores"],
)
def test_damaged_clients_are_left_out_by_name(
    content: str | None, what: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = rows(tmp_path, {"a": ONE, "b": OTHER})
    path = folder / "b-2-pets" / "clients.csv"
    path.unlink()
    if content is not None:
        path.write_text(content)
    text, _ = answer(capsys, folder, code=1)
    assert f"Left out: the clients of 1 pair (pets, base to novel): seed 2: {path} {what}" in text
    assert "| 2 of 3 |" in text
    assert "Local    |             runs" in text  # whole runs are compared all the same


def test_clients_that_are_not_as_the_run_left_them_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = rows(tmp_path, {"a": ONE, "b": OTHER})
    run = RunFolder(folder / "b-2-pets")
    write(run, json.loads(run.result.read_text()))  # sealed, and with the digests of its files
    run.clients.write_text(run.clients.read_text().replace("71.0", "17.0"))
    text, _ = answer(capsys, folder, code=1)
    assert f"seed 2: {run.clients} is not as the run left it; restore it from a copy." in text


def test_clients_of_the_same_number_that_differ_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for row, classes in (("a", (5, 5)), ("b", (5, 4))):
        clients = {"classes": classes, "local": (50.0, 60.0)}
        record(tmp_path / row, three(60, 50, 40), config={"method.name": row}, clients=clients)
    assert main([str(tmp_path / "a"), str(tmp_path / "b"), "--compare", "a", "b"]) == 0
    assert (
        "Note: 1 client in 1 pair of runs (glyphs, base to novel) have" in capsys.readouterr().out
    )


def test_client_that_one_run_lacks_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for row, local in (("a", (50.0, 60.0, 70.0)), ("b", (50.0, 50.0))):
        clients = {"local": local}
        record(tmp_path / row, three(60, 50, 40), config={"method.name": row}, clients=clients)
    assert main([str(tmp_path / "a"), str(tmp_path / "b"), "--compare", "a", "b"]) == 0
    text = capsys.readouterr().out
    assert "Left out: 1 client of one run alone: Local (glyphs, base to novel)." in text


def test_papers_figures_are_refused_beside_a_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = rows(tmp_path, {"a": ONE, "b": OTHER})
    assert main([str(folder), "--compare", "a", "b", "--paper"]) == 2
    assert "--paper: published figures have no runs to pair with" in capsys.readouterr().err
