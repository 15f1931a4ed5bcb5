"""Arrange runs into the paper's tables; which ones follows from what the runs are.

Harmonic means are taken in every run, then averaged: over seeds, and over data sets as in the
paper, where the harmonic mean of the averaged columns stands beside that.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from pfedmma_dist.config.merge import shown
from pfedmma_dist.quantities.means import harmonic_mean
from pfedmma_dist.quantities.sampled import interval_words, sample_words
from pfedmma_dist.quantities.scores import HM, LOCAL_MEAN, SCOPE_MEAN
from pfedmma_dist.results.cells import SAMPLED, Cell, Column, Table
from pfedmma_dist.results.columns import (
    chosen_columns,
    line_cells,
    numbers,
    privacy_columns,
    score_columns,
)
from pfedmma_dist.results.costs import cost_table, scaling_table
from pfedmma_dist.results.lines import (
    BETA,
    CLIENTS,
    TOLD_OTHERWISE,
    Line,
    data_names,
    is_alone,
    lines,
    number_or_text,
    table,
    telling,
)
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.results.published import AVERAGE, published, remarks

OF_MEANS = Column("hm_of_means", "HM of means")
THREE = (LOCAL_MEAN.key, *(SCOPE_MEAN.named(scope).key for scope in HM.of[1:]))
"""Keys of the means that it is the harmonic mean of."""

REFERENCE_KEYS = ("data.", "clip.", "seed")
"""Beginnings of the keys that zero-shot scores depend on."""


ONE_CLIENT = (
    "A single client with all data has everybody's images and classes as its own: its Local is "
    "over all of them, what is among own classes or over clients is left out, and beside others it "
    "is never in bold"
)

SAME_SCORE = 0.05
"""Percent; a machine that rounds otherwise may turn single images."""


def tables(
    outcomes: Iterable[Outcome], *, paper: bool = False, keys: Sequence[str] = ()
) -> list[Table]:
    """Return the tables of these runs: accuracies, scaling over clients, and costs.

    paper: add the paper's own figures, as rows labelled so. keys: of the quantities that are the
    columns of all tables, in place of what the tables have unasked.
    """
    runs = with_reference(list(outcomes))
    names = data_names(runs)
    asked = chosen_columns(runs, keys) if keys else []
    found = []
    for task in dict.fromkeys(run.task for run in runs):
        own = [run for run in runs if run.task == task]
        sets = list(dict.fromkeys(run.data for run in own))
        if len(sets) > 1 and any(HM.key in run.scores for run in own):
            found.append(_naming_samples(_average(task, own, sets, asked), own))
        for data in sets:
            here = [run for run in own if run.data == data]
            words = ", ".join(filter(None, (names[data], spoken(task)))) or "Not started"
            if CLIENTS in telling(here) and not asked:
                one = scaling_table(words, here)
            else:
                one = _one_set(words, here, asked or [*score_columns(here), *privacy_columns(here)])
            if any(map(is_alone, here)):
                one = replace(one, remarks=(ONE_CLIENT,))
            found.append(_naming_samples(replace(one, task=task, data=names[data]), here))
    if not asked:
        found.append(cost_table(runs))
    if paper:
        found = [
            replace(
                one,
                rows=(*one.rows, *published(one)),
                remarks=(*one.remarks, *remarks(one)),
            )
            for one in found
        ]
    return found


def _naming_samples(one: Table, runs: Iterable[Outcome]) -> Table:
    """Return the table of these runs, saying whose scores are of some clients or images, and how
    far the means of any one of them may be off."""
    widths: dict[str, dict[str, float]] = {}
    for run in runs:
        facts = (run.result or {}).get("scored")
        if facts and not run.is_reference:
            own = widths.setdefault(f"{run.name}: {sample_words(facts)}", {})
            for name, width in facts["half_widths"].items():
                own[name] = max(width, own.get(name, 0.0))
    if not widths:
        return one
    told = [
        "; ".join(filter(None, (f"{SAMPLED}, {words}", interval_words(own))))
        for words, own in widths.items()
    ]
    return replace(one, title=f"{one.title}, sampled", remarks=(*one.remarks, *told))


def with_reference(runs: list[Outcome]) -> list[Outcome]:
    """Return the runs after the zero-shot scores they stand beside, if none of them is of those.

    Where rows have settings of their own, such as a template, the scores are told apart by them if
    they differ, and are one line if they do not.
    """
    found = []
    for task in dict.fromkeys(run.task for run in runs):
        own = [run for run in runs if run.task == task]
        beside = [run.reference for run in own]
        name = next((row.name for row in beside if row is not None), None)
        known = {run.name for run in own if run.name == name or _is_plain(run)}
        if name is None or known:
            continue
        rows = [
            row or replace(run, row=name, result=None, is_reference=True)
            for run, row in zip(own, beside, strict=True)
        ]
        told = (*TOLD_OTHERWISE, *telling(own))
        short = [_with_keys(row, told) for row in rows]
        scores: dict[str, Mapping[str, float]] = {}
        is_short = all(
            _alike(scores.setdefault(str(sorted(row.config.items())), row.scores), row.scores)
            for row in short
            if row.result is not None
        )
        found += short if is_short else [_with_keys(row, row.config) for row in rows]
    return [*found, *runs]


def _is_plain(run: Outcome) -> bool:
    """Whether a run is zero-shot CLIP, prompted as it is beside all others."""
    beside = run.reference
    return run.is_untrained and (beside is None or _alike(run.scores, beside.scores))


def _alike(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether scores are those of one model on one task, up to the rounding of two machines."""
    return one.keys() == other.keys() and all(
        abs(one[key] - other[key]) < SAME_SCORE for key in one
    )


def _with_keys(row: Outcome, keys: Collection[str]) -> Outcome:
    """Return zero-shot scores with those of the keys alone that they may depend on."""
    config = {
        key: value
        for key, value in row.config.items()
        if key in keys and key.startswith(REFERENCE_KEYS)
    }
    return replace(row, config=config)


def spoken(task: str) -> str:
    """Return what a person calls an experiment."""
    return task.replace("_", " ")


def _average(
    task: str, runs: list[Outcome], sets: list[tuple[str, str]], asked: list[Column]
) -> Table:
    """Return the table of means over data sets, of the seeds that have run on all of them."""
    columns = asked or score_columns(runs)
    quantities = [column.measured for column in columns]

    def cells(line: Line) -> list[Cell]:
        on_each = [line.seeds(data) for data in sets]
        seeds = dict.fromkeys(seed for found in on_each for seed in found)
        known = [
            {seed: numbers(run, quantities) for seed, run in found.items()} for found in on_each
        ]
        is_told = any(run.result is not None for run in line.runs)
        own = []
        for quantity in quantities:
            is_there = any(quantity.key in one for found in known for one in found.values())
            if line.lacks(quantity) or (is_told and not is_there):
                own.append(Cell())
                continue
            whole = {}
            for seed in seeds:
                own_sets = [found.get(seed, {}) for found in known]
                scores = [one[quantity.key] for one in own_sets if quantity.key in one]
                if len(scores) == len(sets):
                    whole[seed] = sum(scores) / len(sets)
            own.append(Cell.of(whole, len(seeds)))
        return own if asked else [*own, _of_means(columns, own)]

    words = f"Average over {len(sets)} data sets, {spoken(task)}"
    shown = columns if asked else [*columns, OF_MEANS]
    return replace(table(words, lines(runs), shown, cells), task=task, data=AVERAGE)


def _of_means(columns: list[Column], cells: list[Cell]) -> Cell:
    """Return the harmonic mean of the mean accuracies in a row; of each seed, for pairs."""
    means = {column.key: cell for column, cell in zip(columns, cells, strict=True)}
    three = [means.get(key, Cell()) for key in THREE]
    known = [cell.mean for cell in three if cell.mean is not None]
    if len(known) < len(three):
        return Cell(planned=max(cell.planned for cell in cells))
    mean = harmonic_mean(known)
    by_seed = {
        seed: harmonic_mean(cell.values[seed] for cell in three)
        for seed in three[0].values
        if all(seed in cell.values for cell in three)
    }
    return replace(three[0], mean=mean, deviation=None, values=by_seed)


def _one_set(words: str, runs: list[Outcome], columns: list[Column]) -> Table:
    """Return the columns on one data set; of a label shift a column for each concentration."""
    domains = any(column.measured.domain for column in columns)
    betas = sorted({run.config[BETA] for run in runs if BETA in run.config}, key=number_or_text)
    if BETA not in telling(runs) or domains:
        return table(words, lines(runs), columns, lambda line: line_cells(line, columns))
    pairs = [(column, beta) for column in columns for beta in betas]
    points = [
        replace(
            column,
            key=f"{column.key}_beta_{shown(beta)}",
            title=f"{column.title}, β = {shown(beta)}",
        )
        for column, beta in pairs
    ]

    def cells(line: Line) -> list[Cell]:
        return [line_cells(line, [column], **{BETA: beta})[0] for column, beta in pairs]

    return table(words, lines(runs, besides=[BETA]), points, cells)
