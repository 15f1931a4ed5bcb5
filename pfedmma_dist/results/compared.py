"""Write comparisons of two rows: as markdown, as LaTeX, and as CSV for programs."""

import csv
import io

from pfedmma_dist.quantities.units import UNITS
from pfedmma_dist.results.differences import CLIENTS, Compared, Comparison, Difference
from pfedmma_dist.results.latex import escaped, tabular
from pfedmma_dist.results.markdown import grid
from pfedmma_dist.run.labels import printable
from pfedmma_dist.run.table import MISSING

HEADS = (
    "Quantity", "over", "A", "B", "A − B", "95 % interval", "above", "below", "equal", "sign test",
    "n", "clients",
)  # fmt: skip

CELL = (
    "key", "unit", "over", "mean_a", "mean_b", "difference", "low", "high", "above", "below",
    "equal", "sign_test", "n", "pairs", "clients",
)  # fmt: skip


def notes(compared: Compared) -> list[str]:
    """Return what a reader of the comparisons has to know, a line each; first how to read them."""
    found = [one for comparison in compared.comparisons for one in comparison.differences]
    names = compared.comparisons[0].names
    told = {
        f"A is {names[0]}, B is {names[1]}; n counts pairs of runs of the same data set, seed and "
        "settings. Differences of accuracies are in points.": True,
        "95 % interval: Student's t over the pairs of the line. Above, below, equal: pairs in "
        "which A is so. Sign test: two-sided and exact, of the pairs that differ.": True,
        "Lines over all clients take those of one run for independent, which they are not; lines "
        "over means of clients have one pair for each pair of runs.": any(
            one.over == CLIENTS for one in found
        ),
        "A single pair has no interval; add seeds.": any(
            one.interval is None and one.over != CLIENTS for one in found
        ),
    }
    needed = [words for words, is_needed in told.items() if is_needed]
    return list(map(printable, [*needed, *compared.left]))


def markdown(compared: Compared) -> str:
    """Return a table for each comparison, and below them what they mean and what they leave out."""
    tables = (grid(_title(one), [HEADS, *_lines(one)]) for one in compared.comparisons)
    return "\n".join([*tables, *notes(compared)]) + "\n"


def latex(compared: Compared) -> str:
    """Return a table environment for each comparison; notes are comments."""
    told = "".join(f"% {escaped(note)}\n" for note in notes(compared))
    tables = (
        tabular(
            _title(one),
            HEADS,
            [f"{' & '.join(map(escaped, line))} \\\\\n" for line in _lines(one)],
        )
        for one in compared.comparisons
    )
    return f"% \\usepackage{{booktabs}}\n{told}" + "".join(tables)


def comma_separated(compared: Compared) -> str:
    """Return a line for each difference, numbers as they are; an empty interval is none."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["task", "data", "a", "b", *CELL])
    for comparison in compared.comparisons:
        where = [comparison.task, comparison.data, *comparison.names]
        for one in comparison.differences:
            means = [one.one, one.other, one.mean, *(one.interval or ("", ""))]
            counts = [*one.signs, one.chance, one.num_runs, one.planned, one.num_clients]
            writer.writerow([*where, one.key, one.unit, one.over, *means, *counts])
    return written.getvalue()


def _title(comparison: Comparison) -> str:
    return f"{' − '.join(comparison.names)}: {comparison.words}"


def _lines(comparison: Comparison) -> list[list[str]]:
    return [_line(one) for one in comparison.differences]


def _line(one: Difference) -> list[str]:
    show = UNITS[one.unit]
    between = MISSING if one.interval is None else " to ".join(
        _signed(value, one.unit) for value in one.interval
    )  # fmt: skip
    num = f"{one.num_runs}" + (f" of {one.planned}" if one.num_runs < one.planned else "")
    return [
        one.title, one.over, show(one.one), show(one.other), _signed(one.mean, one.unit), between,
        *map(str, one.signs), _chance(one.chance), num,
        f"{one.num_clients:,}" if one.num_clients else "",
    ]  # fmt: skip


def _signed(value: float, unit: str) -> str:
    """Return a difference with its sign, as the numbers of its unit are shown."""
    show = UNITS[unit]
    text = show(abs(value))
    sign = "−" if value < 0 else "+"
    return text if text == show(0.0) else f"{sign}{text}"


def _chance(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}".rstrip("0").rstrip(".")
