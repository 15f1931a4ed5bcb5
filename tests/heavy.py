"""The test files that take longest, which start first, and how their processor time is measured.

Started last, one of them would leave all other workers idle. Measure what each file needs, its
processes included: `python -m pytest --numprocesses=0 -p tests.heavy [FILE ...]`.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

HEAVY = (
    "faults/test_quick.py",
    "distributed/test_every_method.py",
    "distributed/test_restart.py",
    "methods/test_contract.py",
    "distributed/test_liveness.py",
    "test_first_run.py",
    "accelerator/test_guard.py",
    "federation/test_federation.py",
    "accelerator/test_graphs.py",
    "launch/test_forks.py",
    "federation/test_sequential.py",
    "distributed/test_shifts.py",
    "trajectories/test_trajectories.py",
    "simulation/test_simulation.py",
    "run/test_optional.py",
    "federation/test_corrections.py",
    "test_measure.py",
    "distributed/test_one_rank_apart.py",
    "launch/test_sweep.py",
    "launch/test_tune_optuna.py",
)
"""The longest first."""

PLACES = {(Path(__file__).parent / name).resolve(strict=True): i for i, name in enumerate(HEAVY)}


def rank(file: Path) -> int:
    """Return the place of a test file among those that start first; all others share the last."""
    return PLACES.get(file, len(PLACES))


def seconds() -> float:
    """Return the processor time of this process, and of those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


NEEDED: Counter[str] = Counter()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Add up what the tests of a file need."""
    before = seconds()
    try:
        return (yield)
    finally:
        NEEDED[item.nodeid.partition("::")[0]] += seconds() - before


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the files, the heaviest first."""
    terminalreporter.section("processor seconds")
    for file, needed in NEEDED.most_common():
        terminalreporter.line(f"{needed:8.2f}  {file}")
