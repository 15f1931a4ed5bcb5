"""One page about runs: `python -m launch.report RUN...|FOLDER [--out FILE.html]`.

Tables, figures, settings, environment, hashes, and how to repeat it, in one HTML file that needs no
network and prints well: to attach to a paper or an issue. It goes to report.html in the folder of
the run or sweep unless --out says where. Exit codes: 0, 1 where a file is damaged, 2 something to
mend.
"""

import argparse
import sys
from pathlib import Path

from launch.runs import named_runs
from pfedmma_dist import __version__
from pfedmma_dist.ending import ended
from pfedmma_dist.results.report import report
from pfedmma_dist.run.files import write_text_atomically
from pfedmma_dist.spelling import spelled

SIGNATURE = "written by pfedmma_dist"
"""Stands in every page made here, which may therefore be written again."""


def main(argv: list[str] | None = None) -> int:
    """Write the page of the runs and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m launch.report", description=__doc__)
    parser.add_argument("runs", metavar="RUN|FOLDER", nargs="+", help="such as runs/quick_compare")
    parser.add_argument("--out", metavar="FILE.html", help="needed but for one run or one sweep")
    words = parser.parse_args(argv)
    try:
        runs = named_runs(words.runs)  # a folder that is not there is told before all else
        target = _target(words.runs, words.out)
        name = ", ".join(Path(word).expanduser().resolve().name for word in words.runs)
        text = report(runs, name, __version__)
        write_page(target, text)
    except ValueError as error:
        print(f"error: {spelled(str(error))}", file=sys.stderr)
        return 2
    print(f"written  {target} ({len(text.encode()) / 2**20:.1f} MiB)")
    return 1 if any(run.problems for run in runs) else 0


def _target(runs: list[str], out: str | None) -> Path:
    if out is None and len(runs) > 1:
        raise ValueError(
            "--out: say where the page goes; only that of one run or sweep has a place"
        )
    target = Path(out).expanduser() if out else Path(runs[0]).expanduser() / "report.html"
    if target.is_dir():
        raise ValueError(f"--out: {target} is a folder; give a file, such as {target}/report.html")
    refuse_foreign(target)
    return target


def refuse_foreign(target: Path) -> None:
    """Refuse to write over a page that was not made here."""
    if target.exists() and SIGNATURE not in target.read_text(encoding="utf-8", errors="replace"):
        raise ValueError(f"{target} was not made here and is left alone; give another --out")


def write_page(target: Path, text: str) -> None:
    """Write a file for people, whole or not at all."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(target, text)
    except OSError as error:
        raise ValueError(
            f"cannot write to {error.filename or target} ({error.strerror or error}); "
            "give --out a file in a folder with room that you may write to"
        ) from error


if __name__ == "__main__":
    sys.exit(ended(main))
