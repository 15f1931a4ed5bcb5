"""Reproduced: our figures beside the published ones, and whether they are inside their bands."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from pfedmma_dist.config.merge import shown
from pfedmma_dist.quantities.catalogue import every
from pfedmma_dist.quantities.scores import HM
from pfedmma_dist.results.cells import Cell, Column, Table
from pfedmma_dist.results.expected import Expectations, Figure, Status, Switch
from pfedmma_dist.results.judged import Gap, Judged, Verdict
from pfedmma_dist.results.noise import interval
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.results.published import AVERAGE, COST
from pfedmma_dist.results.tables import OF_MEANS, THREE, tables

FULL_SIZE = ("ViT-B-16", "ViT-B-16-quickgelu")
"""Names of the model that the papers' figures are of."""


@dataclass(frozen=True)
class Reproduction:
    """All that is to be said of the runs of one reproduction."""

    expected: Expectations
    as_published: bool
    outcomes: Sequence[Outcome]
    judged: Sequence[Judged]
    gaps: Sequence[Gap]
    meaningless: str  # why nothing may be held to the paper; empty where it may
    other_images: str = ""  # of which sets they are not the published ones, in words

    def count(self, verdict: Verdict) -> int:
        """Return how many figures have a verdict."""
        return sum(one.verdict is verdict for one in self.judged)


def reproduction(
    expected: Expectations,
    outcomes: Sequence[Outcome],
    *,
    as_published: bool,
    meaningless: str = "",
    other_images: str = "",
    changed: Mapping[str, str] | None = None,
) -> Reproduction:
    """Hold runs to what is expected of them.

    as_published: they are of the sweep by the released recipes. meaningless: why nothing may be
    held to the paper. other_images: of which sets they are not the published ones, in words.
    changed: row -> in what its runs depart from the sweep's own settings.
    """
    found = tables(outcomes)
    judged = []
    for figure in expected.attributed:
        if as_published and figure.data == COST:
            continue  # the paper counts its own sizes, and the released code has others
        rows = expected.rows(figure.method, as_published=as_published)
        for row in rows or ("",):
            judged.append(_judged(expected, figure, row, found, outcomes))
    limits = {row: words for row, words in (changed or {}).items() if words}
    judged = [_limited(one, meaningless, other_images, limits.get(one.row, "")) for one in judged]
    lacking = {row: _lacking(expected, row, outcomes) for row in {one.row for one in judged}}
    judged = [_explained(one, judged, lacking[one.row]) for one in judged]
    return Reproduction(
        expected, as_published, outcomes, judged, list(_gaps(judged)), meaningless, other_images
    )


def _judged(
    expected: Expectations,
    figure: Figure,
    row: str,
    found: Iterable[Table],
    outcomes: Sequence[Outcome],
) -> Judged:
    """Return a figure with its verdict, as if nothing but the numbers mattered."""
    column, cell, why = _ours(expected, figure, row, found)
    runs = [run for run in outcomes if run.name == row]
    if figure.data == COST and any(run.config.get("clip.model") not in FULL_SIZE for run in runs):
        why = "of another model than ViT-B/16, at whose sizes the paper counts"
        return Judged(figure, row, column, cell, Verdict.none, why, compares=False)
    if figure.data == AVERAGE and runs and not why:
        there = {run.data[0] for run in runs if run.result is not None}
        lacking = [name for name in expected.sets if name not in there]
        if lacking:
            count = f"{len(expected.sets) - len(lacking)} of {len(expected.sets)} sets have run"
            why = f"partial: {count}; without {', '.join(lacking)}"
            cell = Cell(planned=cell.planned)  # a mean over other sets is another number
    if cell.mean is None and not why:
        why = "not finished" if runs else "no run of it is planned here"
    if cell.is_partial and not why:
        why = f"partial: {cell.num} of {cell.planned} seeds have finished"
    if figure.status is not Status.expected:
        why = figure.told
    if why:
        return Judged(figure, row, column, cell, Verdict.none, why)
    return Judged(figure, row, column, cell, _verdict(figure, cell))


def _verdict(figure: Figure, cell: Cell) -> Verdict:
    assert figure.band is not None and cell.mean is not None
    if figure.band.holds(cell.mean - figure.value):
        return Verdict.inside
    found = interval(list(cell.values.values()))
    low, high = figure.value - figure.band.points, figure.value + figure.band.points
    reaches = found is not None and found[0] <= high and found[1] >= low
    return Verdict.open if reaches else Verdict.outside


def _ours(
    expected: Expectations, figure: Figure, row: str, found: Iterable[Table]
) -> tuple[Column, Cell, str]:
    """Return the column and cell of ours that a figure is about, and why there is none."""
    column = _column(figure)
    if not row:
        return column, Cell(), "no row of this sweep stands for it"
    place = (COST, "") if figure.data == COST else (expected.experiment, figure.data)
    for table in found:
        if (table.task, table.data) != place:
            continue
        columns = {column.key: index for index, column in enumerate(table.columns)}
        lines = [line for line in table.rows if line.names[0] == row]
        if figure.column not in columns or not lines:
            continue
        index = columns[figure.column]
        if len(lines) > 1:
            return table.columns[index], Cell(), f"{len(lines)} lines of that name, run otherwise"
        return table.columns[index], lines[0].cells[index], ""
    return column, Cell(), ""


def _column(figure: Figure) -> Column:
    """Return the column that a figure would stand below, whatever of ours is there."""
    if figure.column == OF_MEANS.key:
        return OF_MEANS
    name, beta, value = figure.column.partition("_beta_")
    quantity = next(each for each in every([name, *THREE]) if each.key == name)
    title = f"{quantity.heading}, β = {value}" if beta else quantity.heading
    return Column(figure.column, title, quantity.unit, quantity)


def _limited(one: Judged, meaningless: str, other_images: str, changed: str) -> Judged:
    """Return a figure without a verdict where it is of other weights, images or settings."""
    if one.figure.data == COST:  # counted, whatever the weights and images are
        others = [changed and f"other settings than the sweep's: {changed}"]
    elif meaningless:
        return replace(one, verdict=Verdict.none, compares=False, why=one.why or "other weights")
    else:
        others = [
            other_images and f"not the published images: {other_images}",
            changed and f"other settings than the sweep's: {changed}",
        ]
    told = "; ".join(words for words in others if words)
    if not told or one.verdict is Verdict.none:
        return one
    return replace(one, verdict=Verdict.none, why=told)


def _lacking(
    expected: Expectations, row: str, outcomes: Iterable[Outcome]
) -> dict[str, list[Switch]]:
    """Return, by method, the switches that are not on in a row's runs already."""
    configs = [run.config for run in outcomes if run.name == row]

    def is_on(switch: Switch) -> bool:
        pairs = [word.partition("=")[::2] for word in switch.words.split()]
        return bool(configs) and all(
            shown(config.get(key)) == value for config in configs for key, value in pairs
        )

    return {
        method: [switch for switch in own if not is_on(switch)]
        for method, own in expected.switches.items()
    }


def _explained(
    one: Judged, judged: Iterable[Judged], switches: Mapping[str, Sequence[Switch]]
) -> Judged:
    """Return a figure that is outside with what may explain it."""
    if one.verdict not in (Verdict.outside, Verdict.open) or one.figure.data == COST:
        return one
    parts = [
        f"the row {other.row!r} is inside"
        for other in judged
        if other.figure == one.figure and other.row != one.row and other.verdict is Verdict.inside
    ]
    column = HM.key if one.figure.column == OF_MEANS.key else one.figure.column
    ways = ("towards the paper's", "not measured in points", "away from it, or without effect")
    groups: dict[str, list[str]] = {}
    for switch in switches.get(one.figure.method, ()):
        points = switch.points.get(column)
        if points is None:
            way = ways[1]
        else:
            way = ways[0] if points * (one.difference or 0.0) < 0 else ways[2]
        groups.setdefault(way, []).append(switch.told(column))
    parts += [f"{way}: {', '.join(groups[way])}" for way in ways if way in groups]
    return replace(one, explained="; ".join(parts) or "no switch is known that would move it")


def _gaps(judged: Sequence[Judged]) -> Iterable[Gap]:
    """Yield the pairs of methods that the paper has in one column, and that share seeds here."""
    groups: dict[Any, list[Judged]] = {}
    for one in judged:
        is_scored = one.figure.data != COST and one.figure.status is not Status.cannot
        if is_scored and one.compares and one.ours.values:
            groups.setdefault((one.figure.data, one.figure.column), []).append(one)
    for own in groups.values():
        for one, other in combinations(own, 2):
            gap = Gap(one, other)
            if one.figure.method != other.figure.method and gap.differences:
                yield gap if gap.published >= 0 else Gap(other, one)
