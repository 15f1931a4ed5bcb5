"""The table of controls: a row for each that was asked for, with a reason where it cannot be."""

from pathlib import Path

import pytest
from recorded import record, round_row, three

from pfedmma_dist.reading import Unreadable
from pfedmma_dist.results.controls import (
    CONTROLS,
    Scored,
    control_table,
    matrix_file,
    read_scored,
    scored_file,
    why_not,
    write_scored,
)
from pfedmma_dist.results.outcome import read_outcome
from pfedmma_dist.run.folder import RunFolder

NAMES = [control.name for control in CONTROLS]
SILENT = {"local_mean": 50.0, "base_mean": 50.0}
FOUND = Scored("", 60.0, 20.0, "", SILENT)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return record(tmp_path / "run", three(60, 50, 40), zero_shot=three(50, 50, 50))


def test_each_control_has_its_row_with_what_it_should_show(run: Path, tmp_path: Path) -> None:
    own = record(tmp_path / "names", three(2, 3, 4), zero_shot=three(1, 1, 1))
    table = control_table(read_outcome(run), {"names": read_outcome(own)}, FOUND, NAMES)
    rows = {row.names[0]: [cell.mean for cell in row.cells[:3]] for row in table.rows}
    assert rows == {
        "tuned": [60, 50, 40],
        "zero-shot CLIP": [50, 50, 50],
        "training labels permuted": [None] * 3,
        "class names permuted": [2, 3, 4],
        "zero-shot CLIP, class names permuted": [1, 1, 1],
        "shared part at its start": [None] * 3,
        "private parts swapped, on own images": [60, None, None],
        "private parts swapped, on others' images": [20, None, None],
        "method switched off (alpha = 0)": [50, 50, None],
    }
    seeds = {row.names[0]: row.seeds for row in table.rows}
    assert seeds["training labels permuted"] == "0 of 1"
    assert seeds["private parts swapped, on own images"] == "1"
    assert all(row.names[1] for row in table.rows[2:])


def test_what_was_not_asked_for_has_no_row(run: Path) -> None:
    table = control_table(read_outcome(run), {}, FOUND, ["alpha"])
    assert [row.names[0] for row in table.rows][2:] == ["method switched off (alpha = 0)"]


def test_what_cannot_be_says_why_in_its_row(tmp_path: Path) -> None:
    path = record(tmp_path / "run", three(60, 50, 40), sent=0, trained=0)
    found = Scored("no private part: nothing to swap", None, None, "no zero", {})
    table = control_table(read_outcome(path), {}, found, NAMES)
    told = {row.names[0]: row.names[1] for row in table.rows}
    assert told["private parts swapped"] == "– (no private part: nothing to swap)"
    assert told["method switched off (alpha = 0)"] == "– (no zero)"
    assert told["training labels permuted"].startswith("– (nothing is trained")
    assert told["shared part at its start"].startswith("– (nothing is shared")
    assert [bool(why_not(control, read_outcome(path))) for control in CONTROLS[:3]] == [
        True, False, True,
    ]  # fmt: skip


def test_what_is_counted_reads_labels_and_holds_no_shared_part(tmp_path: Path) -> None:
    rounds = [round_row(0, 50.0)]
    path = record(tmp_path / "run", three(60, 50, 40), trained=0, rounds=rounds)
    labels, _, shared, *_ = (why_not(control, read_outcome(path)) for control in CONTROLS)
    assert labels == ""
    assert shared.startswith("what is shared is counted")


def test_scores_belong_to_one_result(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run-controls"
    folder.mkdir()
    write_scored(folder, RunFolder(run), FOUND)
    assert read_scored(folder, RunFolder(run)) is None  # its matrix is not there
    matrix_file(folder).touch()
    assert read_scored(folder, RunFolder(run)) == FOUND
    other = record(tmp_path / "other", three(61, 50, 40))
    assert read_scored(folder, RunFolder(other)) is None


def test_damaged_scores_are_refused_with_the_remedy(run: Path) -> None:
    folder = run.with_name("run-controls")
    folder.mkdir()
    write_scored(folder, RunFolder(run), FOUND)
    path = scored_file(folder)
    path.write_text(path.read_text().replace("60.0", "90.0"))
    with pytest.raises(Unreadable, match="sha256 .* delete it"):
        read_scored(folder, RunFolder(run))
