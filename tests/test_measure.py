"""What `cost --measure` tells: rounds that were really trained."""

from collections.abc import Iterator

import pytest
from runs import alone, make_lab

from pfedmma_dist import cost, measure
from pfedmma_dist.config.command_line import read
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.measure import Measured, rounds
from pfedmma_dist.methods import METHODS


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    lab = make_lab(tmp_path_factory.mktemp("measure"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "TIMED", 1)
        yield [word for word in lab.words("none") if not word.startswith("run.folder")]


def measured(words: list[str]) -> Measured:
    with alone():
        return rounds(read(words, methods=METHODS, sources=SOURCES))


@pytest.fixture(scope="module")
def found(words: list[str]) -> Measured:
    return measured(words)


def test_rounds_have_time_memory_and_arithmetic(found: Measured) -> None:
    assert 0 < found.seconds < 60
    assert found.mib > 50
    assert found.flop > 1e6


def test_arithmetic_is_of_one_step_however_many_there_are(
    words: list[str], found: Measured
) -> None:
    assert measured([*words, "federation.local_epochs=2"]).flop == found.flop


def test_plain_form_needs_more_arithmetic(words: list[str], found: Measured) -> None:
    assert measured([*words, "clip.cache=off"]).flop > 1.5 * found.flop


def test_table_has_the_measured_columns(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        cost, "METHODS", {name: METHODS[name] for name in ("zero_shot", "promptfl")}
    )
    with alone():
        assert cost.main(["--measure", *words]) == 0
    [row] = [line for line in capsys.readouterr().out.splitlines() if "promptfl" in line]
    assert "MiB" in row
