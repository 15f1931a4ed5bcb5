"""Show a waiting person how far the run is: bars in a terminal and in a notebook, plain log lines
elsewhere."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from pfedmma_dist.quantities.catalogue import round_line
from pfedmma_dist.quantities.units import duration
from pfedmma_dist.run.logs import interactive
from pfedmma_dist.run.notebook import NotebookBars, in_notebook
from pfedmma_dist.run.record import RoundRecord
from pfedmma_dist.world import World

log = logging.getLogger(__name__)

QUIET_SECONDS = 30.0
"""Longest silence of a step where there are no bars."""

Advance = Callable[[int], None]


class Progress:
    """The display of one run; silent on other ranks than the first."""

    def __init__(self, world: World, console: Console, rounds: int, start_round: int = 0) -> None:
        """console: what `configure_logging` returned. start_round: the first to be trained."""
        self.first, self.rounds, self.start_round = world.first, rounds, start_round
        self.bars: Bars | NotebookBars | None = None
        self.main: TaskID | None = None
        self.began: float | None = None
        if world.first and in_notebook() and not console.quiet:
            self.bars = NotebookBars()
        elif world.first and interactive():
            self.bars = Bars(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=console,
                refresh_per_second=4,
                speed_estimate_period=3600,  # a round may well take longer than rich's 30 seconds
                transient=True,
            )

    def __enter__(self) -> "Progress":
        if self.bars is not None:
            self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bars is not None:
            self.bars.stop()

    @contextmanager
    def step(self, description: str, total: int) -> Iterator[Advance]:
        """Show a step outside the rounds, such as a feature cache; yield `advance(n)`."""
        start = time.monotonic()
        done = 0
        with self.part(description, total) as bar:

            def advance(count: int) -> None:
                nonlocal done
                done += count
                bar(count)

            yield advance
        self._say(f"{description}: {done:,} in {duration(time.monotonic() - start)}")

    @contextmanager
    def part(self, description: str, total: int) -> Iterator[Advance]:
        """Show what others have a last line about, such as the scores of a round; yield
        `advance(n)`. Where there are no bars it speaks up when it is long."""
        start = spoken = time.monotonic()
        done = 0
        with self._bar(description, total) as bar:

            def advance(count: int) -> None:
                nonlocal done, spoken
                bar(count)
                done += count
                now = time.monotonic()
                if self.bars is None and now - spoken > QUIET_SECONDS and 0 < done < total:
                    spoken = now
                    left = duration((now - start) / done * (total - done))
                    self._say(f"{description}: {done:,} of {total:,}, about {left} left")

            yield advance

    @contextmanager
    def round(self, round_index: int, num_clients: int) -> Iterator[Advance]:
        """Show the clients of a round as they finish; yield `advance(n)`."""
        if self.began is None:
            self.began = time.monotonic()
            if self.bars is not None:
                self.main = self.bars.add_task(
                    "rounds", total=self.rounds, completed=self.start_round, note=""
                )
        with self._bar(f"round {round_index + 1}: clients", num_clients) as bar:
            yield bar

    def round_done(self, record: RoundRecord) -> None:
        """Log one line about a finished round and move the bar."""
        done = record.round_index + 1
        parts = round_line(record.measured, record.scores)
        if record.scored_on:
            parts.append(f"scored on {record.scored_on}")
        seconds = record.train_seconds + record.evaluate_seconds
        line = ", ".join([*parts, duration(seconds)])
        if self.began is not None and done < self.rounds:
            pace = (time.monotonic() - self.began) / (done - self.start_round)
            line += f", about {duration(pace * (self.rounds - done))} left"
        self._say(f"round {done}/{self.rounds}: {line}")
        if self.bars is not None and self.main is not None:
            self.bars.update(self.main, completed=done, note=", ".join(parts))

    def _say(self, line: str) -> None:
        if self.first:
            log.info("%s", line)

    @contextmanager
    def _bar(self, description: str, total: int) -> Iterator[Advance]:
        """Show one more bar while the block lasts."""
        bars = self.bars
        if bars is None:
            yield lambda count: None
            return
        task = bars.add_task(description, total=total, note="")
        try:
            yield lambda count: bars.advance(task, count)
        finally:
            bars.remove_task(task)
