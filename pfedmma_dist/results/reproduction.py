"""Reproduction: verdicts as text for a terminal, CSV and JSON for programs, and one page."""

import csv
import io
from statistics import fmean
from typing import Any

from pfedmma_dist.quantities.units import UNITS
from pfedmma_dist.results import hypertext, markdown
from pfedmma_dist.results.expected import Figure, Status
from pfedmma_dist.results.hypertext import Section, bullets, paragraph
from pfedmma_dist.results.judged import Gap, Judged, Verdict
from pfedmma_dist.results.noise import interval
from pfedmma_dist.results.published import COST
from pfedmma_dist.results.report import sections
from pfedmma_dist.results.reproduced import Reproduction
from pfedmma_dist.results.tables import tables
from pfedmma_dist.results.told import bands, coverage, headline, remarks, title_of

HEADS = (
    "Paper's row", "Our row", "Set", "Column", "Published", "Band", "Ours", "95 %", "n",
    "Difference", "Verdict",
)  # fmt: skip
GAP_HEADS = ("Rows", "Set", "Column", "Published", "Ours", "95 %", "Seeds")
FIELDS = (
    "method", "row", "data", "column", "published", "derived", "band", "status", "ours",
    "deviation", "n", "planned", "low", "high", "difference", "verdict", "why", "explained",
)  # fmt: skip
NOTHING = "–"
PAIRS = "Published and ours"
GAPS = "How far one row is above another: ours seed by seed"


def text(found: Reproduction) -> str:
    """Return the verdicts for a terminal."""
    ours = markdown.markdown(tables(found.outcomes, paper=not found.meaningless))
    parts = [*headline(found), "", ours]
    parts.append(markdown.grid(PAIRS, [HEADS, *map(_line, found.judged)]))
    if found.gaps:
        parts.append(markdown.grid(GAPS, [GAP_HEADS, *map(_gap_line, found.gaps)]))
    for title, lines in remarks(found):
        parts += [f"{title}:", *(f"- {line}" for line in lines), ""]
    return "\n".join(parts).rstrip() + "\n"


def page(found: Reproduction, version: str, command: str) -> str:
    """Return the page. version: of this program. command: what prints it again."""
    verdicts = [hypertext.grid(PAIRS, HEADS, map(_line, found.judged), numbers=True)]
    if found.gaps:
        gaps = map(_gap_line, found.gaps)
        verdicts.append(hypertext.grid(GAPS, GAP_HEADS, gaps, numbers=True))
    below = [
        part for title, lines in remarks(found) for part in (paragraph(f"{title}:"), bullets(lines))
    ]
    own = [
        Section("Verdicts", tuple(verdicts)),
        Section("What they rest on", tuple(below)),
        Section(
            "The command", (paragraph("The same command goes on:"), hypertext.listing(command))
        ),
    ]
    runs = list(found.outcomes)
    return hypertext.page(
        f"Reproduction of {found.expected.source}",
        [*headline(found), f"Page written by pfedmma_dist {version}."],
        [*own, *sections(runs, paper=not found.meaningless)],
    )


def comma_separated(found: Reproduction) -> str:
    """Return a line for each figure and row, numbers as they were measured."""
    written = io.StringIO()
    writer = csv.DictWriter(written, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(_record, found.judged))
    return written.getvalue()


def record(found: Reproduction) -> dict[str, Any]:
    """Return the same, and all that is said besides, for JSON."""
    expected = found.expected
    return {
        "experiment": expected.experiment,
        "source": expected.source,
        "as_published": found.as_published,
        "no_comparison": found.meaningless or None,
        "runs": {
            "planned": len(found.outcomes),
            "finished": sum(run.result is not None for run in found.outcomes),
        },
        "verdicts": {verdict.name: found.count(verdict) for verdict in Verdict},
        "coverage": coverage(found),
        "figures": [_record(one) for one in found.judged],
        "gaps": [
            {
                "one": gap.one.figure.method, "other": gap.other.figure.method,
                "data": gap.one.figure.data, "column": gap.one.figure.column,
                "published": gap.published, "ours": gap.differences,
                "interval": interval(gap.differences),
            }
            for gap in found.gaps
        ],
        "bands": {band.why: band.points for band in bands(found)},
        "not_attributed": [
            {"column": one.column, "published": one.value, "status": one.told}
            for one in expected.figures if not one.method
        ],
        "absent": list(expected.absent),
    }  # fmt: skip


def _record(one: Judged) -> dict[str, Any]:
    figure, cell = one.figure, one.ours
    low, high = one.interval or (None, None)
    values = (
        figure.method, one.row, figure.data or "", figure.column, figure.value,
        int(figure.derived), figure.band.points if figure.band else None, figure.told, cell.mean,
        cell.deviation, cell.num, cell.planned, low, high, one.difference, one.verdict.value,
        one.why, one.explained,
    )  # fmt: skip
    return dict(zip(FIELDS, values, strict=True))


def _line(one: Judged) -> list[str]:
    figure, cell = one.figure, one.ours
    show = UNITS[one.column.unit]
    band = figure.band.points if figure.band and figure.status is not Status.cannot else None
    half = None if one.interval is None else (one.interval[1] - one.interval[0]) / 2
    return [
        figure.method,
        one.row or NOTHING,
        figure.data or "not known",
        title_of(one),
        show(figure.value),
        NOTHING if band is None else f"± {band:g}",
        NOTHING if cell.mean is None else show(cell.mean),
        NOTHING if half is None else f"± {half:.2f}",
        _seeds(one),
        NOTHING if one.difference is None else _signed(one.difference, figure),
        one.verdict.value,
    ]


def _gap_line(gap: Gap) -> list[str]:
    differences = gap.differences
    found = interval(differences)
    return [
        f"{gap.one.row} − {gap.other.row}",
        gap.one.figure.data or "not known",
        title_of(gap.one),
        f"{gap.published:+.2f}",
        f"{fmean(differences):+.2f}",
        NOTHING if found is None else f"{found[0]:+.2f} to {found[1]:+.2f}",
        str(len(differences)),
    ]


def _seeds(one: Judged) -> str:
    cell = one.ours
    return f"{cell.num} of {cell.planned}" if cell.num < cell.planned else str(cell.num)


def _signed(value: float, figure: Figure) -> str:
    return f"{value:+,.0f}" if figure.data == COST else f"{value:+.2f}"
