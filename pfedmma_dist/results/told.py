"""Told: what is said round the figures of a reproduction, for its page and for a terminal."""

from collections.abc import Iterator, Mapping

from pfedmma_dist.results.expected import Band
from pfedmma_dist.results.judged import Judged, Verdict
from pfedmma_dist.results.published import AVERAGE, COST
from pfedmma_dist.results.report import counted
from pfedmma_dist.results.reproduced import Reproduction


def headline(found: Reproduction) -> list[str]:
    """Return what a reader has to know first, a sentence each."""
    lines = []
    if found.meaningless:
        lines.append(
            "NO COMPARISON WITH THE PAPER IS MEANT, and its accuracies are given no verdict: "
            f"{found.meaningless}. The numbers below show the way alone, and say nothing."
        )
    finished = sum(run.result is not None for run in found.outcomes)
    recipe = "the released recipes" if found.as_published else "one recipe for all"
    lines.append(
        f"{found.expected.source}, by {recipe}: {finished} of {counted(len(found.outcomes), 'run')}"
        " finished."
    )
    judged = [
        f"{found.count(verdict)} {verdict.value}"
        for verdict in (Verdict.inside, Verdict.outside, Verdict.open)
    ]
    lines.append(
        f"Of {counted(len(found.judged), 'figure')}: {', '.join(judged)}, "
        f"{found.count(Verdict.none)} without a verdict."
    )
    if found.other_images:
        lines.append(f"Not the published images, or not known to be: {found.other_images}.")
    lines.append(coverage(found))
    return lines


def coverage(found: Reproduction) -> str:
    """Say how much of the paper's table is known."""
    expected = found.expected
    known = [one for one in expected.figures if one.data != COST and not one.derived]
    named = [one for one in known if one.method and one.data]
    has_average = any(one.data == AVERAGE for one in named)
    sets = f"{len(expected.sets)} sets" + (" and their average" if has_average else "")
    cells = len(expected.methods) * len(expected.columns) * (len(expected.sets) + has_average)
    costs = sum(one.data == COST for one in expected.figures)
    derived = sum(one.derived for one in expected.figures)
    words = (
        f"Counted as {len(expected.methods)} methods, {counted(len(expected.columns), 'column')} "
        f"and {sets} the table has {cells} cells. The paper's figure of {len(named)} is known "
        f"here, of {len(known) - len(named)} more without its row or set, of "
        f"{cells - len(known)} not at all"
    )
    further = [f"{counted(costs, 'figure')} of costs"] * bool(costs)
    further += [f"{counted(derived, 'figure')} derived from printed ones"] * bool(derived)
    return words + (f"; besides {' and '.join(further)}." if further else ".")


def remarks(found: Reproduction) -> Iterator[tuple[str, list[str]]]:
    """Yield what is said below the table: a title, and its lines."""
    explained = [
        f"{place_of(one)}, {title_of(one)}: {one.explained}"
        for one in found.judged
        if one.explained
    ]
    if explained:
        yield (
            "What may explain those that are not inside (points are of the embedded world, and say "
            "little of photographs)",
            explained,
        )
    silent: dict[str, dict[str, list[str]]] = {}
    for one in found.judged:
        if one.why:
            silent.setdefault(one.why, {}).setdefault(place_of(one), []).append(title_of(one))
    if silent:
        yield (
            "Without a verdict",
            [f"{_listed(names)}: {why}" for why, names in silent.items()],
        )
    yield "Bands", [f"± {band.points:g}: {band.why}" for band in bands(found)]
    nameless = [
        f"{one.column} {plainly(one.value)}: {one.told}"
        for one in found.expected.figures
        if not one.method
    ]
    if nameless:
        yield "Known without whose they are, and so held to nothing", nameless
    yield "In the paper, and not known here", list(found.expected.absent)
    yield (
        "Verdicts",
        [
            "inside: our mean is within the band round the published figure",
            "OUTSIDE: it is not, nor does its 95 % interval over seeds (Student's t) reach there",
            "open: it is not, and the interval does; more seeds would tell",
            "HM of means is the harmonic mean of the averages beside it: derived, and not printed",
        ],
    )


def bands(found: Reproduction) -> list[Band]:
    return list(dict.fromkeys(one.figure.band for one in found.judged if one.figure.band))


def place_of(one: Judged) -> str:
    """Return the row, and the set where it is one."""
    where = "" if one.figure.data in (AVERAGE, None) else f" on {one.figure.data}"
    return (one.row or one.figure.method) + (", costs" if one.figure.data == COST else where)


def _listed(names: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{place} ({', '.join(own)})" for place, own in names.items())


def title_of(one: Judged) -> str:
    """Return what the column is called."""
    return one.column.title


def plainly(value: float) -> str:
    return f"{value:g}"
