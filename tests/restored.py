"""What a test may change in its process and all can put back: no test meets what another left."""

import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pfedmma_dist.run.logs import SPEAKERS
from pfedmma_dist.run.signals import SIGNALS

OURS = (*SPEAKERS, "launch")
"""Loggers that tests listen at; with them go all below them."""

PYTESTS_OWN = "PYTEST_"
"""Beginning of the variables that pytest itself changes from test to test."""

UNITS = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)


@dataclass(frozen=True)
class Process:
    """The state of a process before its first test."""

    folder: Path
    variables: dict[str, str]
    handlers: dict[signal.Signals, Any]
    hook: Callable[[Any], Any]  # called for a thread that ends with an error
    threads: int
    random: torch.Tensor  # state of torch's own generator
    precisions: tuple[str, ...]

    @classmethod
    def now(cls) -> "Process":
        """Take the state down."""
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        return cls(
            Path.cwd(), variables(), handlers, threading.excepthook, torch.get_num_threads(),
            torch.get_rng_state(), tuple(unit.fp32_precision for unit in UNITS),
        )  # fmt: skip

    def restore(self) -> None:
        """Put everything back, whatever has become of it."""
        silence()
        os.chdir(self.folder)
        for name in variables().keys() - self.variables.keys():
            del os.environ[name]
        os.environ.update(self.variables)
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        threading.excepthook = self.hook
        torch.set_num_threads(self.threads)
        torch.set_rng_state(self.random)
        torch.use_deterministic_algorithms(False)
        torch.utils.deterministic.fill_uninitialized_memory = True
        for unit, precision in zip(UNITS, self.precisions, strict=True):
            unit.fp32_precision = precision


def variables() -> dict[str, str]:
    """Return the environment, without what pytest keeps there."""
    return {k: v for k, v in os.environ.items() if not k.startswith(PYTESTS_OWN)}


def silence() -> None:
    """Take what a run has told our loggers back, so that caplog hears all of them again."""
    logging.captureWarnings(False)
    known = logging.root.manager.loggerDict.items()
    ours = [one for name, one in known if name.startswith(OURS) and isinstance(one, logging.Logger)]
    for logger in ours:
        logger.propagate = True
        if logger.level != logging.NOTSET:  # setting it makes every logger forget what it knows
            logger.setLevel(logging.NOTSET)
        for handler in logger.handlers[:]:
            logger.removeHandler(handler)
            handler.close()
