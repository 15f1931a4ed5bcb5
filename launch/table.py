"""The paper's tables: `python -m launch.table RUN...|FOLDER [--format markdown|csv|latex]`.

Of run folders and folders of sweeps, several at once; runs that have not finished show as missing.
"""

import argparse
import sys

from launch.runs import named_runs
from pfedmma_dist.results.comma_separated import comma_separated
from pfedmma_dist.results.latex import latex
from pfedmma_dist.results.markdown import markdown
from pfedmma_dist.results.tables import tables
from pfedmma_dist.spelling import spelled

FORMATS = {"markdown": markdown, "csv": comma_separated, "latex": latex}


def main(argv: list[str] | None = None) -> int:
    """Print the tables of the runs and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m launch.table", description=__doc__)
    parser.add_argument("runs", metavar="RUN|FOLDER", nargs="+", help="such as runs/quick_compare")
    parser.add_argument("--format", choices=FORMATS, default="markdown")
    parser.add_argument("--paper", action="store_true", help="add the paper's own figures")
    words = parser.parse_args(argv)
    try:
        found = tables(named_runs(words.runs), paper=words.paper)
    except ValueError as error:
        print(f"error: {spelled(str(error))}", file=sys.stderr)
        return 2
    print(FORMATS[words.format](found), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
