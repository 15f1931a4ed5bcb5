"""A small sample of every kind of fault; the whole suite is `python -m tests.faults`."""

from tests.runs import python


def test_sample_of_every_kind_of_fault_survives() -> None:
    ended = python("-m", "tests.faults", "--quick", timeout=270)
    assert ended.code == 0, ended.out + ended.err
    assert ended.out.count("\n| ") > 20
