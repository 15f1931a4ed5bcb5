"""Take one move to a device away at a time, and see whether the guard notices.

    PYTHONPATH=. python tests/accelerator/mutants.py [--only PART OF A PATH] [--workers 2]
        [--write docs/gpus.md]

Prints a line for each mutant. Not all of them are faults: a tensor may be there already, and torch
takes a mask or an index of the host for a tensor on a GPU. Of each that the guard lets pass is told
why, as far as the pretended device has seen it; --write puts that into a page as a table.
"""

import argparse
import io
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

import pretend
import pytest
from moves import PACKAGE, ROOT, Instead, Mutant, mutants

GUARD = [
    Path(__file__).with_name(f"test_{name}.py") for name in ("memory_of_the_gpu", "room", "guard")
]
MOST = 6
"""Tests that a mutant meets, of those in which it moves anything, beside one of each function."""

BEGIN, END = "<!-- from tests/accelerator/mutants.py -->\n", "<!-- to here -->\n"


@dataclass
class Seen:
    """What the pretended devices of a test, or of several, have seen."""

    lines: set[tuple[str, int]] = field(default_factory=set)  # that were run
    moves: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)  # waits, copies, what torch takes


class Reached:
    """Notes of each test what it sees and, if asked, which lines of the package it runs."""

    def __init__(self, *, traced: bool) -> None:
        self.traced, self.tests, self.said = traced, {}, ""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        seen, born = self.tests.setdefault(item.nodeid, Seen()), []

        def line(frame: FrameType, event: str, argument: object) -> object:
            if event == "line":
                seen.lines.add((frame.f_code.co_filename, frame.f_lineno))
            return line

        def call(frame: FrameType, event: str, argument: object) -> object:
            return line if frame.f_code.co_filename.startswith(str(PACKAGE)) else None

        class Noted(pretend.Places):
            def __init__(self) -> None:
                super().__init__()
                born.append(self)

        sys.settrace(call if self.traced else None)
        try:
            with mock.patch.object(pretend, "Places", Noted):
                return (yield)
        finally:
            sys.settrace(None)
            for places in born:
                seen.moves += places.moves
                seen.events += places.waits + places.copies + places.taken

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            said = getattr(report.longrepr, "reprcrash", None) or report.longrepr
            words = f"{report.nodeid.partition('::')[2]}: {getattr(said, 'message', said)}"
            self.said = " ".join(words.split())[:150]


def guarded(tests: list[str], plugin: Reached) -> bool:
    """Run tests until one fails; hide what they print. Returns whether one has."""
    words = ["-x", "-q", "--numprocesses=0", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
    with redirect_stdout(io.StringIO()):
        return bool(pytest.main([*words, *tests], plugins=[plugin]))


def apart(action: Callable[[], Any]) -> Any:
    """Return what an action returns in a process of its own."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=lambda: theirs.send(action()))
    child.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        child.join()


def as_it_is() -> dict[str, Seen]:
    """Return what each test of the guard sees of the package as it is."""
    found = Reached(traced=True)
    assert not guarded(list(map(str, GUARD)), found), found.said
    return found.tests


def without(mutant: Mutant, tests: list[str]) -> tuple[str, Counter[str]]:
    """Return what the first test to fail of a mutant says, and what all of them have seen."""
    sys.meta_path.insert(0, Instead(mutant))
    found = Reached(traced=False)
    failed = guarded(tests, found)
    return found.said if failed else "", sum(
        (one.events for one in found.tests.values()), Counter()
    )


KNOWN: dict[str, Seen] = {}
"""What each test of the guard sees of the package as it is; found before workers are forked."""


def verdict(mutant: Mutant) -> tuple[str, str]:
    """Return what became of a mutant: a class, and what was seen."""
    tests = KNOWN
    file = str(mutant.path)
    here = [
        name for name, seen in tests.items() if any((file, n) in seen.lines for n in mutant.lines)
    ]
    moving = [name for name in here if any(tests[name].moves[site] for site in mutant.sites)]
    if not here:
        return "missed", "no test of the guard runs it"
    if not moving:
        return "there already", f"in none of {len(here)} tests that run it does it move anything"
    one_of_each = {name.partition("[")[0]: name for name in moving}
    spread = list(dict.fromkeys([*one_of_each.values(), *moving[:: -(-len(moving) // MOST)]]))
    said, events = apart(lambda: without(mutant, spread))
    if said:
        return "caught", said
    before = sum((tests[name].events for name in spread), Counter())
    gained = [
        event
        for event, _ in (events - before).most_common()
        if event.rpartition(" at ")[2] not in mutant.sites
    ]
    told = f"{len(spread)} of {len(moving)} tests in which it moves something pass"
    if gained:
        return "legal", f"{told}; in its place torch takes {', '.join(gained[:2])}"
    return "no matter", f"{told}; nothing reads it in the other place"


def table(found: list[tuple[Mutant, str, str]]) -> Iterator[str]:
    """Yield the lines of a page: how many of each class, and each mutant that passed."""
    counts = Counter(name for _, name, _ in found)
    told = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    yield from (f"{len(found)} mutants: {told}.", "", "| line | without | what it is | seen |")
    yield "| --- | --- | --- | --- |"
    for mutant, name, seen in found:
        if name != "caught":
            yield f"| {mutant} | `{mutant.was}` | {name} | {seen} |".replace("||", "\\|\\|")


def main() -> None:
    """Try every mutant in a process of its own."""
    import open_clip  # noqa: F401
    import torch

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="a part of the paths to try")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--write", type=Path, help="a page with a place for the table")
    args = parser.parse_args()
    torch.set_num_threads(1)
    page = args.write and args.write.resolve(strict=True)
    os.chdir(ROOT)
    for folder in (ROOT, ROOT / "tests", Path(__file__).parent):
        sys.path.insert(0, str(folder))
    KNOWN.update(apart(as_it_is))
    found, fork = [], multiprocessing.get_context("fork")
    with ProcessPoolExecutor(args.workers, mp_context=fork) as pool:
        every = list(mutants(args.only))
        for mutant, told in zip(every, pool.map(verdict, every), strict=True):
            found.append((mutant, *told))
            print(f"{mutant} {mutant.was[:80]!r}: {': '.join(told)}", flush=True)
    lines = "\n".join(table(found))
    print(lines)
    if page:
        before, _, rest = page.read_text().partition(BEGIN)
        page.write_text(f"{before}{BEGIN}\n{lines}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
