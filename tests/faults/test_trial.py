"""A suite that cannot fail is worthless: what goes wrong is seen, counted, and ends in code 1."""

import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.faults import page
from tests.faults.base import Base
from tests.faults.place import Place
from tests.faults.runner import Runner
from tests.faults.trial import Ending, Kind, Row, Trial, Verdict, exit_code
from tests.faults.whole import Whole, compare_points
from tests.runs import Ended

TRACEBACK = "Traceback (most recent call last):\n  File x\nKeyError: 'rows'\n"
REFUSAL = "error: run.folder: /x holds another run; set another one\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place with a run folder, and a /dev/shm that is not looked at."""
    (tmp_path / "run").mkdir()
    return Place(tmp_path, tmp_path, private=False)


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Whole:
    """A run to compare with, and a comparison that finds the same."""
    monkeypatch.setattr("tests.faults.place.compare", lambda folder, whole: [])
    return Whole(tmp_path, ("a", "b"), [], "", {}, 0.0)


def ending(place: Place, whole: Whole, ended: list[Ended], **options: bool) -> Ending:
    return place.judge("it", ended, whole, **options).ending


def test_same_bits_survive_with_and_without_a_warning(place: Place, whole: Whole) -> None:
    assert ending(place, whole, [Ended(0, "", "fine")]) is Ending.UNHARMED
    assert ending(place, whole, [Ended(0, "", "x WARNING y")]) is Ending.FELL_BACK


def test_other_bits_are_silent(place: Place, whole: Whole, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.place.compare", lambda folder, whole: ["other rows"])
    assert ending(place, whole, [Ended(0, "", "x WARNING y")]) is Ending.SILENT


def test_run_that_should_have_been_refused_is_silent(place: Place, whole: Whole) -> None:
    assert ending(place, whole, [Ended(0, "", "")], must_refuse=True) is Ending.SILENT


def test_traceback_of_any_rank_counts(place: Place, whole: Whole) -> None:
    ended = [Ended(0, "", ""), Ended(1, "", TRACEBACK)]
    assert ending(place, whole, ended) is Ending.TRACEBACK
    assert ending(place, whole, [Ended(0, "", TRACEBACK)]) is Ending.TRACEBACK


def test_refusal_survives_where_it_may_and_names_something(place: Place, whole: Whole) -> None:
    assert ending(place, whole, [Ended(2, "", REFUSAL)], may_refuse=True) is Ending.REFUSED
    assert ending(place, whole, [Ended(2, "", REFUSAL)]) is Ending.FAILED
    for words in ("", "error: no\n", REFUSAL + "error: data.root: x\n"):
        assert ending(place, whole, [Ended(2, "", words)], may_refuse=True) is Ending.FAILED


def test_other_exit_codes_and_rests_fail(place: Place, whole: Whole) -> None:
    assert ending(place, whole, [Ended(-9, "", "")]) is Ending.FAILED
    (place.run / ".x.tmp").touch()
    assert ending(place, whole, [Ended(0, "", "")]) is Ending.FAILED


def test_point_shown_twice_or_with_another_value_is_seen() -> None:
    wanted = {"a": [(0, 1.0)], "figures/x": [(3, None)]}
    assert compare_points(wanted, wanted) == []
    assert "twice" in compare_points({"a": [(0, 1.0), (0, 1.0)]}, wanted)[0]
    assert "other" in compare_points({**wanted, "a": [(0, 2.0)]}, wanted)[0]


def ends(*endings: Ending) -> Iterable[Verdict]:
    return [Verdict(ending.name, ending, "why") for ending in endings]


def kind(*trials: Trial) -> Kind:
    return Kind("faults", "what it means", lambda base: trials)


def rows(tmp_path: Path, *trials: Trial) -> list[Row]:
    return Runner(Base(tmp_path, quick=False, private=False), 2).run([kind(*trials)])


def test_every_ending_is_counted_in_its_column(tmp_path: Path) -> None:
    trial = Trial("all", lambda place: ends(*Ending))
    [row] = found = rows(tmp_path, trial)
    assert (row.tried, row.survived) == (7, 4)
    assert "| faults | 7 | 4 | 1 | 1 | 1 | " in page.table(found)
    assert "| **all** | 7 | 4 | 1 | 1 | 1 |  |" in page.table(found)
    assert exit_code(found) == 1


@pytest.mark.parametrize("bad", [Ending.SILENT, Ending.TRACEBACK, Ending.FAILED])
def test_one_that_does_not_survive_is_enough_for_exit_code_1(bad: Ending) -> None:
    fine = Row("x", verdicts=list(ends(Ending.UNHARMED, Ending.REFUSED)))
    assert exit_code([fine]) == 0
    assert exit_code([fine, Row("y", verdicts=list(ends(bad)))]) == 1


def test_nothing_tried_is_no_success() -> None:
    assert exit_code([]) == 1
    assert exit_code([Row("x")]) == 1


def test_trial_that_hangs_is_ended_with_all_it_started_and_counted(tmp_path: Path) -> None:
    note = tmp_path / "started"

    def hang(place: Place) -> Iterator[Verdict]:
        process = os.fork()
        if process:
            note.write_text(str(process))
        signal.pause()
        yield from ()

    [row] = rows(tmp_path, Trial("hangs", hang, limit=0.5))
    assert [verdict.note for verdict in row.failures()] == ["no answer within 0.5 s"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_error_in_the_suite_itself_is_no_success(tmp_path: Path) -> None:
    [row] = rows(tmp_path, Trial("breaks", lambda place: 1 / 0))
    assert "the suite failed: ZeroDivisionError" in next(row.failures()).note


def test_fault_that_never_came_about_is_not_counted_but_told(tmp_path: Path) -> None:
    [row] = rows(tmp_path, Trial("never", lambda place: []))
    assert row.tried == 0
    assert "1 not counted" in row.how()


def test_place_is_removed(tmp_path: Path) -> None:
    rows(tmp_path, Trial("fine", lambda place: ends(Ending.AS_TOLD)))
    assert list((tmp_path / "places").iterdir()) == []
