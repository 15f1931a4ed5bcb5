"""Callbacks: what a program wants to be told of while a simulation trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pfedmma_dist.simulation.records import Result, Round
    from pfedmma_dist.simulation.simulation import Simulation


class Callback:
    """Is told of the course of `Simulation.train`; override what is of interest.

    Under several ranks it is called on each of them.
    """

    def on_start(self, simulation: Simulation) -> None:
        """Hear that training begins, or goes on."""

    def on_round(self, record: Round) -> bool | None:
        """Hear of a finished round; return True to stop here, with all that is done saved."""
        return None

    def on_finish(self, result: Result) -> None:
        """Hear that the run is finished: not where it was stopped before."""


Listener = Callback | Callable[["Round"], "bool | None"]
"""A callback, or a function of a finished round: its `on_round`."""


class Listeners(Callback):
    """Several listeners, told one after another."""

    def __init__(self, listeners: tuple[Listener, ...]) -> None:
        for each in listeners:
            if isinstance(each, type) or not (isinstance(each, Callback) or callable(each)):
                raise TypeError(
                    f"train: {each!r} is neither a Callback nor a function of a round; make it an "
                    "object of a subclass of pfedmma_dist.Callback"
                )
        self.listeners = listeners

    def on_start(self, simulation: Simulation) -> None:
        """Tell all that training begins."""
        for each in self._callbacks():
            each.on_start(simulation)

    def on_round(self, record: Round) -> bool:
        """Tell all of a round; return whether any of them asks to stop."""
        answers = [
            (each, each.on_round(record) if isinstance(each, Callback) else each(record))
            for each in self.listeners
        ]
        for each, answer in answers:
            if answer is not None and type(answer).__name__ not in ("bool", "bool_"):  # numpy's too
                raise TypeError(
                    f"on_round of {each!r} returned {answer!r}; return True to stop, else nothing"
                )
        return any(answer for _, answer in answers)

    def on_finish(self, result: Result) -> None:
        """Tell all that the run is finished."""
        for each in self._callbacks():
            each.on_finish(result)

    def _callbacks(self) -> list[Callback]:
        return [each for each in self.listeners if isinstance(each, Callback)]
