"""Pairs: runs of two rows that differ in nothing else, and the runs that have no partner."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pfedmma_dist.config.identity import counted
from pfedmma_dist.config.merge import shown
from pfedmma_dist.results.lines import data_names, head, lines, telling
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.run.labels import printable
from pfedmma_dist.spelling import hint, listed, quoted, shortened

NAMED = 3
"""Runs without a partner that are named; the others are counted."""

Place = tuple[Any, ...]
"""The seed of a run, and its values of the keys that runs are paired by."""


@dataclass(frozen=True)
class Side:
    """The runs of one of the two rows."""

    name: str
    runs: tuple[Outcome, ...]


@dataclass(frozen=True)
class Pair:
    """Two runs that have finished."""

    place: Place
    words: str  # of the place: seed 1, clients 10
    one: Outcome
    other: Outcome


@dataclass(frozen=True)
class Pairs:
    """All pairs, and in words what is none."""

    found: Mapping[tuple[str, tuple[str, str]], list[Pair]]  # (task, data set) -> its pairs
    left: tuple[str, ...]


def sides(outcomes: Sequence[Outcome], names: Sequence[str]) -> tuple[Side, Side]:
    """Return the runs of two rows, or lines of rows, by their names in the tables of these runs.

    A name is that of a row, `pFedMMA`, or of one of its lines: `pFedMMA, clients 10`.
    """
    groups = [outcomes, *_subsets(outcomes)]
    rows: dict[str, list[Outcome]] = {}
    settings: dict[str, list[Outcome]] = {}
    for group in groups:
        for line in lines(group):
            rows.setdefault(printable(line.names[0]), []).extend(line.runs)
            settings.setdefault(printable(line.label), []).extend(line.runs)
    known = {**rows, **{name: own for name, own in settings.items() if name not in rows}}
    for name in names:
        if printable(name) not in known:
            raise ValueError(
                f"--compare: {quoted(name)} is no row of these runs{hint(printable(name), known)}; "
                f"they are {listed(list(known), 12)}"
            )
    one, other = (Side(name, _once(known[printable(name)])) for name in names)
    shared = {id(run) for run in one.runs} & {id(run) for run in other.runs}
    if shared:
        raise ValueError(
            f"--compare: {quoted(one.name)} and {quoted(other.name)} have {plural(len(shared))} in "
            f"common; name two rows that have none, of {listed(list(known), 12)}"
        )
    return one, other


def paired(one: Side, other: Side) -> Pairs:
    """Pair runs of the same experiment, data set, seed and values of whatever tells runs apart.

    Zero-shot scores that stand beside runs are paired with the very runs they stand beside.
    ValueError where nothing pairs.
    """
    keys = list(dict.fromkeys([*telling(one.runs), *telling(other.runs)]))
    names = data_names([*one.runs, *other.runs])
    one, other = _beside(one, other), _beside(other, one)
    told = [_placed(side, keys, names) for side in (one, other)]
    (here, doubles), (there, other_doubles) = told
    found: dict[tuple[str, tuple[str, str]], list[Pair]] = {}
    lacking: dict[str, list[str]] = {}
    for place in dict.fromkeys([*here, *there]):
        task, data, *where = place
        words = _words(keys, where)
        said = f"{words} on {names[data]}" if len(names) > 1 else words
        for run, side, partners, whose in (
            (here.get(place), one, there, other), (there.get(place), other, here, one),
        ):  # fmt: skip
            if run is not None and place not in partners:
                _append(lacking, f"of {side.name} that {whose.name} lacks", said)
            elif run is not None and run.result is None:
                _append(lacking, f"of {side.name} without a result, and so its partner", said)
        ours, theirs = here.get(place), there.get(place)
        if ours and theirs and None not in (ours.result, theirs.result):
            found.setdefault((task, data), []).append(Pair(tuple(where), words, ours, theirs))
    for side, again in ((one, doubles), (other, other_doubles)):
        for said in again:
            _append(lacking, f"of {side.name} beside another of the same place", said)
    left = tuple(
        f"Left out: {plural(len(words))} {what}: {_listed(words)}."
        for what, words in lacking.items()
    )
    if not found:
        why = " ".join(left) or "neither has a run"
        raise ValueError(
            f"--compare: no run of {quoted(one.name)} pairs with one of {quoted(other.name)} by "
            f"{', '.join(['data set', 'seed', *keys])}: {why} Finish the runs, or name lines of "
            "the rows"
        )
    return Pairs(found, left)


def plural(num: int, what: str = "run") -> str:
    """Return a count of things."""
    return f"{num:,} {what}" + ("" if num == 1 else "s")


def _subsets(outcomes: Iterable[Outcome]) -> list[list[Outcome]]:
    """Return the runs of each table."""
    found: dict[Any, list[Outcome]] = {}
    for run in outcomes:
        for group in ((run.task,), (run.task, run.data)):
            found.setdefault(group, []).append(run)
    return list(found.values())


def _once(runs: Iterable[Outcome]) -> tuple[Outcome, ...]:
    return tuple({id(run): run for run in runs}.values())


def _beside(side: Side, other: Side) -> Side:
    """Return a side whose zero-shot scores are those that stand beside the other's runs."""
    tasks = {run.task for run in side.runs if run.is_reference}
    beside = [run.reference for run in other.runs if run.task in tasks and not run.is_reference]
    own = [run for run in side.runs if not run.is_reference]
    return Side(side.name, (*own, *(run for run in beside if run is not None)))


def _placed(
    side: Side, keys: Sequence[str], names: Mapping[tuple[str, str], str]
) -> tuple[dict[Place, Outcome], list[str]]:
    """Return the run at each place, of several the first that has finished, and the others."""
    found: dict[Place, Outcome] = {}
    again = []
    for run in side.runs:
        values = (shown(counted(key, run.config.get(key))) for key in keys)
        place = run.task, run.data, run.config.get("seed"), *values
        other = found.setdefault(place, run)
        if other is not run:
            words = _words(keys, place[2:])
            again.append(f"{words} on {names[run.data]}" if len(names) > 1 else words)
            if other.result is None:
                found[place] = run
    return found, again


def _words(keys: Sequence[str], where: Sequence[Any]) -> str:
    seed, *values = where
    told = [f"seed {shown(seed)}"] if seed is not None else ["no seed known"]
    told += [f"{head(key).lower()} {value}" for key, value in zip(keys, values, strict=True)]
    return shortened(printable(", ".join(told)))


def _append(lists: dict[str, list[str]], name: str, words: str) -> None:
    lists.setdefault(name, []).append(words)


def _listed(words: Sequence[str]) -> str:
    more = f"; and {len(words) - NAMED:,} more" if len(words) > NAMED else ""
    return "; ".join(words[:NAMED]) + more
