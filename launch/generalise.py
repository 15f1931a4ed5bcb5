"""Train rows by test columns: `python -m launch.generalise RUN...|FOLDER [--format F] [--out DIR]`.

Of run folders and folders of sweeps whose runs were scored on whole data sets, by
`pfedmma_dist.evaluate RUN data.name=NAME` or `launch.score SWEEP.yaml`, or held a domain out
(data.held_out). --out draws each table, too, as PNG and SVG. Exit codes: 0, 1 where a file is
damaged, 2 something to mend.
"""

import argparse
import sys
from pathlib import Path

from launch.figures import file_name
from launch.runs import named_runs
from launch.table import FORMATS, tell_remarks
from pfedmma_dist.ending import ended
from pfedmma_dist.results.generalisation import generalisation
from pfedmma_dist.results.heat import heat
from pfedmma_dist.results.style import save
from pfedmma_dist.spelling import spelled


def main(argv: list[str] | None = None) -> int:
    """Print the tables, draw them where that is asked for, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m launch.generalise", description=__doc__)
    parser.add_argument("runs", metavar="RUN|FOLDER", nargs="+", help="such as runs/table_pacs")
    parser.add_argument("--format", choices=FORMATS, default="markdown")
    parser.add_argument("--out", metavar="DIR", type=Path, help="draw figures into this folder")
    words = parser.parse_args(argv)
    try:
        runs = named_runs(words.runs)
        found = generalisation(runs)
        print(FORMATS[words.format](found), end="")
        tell_remarks(found, words.format)
        for table in found if words.out else ():
            png, svg = save(heat(table), words.out.expanduser(), file_name(table.title))
            print(f"drawn    {png} and {svg.suffix}", file=sys.stderr)
    except ValueError as error:
        print(f"error: {spelled(str(error))}", file=sys.stderr)
        return 2
    except OSError as error:
        told = f"cannot write to {error.filename or words.out} ({error.strerror or error})"
        print(f"error: --out: {told}; give a folder that you may write to", file=sys.stderr)
        return 2
    return 1 if any(run.problems for run in runs) else 0


if __name__ == "__main__":
    sys.exit(ended(main))
