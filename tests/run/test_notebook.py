"""Progress in a notebook: bars in one place of a cell, drawn seldom, and no line for each round."""

import logging
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from pfedmma_dist.run import notebook
from pfedmma_dist.run.logs import handlers_of
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.world import World


class Cell:
    """Stands in for IPython: what a cell shows, by place."""

    def __init__(self) -> None:
        self.shell = SimpleNamespace(kernel=object(), execution_count=1)
        self.places: list[list[str]] = []

    def display(self, shown: dict[str, str], *, raw: bool, display_id: bool) -> SimpleNamespace:
        place = [shown["text/plain"]]
        self.places.append(place)
        return SimpleNamespace(update=lambda shown, raw: place.append(shown["text/plain"]))


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    made = Cell()
    outer = SimpleNamespace(get_ipython=lambda: made.shell, display=made)
    monkeypatch.setitem(sys.modules, "IPython", outer)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=made.display))
    return made


def train(progress: Progress, rounds: range) -> None:
    for index in rounds:
        with progress, progress.round(index, 4) as advance:
            for _ in range(4):
                advance(1)
            assert progress.bars is not None
            progress.bars.update(progress.main, completed=index + 1, note=f"loss {index}")


def test_a_long_run_is_drawn_seldom_and_in_one_place(cell: Cell) -> None:
    train(Progress(World.alone(), Console(), rounds=100), range(100))
    [place] = cell.places
    assert place[-1].startswith(f"rounds {'━' * 24} 100/100  loss 99")
    assert len(place) < 250  # of 700 counts: the first, and one at each stop


def test_another_cell_has_a_place_of_its_own(cell: Cell) -> None:
    progress = Progress(World.alone(), Console(), rounds=4)
    train(progress, range(2))
    cell.shell.execution_count = 2
    train(progress, range(2, 4))
    assert [place[-1].splitlines()[0][-14:-8] for place in cell.places] == ["── 2/4", "━━ 4/4"]


def test_a_step_alone_is_left_as_it_ended(cell: Cell) -> None:
    progress = Progress(World.alone(), Console(), rounds=1)
    with progress, progress.step("scores", total=1000) as advance:
        for _ in range(10):
            advance(100)
    assert cell.places[0][0].endswith(" 0/1,000") and cell.places[0][-1].endswith(" 1,000/1,000")
    assert len(cell.places[0]) < 6


@pytest.mark.usefixtures("cell")
def test_lines_of_each_round_are_left_to_the_log_and_warnings_are_not() -> None:
    [handler] = handlers_of(World.alone(), None, Console())
    assert handler.level == logging.WARNING


@pytest.mark.usefixtures("cell")
def test_quiet_stays_quiet_and_other_ranks_silent() -> None:
    assert Progress(World.alone(), Console(quiet=True), rounds=1).bars is None
    assert Progress(World(1, 2, World.alone().device), Console(), rounds=1).bars is None


def test_elsewhere_nobody_is_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not notebook.in_notebook()
