"""Reading back: one voice for every way in which a file of ours can be damaged."""

import csv
import json
from pathlib import Path

import pytest

from pfedmma_dist.reading import FORMAT, Unreadable, read_json, read_rows, seal, sealed

DAMAGED = {
    "empty": b"",
    "cut": b'{"results": [1, 2',
    "junk": bytes(range(128, 255)),
    "deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "list": b"[1, 2]",
    "number": b"7",
    "null": b"null",
    "newer": json.dumps({"format": FORMAT + 6}).encode(),
    "no number": b'{"format": "one"}',
    "truth": b'{"format": true}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_json_is_refused_by_file_problem_and_remedy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(content)
    with pytest.raises(Unreadable) as refused:
        read_json(path, dict, "start the run again")
    assert str(refused.value).startswith(str(path))
    assert len(str(refused.value)) < 400 + len(str(path))


def test_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"cannot be read .*; start again"):
        read_json(tmp_path, dict, "start again")


def test_missing_file_is_for_the_caller_to_judge(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json", dict, "")


def test_newer_format_is_refused_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"format": 7}')
    with pytest.raises(Unreadable, match=f"format 7, and .* knows formats up to {FORMAT}"):
        read_json(path, dict, "")


@pytest.mark.parametrize("text", ["a\n1\n", "a,b\n1\n", "a,b\n1,2,3\n", 'a,b\n"1,2\n', "\n"])
def test_table_that_lacks_something_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(Unreadable, match="delete it"):
        read_rows(path, ["a", "b"], "delete it")


def test_line_that_a_crash_cut_off_is_none(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3,4")
    assert read_rows(path, ["a"], "") == [{"a": "1", "b": "2"}]


def test_seal_breaks_with_any_change_and_old_files_have_none(tmp_path: Path) -> None:
    body = {"format": 1, "results": [1.5], "a": {"b": 1}}
    assert sealed(tmp_path, {**body, "sha256": seal(body)}, "") == body
    with pytest.raises(Unreadable):
        sealed(tmp_path, {**body, "results": [1.25], "sha256": seal(body)}, "")
    with pytest.raises(Unreadable):
        sealed(tmp_path, body, "")
    assert sealed(tmp_path, {"results": []}, "") == {"results": []}


def test_cell_may_hold_any_character(tmp_path: Path) -> None:
    path, cell = tmp_path / "t.csv", 'a\x0b\x1c\u2028b, "c"\nd\r'
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([["a"], [cell]])
    assert read_rows(path, ["a"], "") == [{"a": cell}]
