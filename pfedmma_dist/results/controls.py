"""Table of the negative controls of one run: what each should show, and what it shows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pfedmma_dist.quantities.scores import LOCAL_MEAN
from pfedmma_dist.reading import FORMAT, Unreadable, read_json, seal, sealed
from pfedmma_dist.results.cells import Cell, Column, Row, Table
from pfedmma_dist.results.columns import numbers, score_columns
from pfedmma_dist.results.outcome import Outcome
from pfedmma_dist.run import result
from pfedmma_dist.run.files import plain, write_json
from pfedmma_dist.run.folder import RunFolder

REMEDY = "delete it, and start launch.controls again"


@dataclass(frozen=True)
class Control:
    """One control: a run of its own, or scores of the run with other numbers."""

    name: str  # as one asks for it
    row: str  # in the table, and its folder
    should: str
    words: tuple[str, ...] = ()  # keys of its own run; (): it needs no training


CONTROLS = (
    Control(
        "labels", "training labels permuted", "fall to zero-shot CLIP or to chance",
        ("control.labels=permuted",),
    ),
    Control(
        "names", "class names permuted", "fall to chance where it lives from text, Novel too",
        ("control.names=permuted",),
    ),
    Control(
        "shared", "shared part at its start", "fall by what sharing buys",
        ("control.shared=at_start",),
    ),
    Control("swapped", "private parts swapped", "fall on others' images alone"),
    Control("alpha", "method switched off (alpha = 0)", "be zero-shot CLIP"),
)  # fmt: skip


@dataclass(frozen=True)
class Scored:
    """What the controls without training have shown."""

    why_not_swapped: str  # empty: they were
    own: float | None  # percent, mean over the diagonal of the clients x clients matrix
    others: float | None  # percent, mean over the rest of it
    why_not_silent: str  # empty: it was switched off
    silent: Mapping[str, float]  # key of `summary` -> percent


def scored_file(folder: Path) -> Path:
    """Return where the scores of the controls without training are kept."""
    return folder / "scored.json"


def matrix_file(folder: Path) -> Path:
    """Return the table of clients x clients."""
    return folder / "swapped.csv"


def write_scored(folder: Path, run: RunFolder, found: Scored) -> None:
    """Keep the scores, and of which result they are."""
    body = plain({"format": FORMAT, "of": seal(result.read(run) or {}), **asdict(found)})
    write_json(scored_file(folder), {**body, "sha256": seal(body)})


def read_scored(folder: Path, run: RunFolder) -> Scored | None:
    """Return the scores, None where they are missing or another result's."""
    path = scored_file(folder)
    try:
        body = sealed(path, read_json(path, dict, REMEDY), REMEDY)
        of = body.pop("of")
        del body["format"]
        found = Scored(**body)
    except FileNotFoundError:
        return None
    except (KeyError, TypeError) as error:
        raise Unreadable(path, f"holds no scores of controls ({error})", REMEDY) from error
    is_whole = bool(found.why_not_swapped) or matrix_file(folder).is_file()
    return found if is_whole and of == seal(result.read(run) or {}) else None


def why_not(control: Control, run: Outcome) -> str:
    """Say why a run has no such control of its own; nothing where it has."""
    if control.name == "labels" and run.is_untrained:
        return "nothing is trained: labels are not read"
    if control.name == "shared" and not run.final.get("up_numbers"):
        return "nothing is shared: nothing to hold"
    if control.name == "shared" and not run.final.get("trained"):
        return "what is shared is counted: nothing but zero-shot is left without it"
    return ""


def control_table(
    run: Outcome, retrained: Mapping[str, Outcome], scored: Scored | None, asked: list[str]
) -> Table:
    """Return the table: the run, zero-shot CLIP, and the controls that were asked for.

    retrained: name of a control -> its own run, as far as it has come.
    """
    columns = score_columns([run])
    rows = [_row(run.name, "", _scores(run, columns))]
    if run.reference is not None:
        rows.append(_row(run.reference.name, "", _scores(run.reference, columns)))
    for control in (each for each in CONTROLS if each.name in asked):
        reason, cells = why_not(control, run), [Cell(planned=1) for _ in columns]
        if control.name == "swapped" and scored is not None:
            rows += _swapped(control, scored, columns)
            continue
        if control.name == "alpha" and scored is not None:
            reason = scored.why_not_silent
            off = scored.silent
            cells = [Cell.of(_one(off[c.key]), 1) if c.key in off else Cell() for c in columns]
        elif control.name in retrained:
            cells = _scores(retrained[control.name], columns)
        rows.append(_row(control.row, reason or control.should, cells, bool(reason)))
        own = retrained.get(control.name)
        if control.name == "names" and own is not None and own.reference is not None:
            name = f"{own.reference.name}, class names permuted"
            rows.append(_row(name, "fall to chance", _scores(own.reference, columns)))
    title = f"Negative controls of {run.path}"
    return Table(
        title, ("Control", "Should"), tuple(columns), tuple(rows), run.task, run.data[0],
        is_ranked=False, remarks=_chance(run),
    )  # fmt: skip


def _swapped(control: Control, scored: Scored, columns: list[Column]) -> list[Row]:
    if scored.why_not_swapped:
        return [_row(control.row, scored.why_not_swapped, [Cell()] * len(columns), True)]
    pairs = (
        (f"{control.row}, on own images", "be the run's Local", scored.own),
        (f"{control.row}, on others' images", control.should, scored.others),
    )
    return [
        _row(
            name, should,
            [Cell.of(_one(x), 1) if c.key == LOCAL_MEAN.key else Cell() for c in columns],
        )
        for name, should, x in pairs
    ]  # fmt: skip


def _chance(run: Outcome) -> tuple[str, ...]:
    """Say what guessing reaches."""
    classes: Any = (run.result or {}).get("task")
    sets = classes.get("classes", {}) if isinstance(classes, Mapping) else {}
    told = [f"{100 / len(names):.2f} among {len(names)} of {name}" for name, names in sets.items()]
    return (f"Chance: {', '.join(told)}",) if told else ()


def _row(name: str, should: str, cells: list[Cell], is_impossible: bool = False) -> Row:
    """Return a line; one that cannot be says why where others say what they should."""
    if is_impossible:
        return Row((name, f"– ({should})"), tuple(Cell() for _ in cells))
    return Row((name, should), tuple(cells))


def _scores(run: Outcome, columns: list[Column]) -> list[Cell]:
    found = numbers(run, [column.measured for column in columns])
    return [Cell.of(_one(found.get(column.key)), 1) for column in columns]


def _one(value: float | None) -> dict[str, float]:
    return {} if value is None else {"": value}
