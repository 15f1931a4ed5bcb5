"""The paper's tables: `python -m launch.table RUN...|FOLDER [--format markdown|csv|latex]`.

--columns KEY,KEY prints any quantity of the runs in their place. --compare A B prints the
differences A - B of two rows in place of the tables: over pairs of runs and over their clients,
with 95 % intervals and a sign test.

Of run folders and folders of sweeps, several at once; runs that have not finished show as missing,
and so does what is damaged, which is named. Exit codes: 0, 1 where a file is damaged, 2 something
to mend.
"""

import argparse
import csv
import sys
from collections.abc import Iterable

from launch.runs import named_runs
from pfedmma_dist.ending import ended
from pfedmma_dist.results import compared
from pfedmma_dist.results.cells import Table
from pfedmma_dist.results.columns import ALL, known_quantities
from pfedmma_dist.results.comma_separated import comma_separated
from pfedmma_dist.results.differences import compare
from pfedmma_dist.results.latex import latex
from pfedmma_dist.results.markdown import markdown
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.results.tables import tables
from pfedmma_dist.run.labels import printable
from pfedmma_dist.spelling import spelled

FORMATS = {"markdown": markdown, "csv": comma_separated, "latex": latex}
COMPARED = {
    "markdown": compared.markdown,
    "csv": compared.comma_separated,
    "latex": compared.latex,
}
HELP = "help"


def main(argv: list[str] | None = None) -> int:
    """Print the tables of the runs and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m launch.table", description=__doc__)
    parser.add_argument("runs", metavar="RUN|FOLDER", nargs="+", help="such as runs/quick_compare")
    parser.add_argument("--format", choices=FORMATS, default="markdown")
    parser.add_argument("--paper", action="store_true", help="add the paper's own figures")
    parser.add_argument(
        "--columns",
        metavar="KEY,KEY",
        help=f"in place of the usual columns; {ALL}: whatever the runs have; {HELP}: list the keys",
    )
    parser.add_argument(
        "--compare",
        metavar=("A", "B"),
        nargs=2,
        help="names of two rows of the tables, or of lines of them: 'pFedMMA, clients 10'",
    )
    words = parser.parse_args(argv)
    # As CSV: the name of a domain may hold a comma, and its key is quoted then.
    keys = next(csv.reader([words.columns or ""], skipinitialspace=True), [])
    keys = [key.strip() for key in keys if key.strip()]
    try:
        runs = named_runs(words.runs)
        if keys == [HELP]:
            print(manual(runs), end="")
            return 0
        if words.compare:
            return comparison(runs, words, keys)
        found = tables(runs, paper=words.paper, keys=keys)
    except ValueError as error:
        print(f"error: {spelled(str(error))}", file=sys.stderr)
        return 2
    print(FORMATS[words.format](found), end="")
    tell_remarks(found, words.format)
    return 1 if any(run.problems for run in runs) else 0


def tell_remarks(found: Iterable[Table], form: str) -> None:
    """Say on standard error what stands below the tables of other forms; CSV has no place for it.

    form: of FORMATS.
    """
    if form == "csv":
        for remark in dict.fromkeys(remark for table in found for remark in table.remarks):
            print(f"{printable(remark)}.", file=sys.stderr)


def comparison(runs: list[Outcome], words: argparse.Namespace, keys: list[str]) -> int:
    """Print the differences of two rows and return the exit code."""
    if words.paper:
        raise ValueError("--paper: published figures have no runs to pair with; leave it out")
    found = compare(runs, words.compare, keys)
    print(COMPARED[words.format](found), end="")
    if words.format == "csv":  # it has no place for words
        for words_left in found.left:
            print(printable(words_left), file=sys.stderr)
    return 1 if found.damaged or any(run.problems for run in runs) else 0


def manual(runs: Iterable[Outcome]) -> str:
    """Return a line for each quantity of these runs: its key, its unit, and what it is."""
    known = known_quantities(runs)
    width = max(len(printable(quantity.key)) for quantity in known)
    return "".join(
        f"{printable(quantity.key):<{width}}  {quantity.unit:<9}  {printable(quantity.meaning)}\n"
        for quantity in known
    )


if __name__ == "__main__":
    sys.exit(ended(main))
