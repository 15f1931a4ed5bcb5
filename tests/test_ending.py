"""Ctrl-C and a reader who leaves end a command without a traceback."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pfedmma_dist.ending import READER_LEFT, ended

ROOT = Path(__file__).parents[1]


def test_interrupt_is_the_exit_code_of_its_signal() -> None:
    def main() -> int:
        raise KeyboardInterrupt

    assert ended(main) == 128 + signal.SIGINT
    assert ended(lambda: 3) == 3


@pytest.mark.parametrize("command", ["launch.job", "launch.table", "pfedmma_dist.plan"])
def test_reader_may_leave(command: str) -> None:
    script = f'{sys.executable} -m {command} --help | true; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == "" and done.returncode in (0, READER_LEFT)


def test_interrupt_while_a_command_imports_ends_it_without_a_word() -> None:
    script = (
        "import signal, sys; sys.argv = ['x']; from pfedmma_dist import glance; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); "  # a job behind & ignores it
        "glance.leave_with(str); signal.raise_signal(signal.SIGINT); print('still here')"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
