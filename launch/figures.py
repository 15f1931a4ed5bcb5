"""Figures of sweeps and runs: `python -m launch.figures RUN...|FOLDER [--out DIR]`.

PNG and SVG, into the figures/ of a sweep's folder unless --out says where. What the runs do not
give is skipped, with the reason. Files that were not made here are left alone.
"""

import argparse
import re
import sys
from hashlib import sha256
from pathlib import Path

from launch.runs import is_sweep, named_runs
from pfedmma_dist.ending import ended
from pfedmma_dist.results.figures import pictures
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.results.style import save
from pfedmma_dist.spelling import spelled

LONGEST = 180
"""Bytes of a file's name that are a picture's; file systems take 255."""


def main(argv: list[str] | None = None) -> int:
    """Draw the figures of the runs and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m launch.figures", description=__doc__)
    parser.add_argument("runs", metavar="RUN|FOLDER", nargs="+", help="such as runs/quick_compare")
    parser.add_argument("--out", metavar="DIR", help="needed but for the folder of one sweep")
    words = parser.parse_args(argv)
    try:
        runs = named_runs(words.runs)  # a folder that is not there is told before all else
        drawn = draw(runs, _folder(words.runs, words.out))
    except ValueError as error:
        print(f"error: {spelled(str(error))}", file=sys.stderr)
        return 2
    return 0 if drawn and not any(run.problems for run in runs) else 1


def draw(runs: list[Outcome], folder: Path) -> int:
    """Draw and say what was drawn, and what was not; return how many figures there are."""
    drawn = 0
    for picture in pictures(runs):
        if picture.draw is None:
            print(f"skipped  {picture.name}: {picture.reason}")
            continue
        name = file_name(picture.name)
        try:
            png, svg = save(picture.draw(), folder, name)
        except OSError as error:
            raise ValueError(
                f"cannot write to {error.filename or folder} ({error.strerror or error}); "
                "give --out a folder with room that you may write to"
            ) from error
        print(f"drawn    {png} and {svg.suffix}")
        drawn += 1
    return drawn


def file_name(name: str) -> str:
    """Return what a picture's file is called, without its ending."""
    words = re.sub(r"[^\w.+-]+", "_", name)
    if len(words.encode()) <= LONGEST:
        return words
    begin = words.encode()[:LONGEST].decode(errors="ignore")
    return f"{begin}-{sha256(name.encode()).hexdigest()[:8]}"


def _folder(runs: list[str], out: str | None) -> Path:
    if out is not None:
        return Path(out).expanduser()
    path = Path(runs[0]).expanduser()
    if len(runs) > 1 or not is_sweep(path):
        raise ValueError("--out: say where the figures go; only those of one sweep have a place")
    return path / "figures"


if __name__ == "__main__":
    sys.exit(ended(main))
