"""The table of a run of the suite, and the page of the docs that holds it."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone

import torch

from tests.faults.trial import Ending, Row
from tests.runs import ROOT

HEADINGS = ("what", "tried", "survived", "silent", "tracebacks", "otherwise", "how they survived")
COUNTED = (Ending.SILENT, Ending.TRACEBACK, Ending.FAILED)

INTRODUCTION = """\
# Faults tried on the program

Written by `python -m tests.faults --markdown docs/faults.md`. A number here is a count of trials
that were really run; the command ends with exit code 1 if any of them did not survive.
`python -m tests.faults --list` names the kinds of faults, any of which can be run alone
(`python -m tests.faults kills worlds`); `--quick` takes a small sample of each.

"""

EXPLANATION = """\

## What the columns mean

- *survived*: the run ended with the same bits (rows of clients, shared part, scores, `clients.csv`,
  `metrics.csv`, what TensorBoard shows) as one that nothing disturbed, or it was refused with exit
  code 2 and one line that names the key or the file.
- *silent*: it went on to another result, or left out or believed something without a word.
- *tracebacks*: it ended in one, or told one.
- *otherwise*: it hung, left something behind, ended with another exit code than promised, or the
  trial itself went wrong.

Runs are tiny (4 clients, 3 shards, a CLIP of 4 blocks with random weights, gloo over loopback), so
that thousands fit into minutes; ranks are forked from a process that has imported everything once,
real torchrun only where a row says so. Seeds are fixed. Kills come at random times or by hooks on
file operations; disks fill up by errors injected at the operation, and by real small file systems
where the suite runs as root.

## What the rows mean

"""


def table(rows: Iterable[Row]) -> str:
    """Return the table in Markdown, with a line of totals."""
    rows = list(rows)
    lines = [_line(HEADINGS), _line(["---", *["---:"] * 5, "---"])]
    lines += [_cells(row.what, [row], row.how()) for row in rows]
    return "".join([*lines, _cells("**all**", rows, "")])


def page(rows: Sequence[Row], words: Sequence[str], seconds: float, workers: int) -> str:
    """Return the page: how, where and when it was run, the table, and what it means.

    words: those that chose the trials; none for all of them.
    """
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    python = ".".join(map(str, sys.version_info[:3]))
    command = " ".join(["python -m tests.faults", *words])
    when = (
        f"`{command}`: {now}, commit {commit()}, {len(os.sched_getaffinity(0))} CPU cores, "
        f"{workers} trials at a time, Python {python}, PyTorch {torch.__version__}; "
        f"{seconds / 60:.0f} minutes.\n\n"
    )
    meanings = "".join(f"- **{row.what}**: {row.meaning}.\n" for row in rows)
    host = socket.gethostname()  # TensorBoard's files bear its name
    failures = "".join(
        f"- {row.what}: {verdict.name}: {verdict.ending.value}\n".replace(host, "HOST")
        for row in rows
        for verdict in row.failures()
    )
    trouble = f"\n## What did not survive\n\n{failures}" if failures else ""
    return f"{INTRODUCTION}{when}{table(rows)}{trouble}{EXPLANATION}{meanings}"


def commit() -> str:
    """Return the commit that was run, marked where the tree has changes."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return answer.stdout.strip() or "unknown"


def _cells(name: str, rows: Sequence[Row], how: str) -> str:
    counts = [sum(row.tried for row in rows), sum(row.survived for row in rows)]
    counts += [sum(row.count(ending) for row in rows) for ending in COUNTED]
    return _line([name, *(f"{count:,}" for count in counts), how])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"
