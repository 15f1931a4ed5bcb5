"""How far an unfinished run is, and what it waits for: its rounds, or the last words of its log."""

import os
import time
from pathlib import Path
from typing import Any

from pfedmma_dist.config.documents import read_yaml
from pfedmma_dist.quantities.units import duration
from pfedmma_dist.reading import Unreadable
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.metrics import read_metrics
from pfedmma_dist.spelling import shortened

TAIL = 4096
"""Bytes of a log that are read from its end."""

QUIET_SECONDS, QUIET_ROUNDS = 60.0, 3
"""After so many seconds and rounds without a word nobody knows how long a run still takes."""

ROUND = " INFO round "
"""In a line of the log about a round, which metrics.csv tells as well."""


def pace(folder: Path, config: str, log: Path) -> str:
    """Say how many rounds of a run are done, and when about it will be, or what it does instead.

    log: what its launcher takes down, from before there is one in its folder.
    """
    metrics = RunFolder(folder).metrics
    try:
        columns = read_metrics(metrics) if metrics.exists() else {}
    except Unreadable as error:
        return f"error: {error}"
    said, silent = _last_words(log, RunFolder(folder).log)
    if not len(columns.get("round", ())):
        return f"no round yet{said}"
    done, total = int(columns["round"][-1]) + 1, _rounds(config)
    seconds = float((columns["train_seconds"] + columns["evaluate_seconds"]).mean())
    far = f"round {done} of {total}"
    if said and (ROUND not in said or silent > QUIET_SECONDS + QUIET_ROUNDS * seconds):
        return f"{far}{said}"
    return f"{far}, about {duration(seconds * (total - done))} left"


def _last_words(*logs: Path) -> tuple[str, float]:
    """Return the last line of the newest log, to stand behind other words, and its age, seconds."""
    try:
        written, log = max((log.stat().st_mtime, log) for log in logs if log.exists())
        with open(log, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - TAIL))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except (OSError, ValueError):  # no log yet, or none any more
        return "", 0.0
    said = f"; last said: {shortened(lines[-1], 160)}" if lines else ""
    return said, time.time() - written


def _rounds(config: str) -> int:
    section: Any = read_yaml(config)["federation"]
    return section["rounds"]
