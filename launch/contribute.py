"""Contribute results: `python -m launch.contribute RUN...|FOLDER --to FOLDER`.

Copies what tells of finished runs (configuration, result, environment, scores; no weights) into a
folder that others add to, and that `launch.table`, `launch.figures` and `launch.report` read as a
leaderboard. Runs that are there already are left as they are. Exit codes: 0, 1 where a run was
left out, 2 something to mend.
"""

import argparse
import sys
from pathlib import Path

from launch.contributed import contribute
from launch.runs import named_runs
from pfedmma_dist.ending import ended
from pfedmma_dist.spelling import spelled


def main(argv: list[str] | None = None) -> int:
    """Copy the runs and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m launch.contribute", description=__doc__)
    parser.add_argument("runs", metavar="RUN|FOLDER", nargs="+", help="such as runs/quick_compare")
    parser.add_argument("--to", metavar="FOLDER", required=True, help="of contributed results")
    words = parser.parse_args(argv)
    try:
        runs = named_runs(words.runs)
    except ValueError as error:
        print(f"error: {spelled(str(error))}", file=sys.stderr)
        return 2
    left, target = 0, Path(words.to).expanduser()
    for run in runs:
        try:
            place = contribute(run, target)
        except OSError as error:
            told = f"cannot write to {error.filename or target} ({error.strerror or error})"
            print(f"error: --to: {told}; give a folder with room that you may write to",
                  file=sys.stderr)  # fmt: skip
            return 2
        except ValueError as error:
            print(f"left out {spelled(str(error))}", file=sys.stderr)
            left += 1
            continue
        print(f"copied   {place}" if place else f"there    {run.path}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(ended(main))
