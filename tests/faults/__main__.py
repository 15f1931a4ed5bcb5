"""Try faults on the program: `python -m tests.faults [NAME ...] [--quick] [--markdown FILE]`."""

import argparse
import importlib
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.faults import page
from tests.faults.base import Base
from tests.faults.place import own_shared_memory
from tests.faults.runner import Runner, tell
from tests.faults.trial import Kind, exit_code
from tests.faults.warm import warm

NAMES = (
    "kills", "every_operation", "sweeps", "checkpoints", "by_hand", "strangers", "results",
    "questions", "tabulated", "features", "inputs", "worlds", "stops", "full_disk", "hanging",
    "clocks", "hostile_pickles", "hostile_archives", "hostile_words", "endurance",
)  # fmt: skip
"""Modules of `kinds`, in the order of the table."""


def kinds_of(names: list[str]) -> list[Kind]:
    """Return the rows of modules."""
    modules = [importlib.import_module(f"tests.faults.kinds.{name}") for name in names]
    return [kind for module in modules for kind in module.KINDS]


def main(argv: list[str] | None = None) -> int:
    """Run what the command line asks for and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help="of --list; without one, all")
    parser.add_argument("--list", action="store_true", help="print the names and their rows")
    parser.add_argument("--quick", action="store_true", help="a small sample of each row")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="write the page of the docs")
    parser.add_argument("--workers", metavar="N", type=int, help="trials at a time; the cores")
    words = parser.parse_args(argv)
    unknown = sorted(set(words.names) - set(NAMES))
    if unknown:
        print(
            f"error: {unknown[0]} is no kind of fault; known: {', '.join(NAMES)}", file=sys.stderr
        )
        return 2
    names = words.names or list(NAMES)
    if words.list:
        for name in names:
            print(name, *(f"    {kind.what}" for kind in kinds_of([name])), sep="\n")
        return 0
    workers = words.workers or len(os.sched_getaffinity(0))
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # and clean up
    began, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="pfedmma-faults-"))
    try:
        warm(folder)
        base = Base.make(folder, words.quick, private=own_shared_memory())
        rows = Runner(base, workers).run(kinds_of(names))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    took = time.monotonic() - began
    print(page.table(rows), end="")
    for row in rows:
        for verdict in row.failures():
            print(f"** {row.what}: {verdict.name}: {verdict.ending.value}: {verdict.note}")
    tell(f"{sum(row.tried for row in rows):,} trials in {took / 60:.1f} minutes")
    chosen = [*words.names, *["--quick"] * words.quick]
    if words.markdown:
        words.markdown.parent.mkdir(parents=True, exist_ok=True)
        words.markdown.write_text(page.page(rows, chosen, took, workers), encoding="utf-8")
    return exit_code(rows)


if __name__ == "__main__":
    sys.exit(main())
