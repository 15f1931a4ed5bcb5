"""A sweep file becomes runs; what is wrong with one of them is told before any is started."""

from collections.abc import Callable
from pathlib import Path

import pytest

from launch.plan import (
    PLAN,
    PlannedRun,
    adoption_warnings,
    check_ranks,
    is_finished,
    plan,
    write_plan,
)
from pfedmma_dist.config.written import to_yaml

Write = Callable[[str], str]
SWEEP = """
base: [data.name=folder, optim.lr=0.5]
rows:
  zero shot: [method.name=zero_shot]
  pFedMMA, alone: [method.share=none, optim.lr=0.1]
grid: {seed: [1, 2], data.num_clients: [4]}
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a writer of sweep files in the working folder."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> str:
        Path("mine.yaml").write_text(text)
        return "mine.yaml"

    return write


def refused(file: str, *words: str) -> str:
    with pytest.raises(ValueError) as error:
        plan(file, words)
    return str(error.value)


def finish(run: PlannedRun) -> None:
    run.folder.create()
    run.folder.config.write_text(to_yaml(run.config))
    run.folder.result.write_text('{"results": [{"scores": {"local_mean": 1.0}}]}')


def test_every_row_runs_at_every_point_of_the_grid(write: Write) -> None:
    runs = plan(write(SWEEP), [])
    assert [run.name for run in runs] == [
        "zero_shot-seed1-num_clients4",
        "pFedMMA_alone-seed1-num_clients4",
        "zero_shot-seed2-num_clients4",
        "pFedMMA_alone-seed2-num_clients4",
    ]
    assert [run.config.seed for run in runs] == [1, 1, 2, 2]
    assert {run.config.data.num_clients for run in runs} == {4}
    assert str(runs[0].folder.path) == "runs/mine/zero_shot-seed1-num_clients4"


def test_run_over_data_sets_is_called_by_the_set(write: Write) -> None:
    runs = plan(write("grid: {data.name: [pacs, folder], seed: [1]}\n"), [])
    assert [run.name for run in runs] == ["mine-pacs-seed1", "mine-folder-seed1"]


def test_base_comes_before_the_row_and_further_words_last(write: Write) -> None:
    file = write(SWEEP)
    assert [run.config.optim.lr for run in plan(file, [])[:2]] == [0.5, 0.1]
    assert {run.config.optim.lr for run in plan(file, ["optim.lr=3"])} == {3.0}


@pytest.mark.parametrize(("word", "seeds"), [("seed=7", [7]), ("seed=[7, 8]", [7, 8])])
def test_word_for_a_grid_key_replaces_its_values(write: Write, word: str, seeds: list[int]) -> None:
    runs = plan(write(SWEEP), [word])
    assert [run.config.seed for run in runs[::2]] == seeds
    assert [run.point["seed"] for run in runs[::2]] == seeds


EXCLUDE = """
rows: {a: [], b: []}
grid: {seed: [1, 2], data.beta: [0.1, 0.5]}
exclude: [{row: b, seed: 2}, {data.beta: 0.5, seed: 1}]
"""


def test_run_that_matches_all_keys_of_an_entry_is_left_out(write: Write) -> None:
    runs = [(run.row, *run.point.values()) for run in plan(write(EXCLUDE), [])]
    assert runs == [("a", 1, 0.1), ("b", 1, 0.1), ("a", 2, 0.1), ("a", 2, 0.5)]


def test_exclude_holds_for_a_narrowed_grid(write: Write) -> None:
    runs = [(run.row, *run.point.values()) for run in plan(write(EXCLUDE), ["seed=2"])]
    assert runs == [("a", 2, 0.1), ("a", 2, 0.5)]


def test_run_folder_is_the_folder_of_the_sweep(write: Write) -> None:
    runs = plan(write(SWEEP), ["run.folder=there"])
    assert {run.folder.path.parent for run in runs} == {Path("there")}
    assert runs[0].words[-1] == f"run.folder={runs[0].folder.path}"


def test_id_follows_from_what_decides_the_result(write: Write) -> None:
    first = [run.id for run in plan(write(SWEEP), [])]
    assert len(set(first)) == 4
    assert [run.id for run in plan(write(SWEEP), ["run.folder=there"])] == first
    assert not {run.id for run in plan(write(SWEEP), ["optim.momentum=0"])} & set(first)


def test_sweep_without_rows_is_one_row_of_its_own_name(write: Write) -> None:
    (run,) = plan(write("base: [data.name=folder]\n"), [])
    assert (run.row, run.name) == ("mine", "mine")


def test_sweep_without_a_data_set_runs_in_the_embedded_world(write: Write) -> None:
    (run,) = plan(write("rows: {mine: []}\n"), [])
    assert run.config.data.name == "glyphs"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("rows: {a: [], b: [method.rnk=3]}", "mine.yaml, row 'b': method.rnk: pfedmma has no such"),
        ("rows: {a: [nowhere.yaml]}", "mine.yaml, row 'a': there is no file nowhere.yaml"),
        ("grid: {seed: [1, many]}", "mine.yaml, row 'mine': seed: 'many' is not a whole number"),
        ("grid: {seed: []}", "mine.yaml plans no run: give every key of the grid a value"),
        ("grid: {seed: [1, 1]}", "rows 'mine' and 'mine' would both run in runs/mine/mine-seed1"),
        ("rows: {a b: [], a_b: []}", "rows 'a b' and 'a_b' would both run in runs/mine/a_b"),
        ("exclude: [{seed: 1}]", "exclude: seed is no key of the grid; an entry may name row"),
        (
            "grid: {optim.lr: [1]}\nexclude: [{lr: 1}]",
            "exclude: lr is no key of the grid; did you mean optim.lr?; an entry may name row, opt",
        ),
        (
            "grid: {seed: [1, 2]}\nexclude: [{seed: 3}]",
            "mine.yaml: exclude: seed: 3 matches no run; its values: 1, 2",
        ),
        ("rows: {a: []}\nexclude: [{row: b}]", "exclude: row: b matches no run; its values: a"),
        ("rows: {a: []}\nexclude: [{row: a}]", "mine.yaml plans no run: give every key"),
        ("rows: {a: []}\nexclude: [{}]", "an entry without a key would exclude every run"),
        ("grid: {seed: 1}", "grid: {'seed': 1} is not a mapping"),
        ("row: {a: []}", "unknown key row (in mine.yaml); did you mean rows?"),
    ],
)  # fmt: skip
def test_refusal_names_file_row_and_remedy(write: Write, text: str, error: str) -> None:
    assert error in refused(write(text))


@pytest.mark.parametrize("row", ["..", ".", "!", " "])
def test_row_that_names_no_folder_of_its_own_is_refused(write: Write, row: str) -> None:
    told = refused(write(f"base: [data.name=folder]\nrows: {{{row!r}: []}}\n"))
    assert told == f"mine.yaml: row {row!r} has no letter or digit to name a folder by"


def test_grid_of_a_word_out_of_bounds_is_refused_by_its_key(write: Write) -> None:
    told = refused(write(SWEEP), "seed=" + "[" * 5000)
    assert told.startswith("seed: '[[[") and "nested over 32 deep" in told


def test_missing_sweep_suggests_one_of_ours(write: Write) -> None:
    error = refused("quick_compar.yaml")
    assert error.endswith("did you mean configs/sweep/quick_compare.yaml?")


def test_finished_run_is_known_by_its_result(write: Write) -> None:
    run = plan(write(SWEEP), [])[1]
    assert not is_finished(run)
    finish(run)
    assert is_finished(run)


def test_result_of_another_configuration_is_refused(write: Write) -> None:
    finish(plan(write(SWEEP), [])[1])
    other = plan(write(SWEEP), ["optim.lr=3"])[1]
    with pytest.raises(ValueError, match=r"optim.lr: 0.1 there, 3.0 here.*set run.folder"):
        is_finished(other)


def test_finished_runs_of_other_weights_are_told_once(write: Write) -> None:
    for run in plan(write(SWEEP), []):
        finish(run)
    assert adoption_warnings(plan(write(SWEEP), [])) == []
    [told] = adoption_warnings(plan(write(SWEEP), ["clip.pretrained=other.pt"]))
    assert told.startswith("clip.pretrained: ") and "other.pt is not looked at" in told


def test_more_ranks_than_shards_are_refused(write: Write) -> None:
    config = plan(write(SWEEP), [])[0].config
    check_ranks(config, 8)
    with pytest.raises(ValueError, match="8 shards cannot feed 9 ranks"):
        check_ranks(config, 9)
    check_ranks(config, 9, on_gpus=True)  # where there is a shard for each by default


def test_plan_is_written_beside_the_runs(write: Write) -> None:
    runs = plan(write(SWEEP), ["seed=1"])
    folder = write_plan(runs)
    assert (folder / PLAN).read_text() == (
        "id,row,folder,format,seed,data.num_clients\n"
        f"{runs[0].id},zero shot,zero_shot-seed1-num_clients4,1,1,4\n"
        f'{runs[1].id},"pFedMMA, alone",pFedMMA_alone-seed1-num_clients4,1,1,4\n'
    )
