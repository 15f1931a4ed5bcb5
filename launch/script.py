"""What a batch script can hold, looked at before anything is queued.

The lines of a cluster file and the folder of a run become lines of a script that Slurm and bash
read hours later. That no text adds a line of its own is seen to where texts are read.
"""

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pfedmma_dist.spelling import control_in, quoted, shortened

BASH = "/bin/bash"
"""What the script names as its interpreter."""

PATTERNS = re.compile(r"[%\\]")
"""In the name of a log, %j is the job's number to Slurm and to submitit, and a backslash turns that
off and is left out."""


def check_setup(lines: Sequence[str], where: str) -> None:
    """Refuse lines that bash cannot read to their end. where: completes the message."""
    if not lines:
        return
    text = "".join(f"{line}\n" for line in lines)
    try:
        answer = subprocess.run(
            [BASH, "-n"], input=text, env={"LC_ALL": "C"}, capture_output=True, encoding="utf-8"
        )
    except OSError as error:
        raise ValueError(f"setup: no {BASH} to check it with ({error.strerror}){where}") from error
    if answer.returncode == 0 and not answer.stderr:  # it only warns of text without an end
        return
    found = re.search(r"line (\d+): (.*)", answer.stderr)
    number, reason = (int(found[1]), found[2]) if found else (len(lines), answer.stderr.strip())
    number = min(number, len(lines))  # the end of the text is a line of its own
    raise ValueError(
        f"setup: line {number}, {quoted(lines[number - 1])}: bash cannot read it to its end "
        f"({shortened(reason, 160)}); close what is open there or above it{where}"
    )


def check_options(options: Mapping[str, Any], where: str) -> None:
    """Refuse further options of sbatch that make no line of a script."""
    for name, value in options.items():
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", str(name)):
            raise ValueError(
                f"sbatch: {quoted(name)} is no name of an option; write it without dashes before "
                f"it, such as constraint{where}"
            )
        if not isinstance(value, str | int | float) or value is False:
            raise ValueError(
                f"sbatch.{name}: {quoted(value)} is neither text, a number nor true; to turn an "
                f"option off leave it out{where}"
            )


def check_log_folder(folder: Path) -> None:
    """Refuse a folder whose logs would not be where we say."""
    path = str(folder.absolute())
    held, pattern = control_in(path), PATTERNS.search(path)
    if held is not None:
        raise ValueError(f"run.folder: {quoted(path)} holds {held}; run from, or set, another one")
    if pattern is not None:
        raise ValueError(
            f"run.folder: {quoted(path)} holds {pattern[0]}, which Slurm reads as part of a "
            "pattern in the names of logs (%j is the job's number); set a folder without it"
        )
