"""Differences of two rows, A - B: over pairs of runs, and over the clients of these runs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from pfedmma_dist.quantities.scores import titled
from pfedmma_dist.reading import Unreadable
from pfedmma_dist.results.cells import Column
from pfedmma_dist.results.clients import Clients, read_clients, side_by_side, strangers
from pfedmma_dist.results.columns import chosen_columns, numbers, score_columns
from pfedmma_dist.results.lines import data_names
from pfedmma_dist.results.noise import interval, sign_test, signs
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.results.paired import Pair, paired, plural, sides
from pfedmma_dist.results.published import AVERAGE
from pfedmma_dist.results.tables import spoken, with_reference

RUNS, CLIENT_MEANS, CLIENTS = "runs", "means of clients", "all clients"
"""What a pair of a difference is: two runs, the means over clients of two runs, or two clients."""


@dataclass(frozen=True)
class Difference:
    """What pairs of numbers say about one quantity."""

    key: str
    title: str
    unit: str
    over: str  # RUNS, CLIENT_MEANS or CLIENTS
    num_runs: int  # pairs of runs that have it
    planned: int  # pairs of runs
    num_clients: int  # pairs of clients; 0: it is of whole runs
    one: float  # mean of A
    other: float
    mean: float  # of A - B
    interval: tuple[float, float] | None  # 95 %; None of a single pair
    signs: tuple[int, int, int]  # pairs above, below, equal
    chance: float  # of the sign test

    @classmethod
    def of(
        cls,
        column: tuple[str, str, str],  # key, title, unit
        over: str,
        values: Sequence[tuple[float, float]],  # of A and B, one pair or more
        runs: tuple[int, int],  # that have it, of how many
        num_clients: int = 0,
    ) -> "Difference":
        """Return the difference of these pairs."""
        found = [one - other for one, other in values]
        above, below, equal = signs(found)
        ones, others = zip(*values, strict=True)
        return cls(
            *column, over, *runs, num_clients, fmean(ones), fmean(others), fmean(found),
            interval(found), (above, below, equal), sign_test(above, below),
        )  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """The differences of two rows on one data set, or on the average of several."""

    names: tuple[str, str]
    task: str
    data: str
    words: str  # of the data set and the experiment
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Compared:
    """All comparisons of two rows, and in words what has no part in them."""

    comparisons: tuple[Comparison, ...]
    left: tuple[str, ...]
    damaged: tuple[str, ...] = ()  # files


def compare(
    outcomes: Iterable[Outcome], names: Sequence[str], keys: Sequence[str] = ()
) -> Compared:
    """Compare two rows of these runs by name; keys: of quantities in place of the usual ones."""
    one, other = sides(with_reference(list(outcomes)), names)
    pairs = paired(one, other)
    called = data_names([*one.runs, *other.runs])
    found: list[Comparison] = []
    left = list(pairs.left)
    damaged: list[str] = []
    for task in dict.fromkeys(task for task, _ in pairs.found):
        own = {data: here for (of, data), here in pairs.found.items() if of == task}
        runs = [run for here in own.values() for pair in here for run in (pair.one, pair.other)]
        asked = chosen_columns(runs, keys) if keys else []
        if len(own) > 1:
            words = f"average over {len(own)} data sets, {spoken(task)}"
            differences, told = _average(list(own.values()), asked or score_columns(runs))
            found.append(Comparison((one.name, other.name), task, AVERAGE, words, differences))
            left += told
        for data, here in own.items():
            words = ", ".join(filter(None, (called[data], spoken(task))))
            columns = asked or score_columns([r for p in here for r in (p.one, p.other)])
            values = [_numbers(pair, columns) for pair in here]
            of_runs = _over_runs(columns, values, f" ({words})", left)
            of_clients = _over_clients(here, words, left, damaged)
            both = (*of_runs, *of_clients)
            found.append(Comparison((one.name, other.name), task, called[data], words, both))
    return Compared(tuple(found), tuple(dict.fromkeys(left)), tuple(damaged))


Values = dict[str, tuple[float | None, float | None]]
"""Key of a quantity -> its number in either run of a pair, None where that has none."""


def _numbers(pair: Pair, columns: Sequence[Column]) -> Values:
    quantities = [column.measured for column in columns]
    one, other = (numbers(run, quantities) for run in (pair.one, pair.other))
    return {
        quantity.key: (one.get(quantity.key), other.get(quantity.key)) for quantity in quantities
    }


def _over_runs(
    columns: Sequence[Column], values: Sequence[Values], where: str, left: list[str]
) -> list[Difference]:
    """Return the difference of each column over pairs; tell `left` of those that lack a number."""
    found = []
    for column in columns:
        own = [value[column.key] for value in values]
        whole = [(a, b) for a, b in own if a is not None and b is not None]
        if len(whole) < len(own):
            lack = len(own) - len(whole)
            pairs = f"{lack:,} of {plural(len(own), 'pair')}"
            left.append(f"Left out of {column.title}: {pairs}, of which one run lacks it{where}.")
        if whole:
            name = column.key, column.title, column.unit
            found.append(Difference.of(name, RUNS, whole, (len(whole), len(own))))
    return found


def _average(
    sets: Sequence[Sequence[Pair]], columns: Sequence[Column]
) -> tuple[tuple[Difference, ...], list[str]]:
    """Return differences of means over data sets, of the places that have a pair on all of them."""
    on_each = [{pair.place: _numbers(pair, columns) for pair in pairs} for pairs in sets]
    words = {pair.place: pair.words for pairs in sets for pair in pairs}
    whole = [place for place in words if all(place in found for found in on_each)]
    left = []
    if len(whole) < len(words):
        first = next(text for place, text in words.items() if place not in whole)
        left.append(
            f"Left out of the average: {len(words) - len(whole):,} of {plural(len(words), 'pair')} "
            f"that are not on every data set; the first is {first}."
        )
    values: list[Values] = []
    for place in whole:
        there = [found[place] for found in on_each]
        values.append({column.key: _mean(column.key, there) for column in columns})
    return tuple(_over_runs(columns, values, " (average)", left)), left


def _mean(key: str, there: Sequence[Values]) -> tuple[float | None, float | None]:
    ones, others = zip(*(values[key] for values in there), strict=True)
    one, other = (None if None in own else fmean(own) for own in (ones, others))
    return one, other


def _over_clients(
    pairs: Sequence[Pair], words: str, left: list[str], damaged: list[str]
) -> list[Difference]:
    """Return two differences of each scope: over the runs' means, and over all clients."""
    if any(pair.one.is_reference or pair.other.is_reference for pair in pairs):
        left.append(
            "Left out: client by client, for the zero-shot scores beside a run are kept as means "
            "alone; a run with method.name=zero_shot has them of each client."
        )
        return []
    both, errors = _read(pairs)
    if errors:
        first = f"the first is {errors[0]}" if len(errors) > 1 else errors[0]
        left.append(f"Left out: the clients of {plural(len(errors), 'pair')} ({words}): {first}.")
        damaged += errors
    odd = [strangers(*found) for found in both]
    if any(odd):
        left.append(
            f"Note: {plural(sum(odd), 'client')} in {plural(sum(map(bool, odd)), 'pair')} of runs "
            f"({words}) have another domain, or other images or classes, than their partner of the "
            "same number."
        )
    found: list[Difference] = []
    lacking: dict[tuple[str, int], list[str]] = {}  # what, of how many -> scopes
    for scope in dict.fromkeys(s for clients in both for one in clients for s in one.scores):
        there: list[list[tuple[float, float]]] = []
        missing: Counter[str] = Counter()
        for one, other in both:
            values, lack = side_by_side(one, other, scope)
            missing.update(lack)
            there += [values] if values else []
        for place in missing.items():
            lacking.setdefault(place, []).append(titled(scope))
        if there:
            runs, num = (len(there), len(pairs)), sum(map(len, there))
            means = [(fmean(a for a, _ in own), fmean(b for _, b in own)) for own in there]
            name = scope, titled(scope), "percent"
            found.append(Difference.of(name, CLIENT_MEANS, means, runs, num))
            found.append(Difference.of(name, CLIENTS, [v for own in there for v in own], runs, num))
    left += [
        f"Left out: {plural(num, 'client')} {what}: {', '.join(scopes)} ({words})."
        for (what, num), scopes in lacking.items()
    ]
    return found


def _read(pairs: Sequence[Pair]) -> tuple[list[tuple[Clients, Clients]], list[str]]:
    """Return the clients of the pairs whose files are whole, and what is wrong with the others."""
    found, errors = [], []
    for pair in pairs:
        try:
            found.append((read_clients(pair.one), read_clients(pair.other)))
        except Unreadable as error:
            errors.append(f"{pair.words}: {error}")
    return found, errors
