"""Notebook: bars in the cell that runs, drawn over again in one place, so that a long run leaves a
line and not one for each round."""

import sys
import time
from dataclasses import dataclass
from typing import Any

from rich.progress import TaskID

WIDTH = 24
"""Characters of a bar."""

PAUSE_SECONDS = 0.5
"""Least time between two drawings: each is sent to the browser, and kept in the file."""


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    return getattr(_shell(), "kernel", None) is not None


def _shell() -> Any:
    module: Any = sys.modules.get("IPython")  # whoever is in one has imported it
    return None if module is None else module.get_ipython()


@dataclass
class _Task:
    """What is counted."""

    description: str
    total: float | None
    completed: float
    note: str


class NotebookBars:
    """Bars as rich's `Progress` has them for a terminal, as far as `run.progress` asks for them."""

    def __init__(self) -> None:
        self._tasks: dict[TaskID, _Task] = {}
        self._handle: Any = None  # of the place in a cell's output
        self._cell: int | None = None  # which, by its number
        self._next, self._drawn = 0, float("-inf")

    def start(self) -> None:
        """Begin: with the first drawing a cell gets a place, which it keeps over stops."""

    def stop(self) -> None:
        """Draw once more, and leave that."""
        self._draw(at_once=True)

    def add_task(
        self, description: str, *, total: float | None, completed: int = 0, note: str = ""
    ) -> TaskID:
        """Show one more bar, and return its number."""
        self._next += 1
        task = TaskID(self._next)
        self._tasks[task] = _Task(description, total, completed, note)
        self._draw()
        return task

    def advance(self, task: TaskID, count: float) -> None:
        """Count so many more."""
        self._tasks[task].completed += count
        self._draw()

    def update(self, task: TaskID, *, completed: float, note: str) -> None:
        """Say how far it is, and what beside the bar."""
        self._tasks[task].completed, self._tasks[task].note = completed, note
        self._draw()

    def remove_task(self, task: TaskID) -> None:
        """Take a bar away; the only one is left to be seen as it ended."""
        self._draw(at_once=len(self._tasks) == 1)
        del self._tasks[task]

    def _draw(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if not self._tasks or (now - self._drawn < PAUSE_SECONDS and not at_once):
            return
        from IPython.display import display

        self._drawn = now
        shown = {"text/plain": "\n".join(map(_line, self._tasks.values()))}
        cell = getattr(_shell(), "execution_count", None)
        if self._handle is None or cell != self._cell:
            self._handle, self._cell = display(shown, raw=True, display_id=True), cell
        else:
            self._handle.update(shown, raw=True)


def _line(task: _Task) -> str:
    """Return a bar as text."""
    total = task.total or 0
    done = round(WIDTH * min(1.0, task.completed / total)) if total else 0
    bar = "━" * done + "─" * (WIDTH - done)
    note = f"  {task.note}" if task.note else ""
    return f"{task.description} {bar} {task.completed:,.0f}/{total:,.0f}{note}"
