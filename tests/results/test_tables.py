"""Recorded runs become the paper's tables; every number here can be checked by hand."""

from dataclasses import replace
from pathlib import Path

import pytest
from recorded import ZERO_SHOT, plan, record, round_row, three

from launch.runs import named_runs, sweep_runs
from launch.table import main
from pfedmma_dist.results.cells import Cell, Column, Row, Table
from pfedmma_dist.results.tables import tables


def row(table: Table, *names: str) -> Row:
    (found,) = (row for row in table.rows if row.names[: len(names)] == names)
    return found


def cells(table: Table, *names: str) -> dict[str, Cell]:
    return dict(zip((c.key for c in table.columns), row(table, *names).cells, strict=True))


def means(table: Table, *names: str) -> dict[str, float | None]:
    return {key: cell.mean for key, cell in cells(table, *names).items()}


@pytest.fixture
def two_sets(tmp_path: Path) -> Path:
    """Two rows over two data sets and two seeds; one run of the second row has not finished."""
    scores = {
        ("a", "pets", 1): three(60, 30, 20), ("a", "pets", 2): three(60, 30, 20),
        ("a", "cars", 1): three(90, 90, 90), ("a", "cars", 2): three(80, 80, 80),
        ("b", "pets", 1): three(60, 60, 60), ("b", "pets", 2): three(60, 60, 60),
        ("b", "cars", 1): three(40, 40, 40), ("b", "cars", 2): None,
    }  # fmt: skip
    rows = []
    for (name, data, seed), own in scores.items():
        folder = f"{name}-{data}-{seed}"
        record(tmp_path / folder, own, config={"data.name": data, "seed": seed})
        rows.append({"row": name, "folder": folder, "data.name": data, "seed": seed})
    return plan(tmp_path, rows)


def test_harmonic_mean_is_taken_in_every_run_and_then_averaged(two_sets: Path) -> None:
    average, pets, cars, _ = tables(sweep_runs(two_sets))
    assert means(pets, "a")["hm"] == pytest.approx(30)  # 3 / (1/60 + 2/60 + 3/60)
    assert means(cars, "a")["hm"] == pytest.approx(85)
    hm = cells(average, "a")["hm"]
    assert hm.mean == pytest.approx(57.5)
    assert hm.deviation == pytest.approx(5 / 2**0.5)  # of 60 and 55
    assert hm.num == 2


def test_harmonic_mean_of_the_means_stands_beside_it(two_sets: Path) -> None:
    average = tables(sweep_runs(two_sets))[0]
    assert [column.title for column in average.columns][-2:] == ["HM", "HM of means"]
    found = means(average, "a")
    three_means = [found[key] for key in ("local_mean", "base_mean", "novel_mean")]
    assert three_means == pytest.approx([72.5, 57.5, 52.5])
    assert found["hm_of_means"] == pytest.approx(3 / (1 / 72.5 + 1 / 57.5 + 1 / 52.5))
    assert found["hm_of_means"] > found["hm"]


def test_average_is_over_seeds_that_ran_on_every_data_set(two_sets: Path) -> None:
    average, _, cars, _ = tables(sweep_runs(two_sets))
    assert cells(average, "b")["local_mean"] == Cell(50.0, None, 1, 2)
    assert cells(cars, "b")["local_mean"].is_partial
    assert row(average, "b").seeds == "1 of 2"


def column(**rows: Cell) -> Table:
    """Return a table of one column."""
    lines = tuple(Row((name,), (cell,)) for name, cell in rows.items())
    return Table("", ("Method",), (Column("local_mean", "Local"),), lines)


def seeds(*values: float, first: int = 1) -> Cell:
    """Return the cell of these values of the seeds from the first on."""
    return Cell.of(dict(enumerate(values, start=first)), len(values))


def test_best_of_a_column_is_what_no_noise_explains(two_sets: Path) -> None:
    average, pets, *_ = tables(sweep_runs(two_sets))
    assert pets.best(0) == [False, False]  # Local 60 and 60
    assert pets.best(1) == [False, True]  # Base 30 and 60 with either seed
    assert average.best(0) == [False, False]  # of 72.5 and of 50 over one seed of two


def test_difference_is_judged_by_pairs_of_seeds_and_not_by_deviations() -> None:
    table = column(a=seeds(50, 60, 70), b=seeds(51, 61.1, 70.9))
    assert table.best(0) == [False, True]  # 1, 1.1, 0.9 above: 1 ± 0.25
    table = column(a=seeds(50, 60, 70), b=seeds(51, 70, 60.5))  # 1, 10, -9.5 above
    assert table.best(0) == [False, False]


@pytest.mark.parametrize(
    "second", [seeds(50), seeds(50, 50, 50, first=3), seeds(50, 51, first=4)], ids=str
)
def test_rows_that_do_not_share_two_seeds_have_no_best(second: Cell) -> None:
    assert column(a=seeds(80, 80, 80), b=second).best(0) == [False, False]


def test_best_of_unequal_counts_is_judged_by_the_seeds_that_both_have() -> None:
    assert column(a=seeds(80, 81, 82), b=seeds(70, 70.9)).best(0) == [True, False]
    # The highest mean, but below the other wherever both ran.
    assert column(a=seeds(60, 61, 99), b=seeds(70, 71)).best(0) == [False, False]


def test_single_runs_have_no_best(tmp_path: Path) -> None:
    for name, local in (("a", 60), ("b", 90)):
        record(tmp_path / name, three(local, 50, 50), config={"method.name": name})
    table = tables(named_runs(map(str, sorted(tmp_path.iterdir()))))[0]
    assert table.best(0) == [False, False]


def test_best_is_compared_with_each_of_two_next_that_look_alike() -> None:
    steady, wild = seeds(50, 60, 70), seeds(75, 60, 45)
    best = seeds(51, 61, 71.1)
    assert column(a=steady, b=best).best(0) == [False, True]
    assert column(a=steady, b=best, c=wild).best(0) == [False, False, False]


def test_means_that_look_equal_have_no_best() -> None:
    assert column(a=seeds(60.001, 60.001), b=seeds(60.004, 60.004)).best(0) == [False, False]


def test_mean_over_fewer_seeds_than_planned_is_not_compared() -> None:
    easy = Cell.of({1: 90.0, 2: 90.0}, 3)
    table = column(best=seeds(50, 51, 52), easy=easy, c=seeds(40, 41, 42))
    assert table.best(0) == [True, False, False]


def test_harmonic_mean_of_means_is_judged_seed_by_seed(tmp_path: Path) -> None:
    rows = []
    for name, local in (("a", 60), ("b", 50)):
        for data in ("pets", "cars"):
            for seed in (1, 2):
                config = {"data.name": data, "seed": seed, "method.name": name}
                folder = f"{name}-{data}-{seed}"
                record(tmp_path / folder, three(local + seed, 50, 50), config=config)
                rows.append({"row": name, "folder": folder, "data.name": data, "seed": seed})
    average = tables(sweep_runs(plan(tmp_path, rows)))[0]
    assert average.columns[-1].key == "hm_of_means"
    assert average.best(len(average.columns) - 1) == [True, False]


def test_line_alone_is_not_best(tmp_path: Path) -> None:
    table = tables(named_runs([str(record(tmp_path / "a", three(60, 50, 50)))]))[0]
    assert table.best(0) == [False]


def test_runs_without_a_sweep_go_by_their_method_and_what_tells_them_apart(tmp_path: Path) -> None:
    for seed in (1, 2):
        for rate in (0.1, 0.02):
            config = {"seed": seed, "optim.lr": rate, "run.folder": f"{seed}", "method.name": "a"}
            record(tmp_path / f"{seed}-{rate}", three(50 + seed, 50, 50), config=config)
    record(tmp_path / "b", three(40, 40, 40), config={"method.name": "b", "optim.lr": 1.0})
    table = tables(named_runs(map(str, tmp_path.iterdir())))[0]
    assert table.heads == ("Method", "Lr")
    assert [row.names for row in table.rows if row.names[0] == "a"] == [("a", "0.02"), ("a", "0.1")]
    assert row(table, "b").seeds == "1"
    assert [row.cells[0].mean for row in table.rows if row.names[0] == "a"] == [51.5, 51.5]


def test_keys_that_end_alike_are_written_out(tmp_path: Path) -> None:
    for rate in (1, 2):
        config = {"optim.lr": rate, "method.lr": rate}
        record(tmp_path / f"{rate}", three(50, 50, 50), config=config)
    table = tables(named_runs(map(str, sorted(tmp_path.iterdir()))))[0]
    assert sorted(table.heads[1:]) == ["method.lr", "optim.lr"]


def test_sweep_that_has_not_started_has_empty_lines(tmp_path: Path) -> None:
    plan(tmp_path, [{"row": "a", "folder": "a-1", "seed": 1}])
    table = tables(sweep_runs(tmp_path))[0]
    assert (table.title, row(table, "a").seeds) == ("Not started", "0 of 1")


def test_settings_of_a_data_set_do_not_split_a_line(two_sets: Path) -> None:
    for path in two_sets.glob("*-cars-*/config.yaml"):
        path.write_text(path.read_text() + "optim: {lr: 0.5}\n")
    assert tables(sweep_runs(two_sets))[0].heads == ("Method",)


def test_run_not_started_knows_what_the_others_of_its_sweep_agree_on(two_sets: Path) -> None:
    (two_sets / "b-cars-2" / "config.yaml").unlink()
    (run,) = (run for run in sweep_runs(two_sets) if run.path.name == "b-cars-2")
    assert (run.task, run.data) == ("base_to_novel", ("cars", "data"))
    assert len(tables(sweep_runs(two_sets))) == 4


def test_zero_shot_reference_is_a_row_once_per_seed(tmp_path: Path) -> None:
    for name, seed, local in (("a", 1, 50.0), ("b", 1, 50.0), ("a", 2, 52.0)):
        config = {"seed": seed, "method.name": name, "optim.lr": local}
        scores = three(60, 60, 60)
        record(tmp_path / f"{name}{seed}", scores, config=config, zero_shot=three(local, 50, 50))
    table, cost = tables(named_runs(map(str, sorted(tmp_path.iterdir()))))
    assert table.rows[0].names[0] == ZERO_SHOT
    assert table.rows[0].cells[0] == Cell.of({1: 50.0, 2: 52.0}, 2)
    assert table.rows[0].is_reference
    assert means(cost, ZERO_SHOT)["up_bytes"] == 0


@pytest.mark.parametrize("second", [50.0, 55.0])
def test_reference_is_split_by_settings_of_rows_if_it_depends_on_them(
    second: float, tmp_path: Path
) -> None:
    for name, local in (("a", 50.0), ("b", second)):
        config = {"method.name": name, "data.template": name, "data.views": local}
        zero_shot = three(local, 50, 50)
        record(tmp_path / name, three(60, 60, 60), config=config, zero_shot=zero_shot)
    table = tables(named_runs(map(str, sorted(tmp_path.iterdir()))))[0]
    found = [row.names[1:] for row in table.rows if row.is_reference]
    assert found == [()] if second == 50.0 else len(found) == 2


def test_reference_of_a_run_not_finished_is_none_of_the_methods(tmp_path: Path) -> None:
    record(tmp_path / "a", three(60, 60, 60), zero_shot=three(50, 50, 50))
    record(tmp_path / "b", None, config={"optim.lr": 1, "data.shots": 1})
    table = tables(named_runs(map(str, sorted(tmp_path.iterdir()))))[0]
    assert {row.is_reference for row in table.rows if row.names[0] == ZERO_SHOT} == {True}


def test_reference_is_left_out_where_a_run_trains_nothing(tmp_path: Path) -> None:
    zero = {"method.name": "frozen"}
    record(tmp_path / "a", three(5, 5, 5), config=zero, zero_shot=three(5, 5, 5), sent=0, trained=0)
    record(tmp_path / "b", three(60, 60, 60), zero_shot=three(5, 5, 5))
    table = tables(named_runs(map(str, sorted(tmp_path.iterdir()))))[0]
    assert [row.names[0] for row in table.rows] == ["frozen", "tuned"]


def test_run_that_counts_or_prompts_otherwise_is_not_taken_for_zero_shot(tmp_path: Path) -> None:
    beside = {"zero_shot": three(5, 5, 5), "sent": 8, "trained": 0}
    rounds = [round_row(0, 50.0), round_row(1, 60.0)]
    config = {"method.name": "counted"}
    record(tmp_path / "a", three(60, 60, 60), config=config, rounds=rounds, **beside)
    record(tmp_path / "b", three(7, 7, 7), config={"method.name": "ensemble"}, **beside)
    runs = named_runs(map(str, sorted(tmp_path.iterdir())))
    table = tables(runs)[0]
    assert {row.names[0]: row.is_reference for row in table.rows} == {
        ZERO_SHOT: True, "counted": False, "ensemble": True,
    }  # fmt: skip
    assert means(tables(runs, keys=["round_seconds"])[0], "counted")["round_seconds"] == 2.0


def test_score_that_a_row_never_has_is_not_counted_as_missing(tmp_path: Path) -> None:
    rows = []
    for name, more in (("with", {"unseen_mean": 50.0}), ("without", {})):
        for seed in (1, 2):
            config, folder = {"seed": seed, "method.name": name}, f"{name}-{seed}"
            record(tmp_path / folder, {**three(60, 60, 60), **more}, config=config)
            rows.append({"row": name, "folder": folder, "seed": seed})
    table = tables(sweep_runs(plan(tmp_path, rows)))[0]
    assert means(table, "without")["unseen_mean"] is None
    assert [row.seeds for row in table.rows] == ["2", "2"]


def test_feature_shift_has_a_column_per_domain_and_one_over_all(tmp_path: Path) -> None:
    scores = {
        "local_mean": 61.0, "local_std": 3.0, "global_mean": 40.0, "domain_photo_mean": 70.0,
        "domain_sketch_mean": 52.0,
    }  # fmt: skip
    record(tmp_path / "a", scores, config={"data.task": "feature_shift"})
    table = tables(named_runs([str(tmp_path / "a")]))[0]
    assert [column.title for column in table.columns] == ["Photo", "Sketch", "All", "Global"]
    assert [cell.mean for cell in table.rows[0].cells] == [70.0, 52.0, 61.0, 40.0]


def test_label_shift_has_a_column_per_concentration(tmp_path: Path) -> None:
    for beta in (1.0, 0.1, 0.5):
        config = {"data.task": "label_shift", "data.beta": beta}
        scores = {"local_mean": 70 - 10 * beta, "global_mean": 50.0}
        record(tmp_path / f"{beta}", scores, config=config)
    table = tables(named_runs(map(str, tmp_path.iterdir())))[0]
    assert [column.title for column in table.columns] == [
        "Local, β = 0.1", "Local, β = 0.5", "Local, β = 1.0",
        "Global, β = 0.1", "Global, β = 0.5", "Global, β = 1.0",
    ]  # fmt: skip
    assert [cell.mean for cell in table.rows[0].cells] == [69.0, 65.0, 60.0, 50.0, 50.0, 50.0]


def test_folders_of_ones_own_are_data_sets_of_their_own(tmp_path: Path) -> None:
    for root in ("/x/cats", "/x/dogs"):
        config = {"data.name": "folder", "data.root": root}
        record(tmp_path / Path(root).name, three(50, 50, 50), config=config)
    found = tables(named_runs(map(str, sorted(tmp_path.iterdir()))))
    assert [table.data for table in found[:3]] == ["average", "folder cats", "folder dogs"]


def test_clients_are_rows_with_time_memory_and_bytes(tmp_path: Path) -> None:
    for clients in (100, 10):
        config = {
            "data.num_clients": clients, "federation.fraction": 0.1,
            "federation.first_round_all": True,
        }  # fmt: skip
        rounds = [
            round_row(index, 50.0, train_seconds=[9.0, 1.0, 3.0][index]) for index in range(3)
        ]
        scores = three(50, 50, 50)
        folder = tmp_path / f"{clients}"
        record(folder, scores, config=config, zero_shot=scores, rounds=rounds)
    table, cost = tables(named_runs(map(str, tmp_path.iterdir())))
    assert table.heads == ("Method", "Clients")
    assert [row.names[1] for row in table.rows] == ["10", "100"] * 2
    assert means(table, ZERO_SHOT, "100")["round_seconds"] is None  # it took no round
    assert row(table, ZERO_SHOT, "100").seeds == "1"
    found = means(table, "tuned", "100")
    assert found["round_seconds"] == 3.0  # the median
    assert found["resident_mib"] == 502  # the peak
    assert (found["up_bytes"], found["down_bytes"]) == (100, 300)
    assert found["total_bytes"] == 4000  # of ten clients; all hundred in the first round
    assert len(cost.rows) == 2  # costs do not depend on the number of clients


def test_cost_table_has_a_line_for_each_cost_of_a_row(tmp_path: Path) -> None:
    for rank, rate in ((8, 0.1), (8, 0.2), (16, 0.1), (16, 0.2)):
        config = {"method.rank": rank, "optim.lr": rate}
        record(tmp_path / f"{rank}-{rate}", three(50, 50, 50), config=config, trained=100 * rank)
    cost = tables(named_runs(map(str, tmp_path.iterdir())))[-1]
    assert cost.heads == ("Method", "Rank")
    assert [row.seeds for row in cost.rows] == ["2", "2"]  # both rates cost the same
    assert [(row.names[1], row.cells[0].mean) for row in cost.rows] == [("8", 800), ("16", 1600)]
    assert "start_numbers" not in [column.key for column in cost.columns]  # nobody has any


def test_finished_run_counts_where_the_same_seed_is_there_twice(tmp_path: Path) -> None:
    record(tmp_path / "a", None)
    record(tmp_path / "b", three(60, 50, 50))
    table = tables(named_runs(map(str, sorted(tmp_path.iterdir()))))[0]
    assert table.rows[0].cells[0] == Cell(60.0, None, 1, 1)


def test_papers_rows_are_where_they_belong_and_never_best(two_sets: Path) -> None:
    average, pets, _, cost = tables(sweep_runs(two_sets), paper=True)
    assert means(average, "pFedMMA (paper)")["hm"] == 84.15
    assert means(average, "CLIP (paper)")["novel_mean"] is None
    assert not any(row.is_published for row in pets.rows)
    assert means(cost, "pFedMMA (paper)")["up_numbers"] == 3072
    assert pets.best(3)[1]
    assert not any(average.best(3)[2:])


def test_papers_row_of_label_shift_needs_its_data_set(tmp_path: Path) -> None:
    for beta in (0.1, 0.5):
        config = {"data.task": "label_shift", "data.beta": beta, "data.name": "cifar100"}
        record(tmp_path / f"{beta}", {"local_mean": 70.0}, config=config)
    table = tables(named_runs(map(str, tmp_path.iterdir())), paper=True)[0]
    assert [cell.mean for cell in row(table, "CLIP (paper)").cells] == [73.14, 69.53]


def test_lone_client_with_all_data_has_no_column_that_compares_clients(tmp_path: Path) -> None:
    scores = {**three(60, 60, 40), "own_mean": 60.0, "local_worst_decile": 60.0}
    rows = []
    for name, clients in (("ten", 10), ("one", 1)):
        record(tmp_path / name, scores, config={"data.num_clients": clients})
        rows.append({"row": name, "folder": name, "seed": 1})
    table, _ = tables(sweep_runs(plan(tmp_path, rows)))
    assert "Clients" not in table.heads
    assert means(table, "ten")["own_mean"] == 60
    assert means(table, "one")["own_mean"] is None
    assert means(table, "one")["hm"] == pytest.approx(scores["hm"])
    assert [row.seeds for row in table.rows] == ["1", "1"]
    assert table.remarks[0].startswith("A single client with all data")
    keys = ["local_worst_decile", "local_mean"]
    assert means(tables(sweep_runs(tmp_path), keys=keys)[0], "one") == {
        "local_worst_decile": None, "local_mean": 60,
    }  # fmt: skip


def test_lone_client_is_best_among_its_like_alone(tmp_path: Path) -> None:
    rows = []
    for name, clients, local in (("lone", 1, 90), ("good", 10, 70), ("bad", 10, 60)):
        for seed in (1, 2, 3):
            folder = f"{name}{seed}"
            config = {"data.num_clients": clients, "seed": seed}
            record(tmp_path / folder, three(local + seed / 10, 50, 40), config=config)
            rows.append({"row": name, "folder": folder, "seed": seed})
    table, _ = tables(sweep_runs(plan(tmp_path, rows)))
    assert [row.names[0] for row in table.rows][-3:] == ["lone", "good", "bad"]
    assert table.best(0)[-3:] == [False, True, False]
    others = replace(table, rows=tuple(replace(row, is_alone=True) for row in table.rows))
    assert others.best(0)[-3:] == [True, False, False]


@pytest.mark.parametrize(
    ("task", "words"),
    [("base_to_novel", "text adapters"), ("feature_shift", "89 to 94 %"), ("label_shift", "590")],
)
def test_papers_defects_are_told_beside_its_figures_and_only_then(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str, words: str
) -> None:
    folder = str(record(tmp_path / "run", three(60, 50, 40), config={"data.task": task}))
    for kind in ("markdown", "latex", "csv"):
        assert main([folder, "--format", kind, "--paper"]) == 0
        told = capsys.readouterr()
        assert words in (told.err if kind == "csv" else told.out)
        assert main([folder, "--format", kind]) == 0
        told = capsys.readouterr()
        assert words not in told.out + told.err
