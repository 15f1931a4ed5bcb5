"""A sweep file becomes a list of runs: `base`, one of the `rows`, one point of the `grid`."""

import csv
import io
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

from launch.books import COLUMNS, PLAN
from launch.grid import ROW, check_exclude, matches, need_text
from pfedmma_dist.adoption import adopt
from pfedmma_dist.config.built import merged
from pfedmma_dist.config.command_line import read, unread, with_default
from pfedmma_dist.config.documents import Word, parsed, read_layer
from pfedmma_dist.config.identity import digest, digest_of_format_0
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.kinds import SWEEP, refuse_other_kind
from pfedmma_dist.config.merge import shown
from pfedmma_dist.config.presets import alike, find
from pfedmma_dist.config.shards import num_shards
from pfedmma_dist.config.words import word_layer
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.outline import outlines
from pfedmma_dist.reading import FORMAT
from pfedmma_dist.run.files import write_text_atomically, writing
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.spelling import quoted

Reader = Callable[[list[str]], Config]
"""Reads the words of a command line."""


@dataclass(kw_only=True)
class Sweep:
    """What a sweep file holds."""

    base: list[str] = field(default_factory=list)
    """Arguments of every run, as for `train`: files and key=value words."""
    rows: dict[str, list[str]] = field(default_factory=dict)
    """Name in the tables -> further arguments of that row's runs."""
    grid: dict[str, list[Any]] = field(default_factory=dict)
    """Dotted key -> values; every row is run at every combination of them."""
    exclude: list[dict[str, Any]] = field(default_factory=list)
    """Partial points, such as `{row: LoRA, seed: 3}`; a run with all values of one is left out."""
    score_on: list[list[str]] = field(default_factory=list)
    """Data sets that `launch.score` scores all finished runs on: arguments of `evaluate` for each,
    none for the run's own set."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep."""

    row: str
    point: dict[str, Any]  # grid key -> value
    words: list[str]  # arguments of train, run.folder among them
    config: Config
    id: str  # of all that decides the result: the same in every sweep
    id_of_format_0: str | None  # None: there was no such run then

    @property
    def ids(self) -> tuple[str | None, ...]:
        """Return the ids that a job of this run may have, of every format."""
        return self.id, self.id_of_format_0

    @property
    def folder(self) -> RunFolder:
        """Return the run folder."""
        return RunFolder(str(self.config.run.folder))

    @property
    def name(self) -> str:
        """Return what the run is called within its sweep."""
        return self.folder.path.name


def plan(file: str, words: Iterable[str]) -> list[PlannedRun]:
    """Return the runs of a sweep file, all of them checked; ValueError where one is not valid.

    words: further arguments of every run. One that names a grid key replaces that key's values:
    `seed=4` or `seed=[4,5]`; run.folder is the folder of the sweep, not of one run.
    """
    return expanded(file, read_sweep(file), words)


def read_sweep(file: str) -> Sweep:
    """Return what a sweep file holds; ValueError where it is none."""
    path = _sweep_file(file)
    layer = replace(read_layer(path), source=file)
    refuse_other_kind(path, layer.tree, SWEEP)
    sweep = merged(Sweep, [layer])
    return replace(sweep, rows=sweep.rows or {path.stem: []})


def expanded(file: str, sweep: Sweep, words: Iterable[str]) -> list[PlannedRun]:
    """Return the runs of a sweep; file: what messages call it."""
    rows, grid, overrides = sweep.rows, dict(sweep.grid), []
    check_exclude(file, sweep.exclude, {ROW: list(rows), **grid})
    for word in words:
        key, _, value = word.partition("=")
        if key in grid:
            values = parsed(Word(value), key)
            grid[key] = values if isinstance(values, list) else [values]
        else:
            overrides.append(word)
    for key, values in grid.items():
        need_text(file, key, values)
    points = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    read_once = partial(read, methods=outlines(), sources=SOURCES, layer_of=cache(word_layer))
    runs = [
        _planned(file, row, point, [*sweep.base, *own, *_words(point), *overrides], read_once)
        for point in points  # outside, so that all rows soon have a first run
        for row, own in rows.items()
        if not matches(sweep.exclude, {ROW: row, **point})
    ]
    if not runs:
        raise ValueError(
            f"{file} plans no run: give every key of the grid a value, and exclude fewer"
        )
    owners: dict[str, PlannedRun] = {}
    for run in runs:
        other = owners.setdefault(run.name, run)
        if other is not run:
            raise ValueError(
                f"{file}: rows {other.row!r} and {run.row!r} would both run in {run.folder.path}; "
                "give them names that differ in letters or digits, and grid keys different values"
            )
    return runs


def unread_everywhere(runs: Iterable[PlannedRun]) -> list[str]:
    """Say which keys of the sweep's words no run makes any use of."""
    told = [unread(run.words, run.config) for run in runs]
    return [words for key, words in told[0].items() if all(key in other for other in told)]


def adoption_warnings(runs: Iterable[PlannedRun]) -> list[str]:
    """Say what is odd about what the runs' folders hold, once each."""
    told = [words for run in runs for level, words in adopt(run.config, run.folder, outlines())
            if level >= logging.WARNING]  # fmt: skip
    return list(dict.fromkeys(told))


def is_finished(run: PlannedRun) -> bool:
    """Whether the run's folder holds its result; ValueError where it holds that of another run."""
    adopt(run.config, run.folder, outlines())
    return run.folder.result.exists()


def check_ranks(config: Config, num_ranks: int, *, on_gpus: bool = False) -> None:
    """Refuse more ranks than there are shards to host."""
    device = "cuda" if on_gpus and config.run.device != "cpu" else "cpu"
    shards = config.federation.num_shards or num_shards(device, num_ranks)
    if num_ranks > shards:
        raise ValueError(
            f"federation.num_shards: {shards} shards cannot feed {num_ranks} ranks; set "
            f"federation.num_shards={num_ranks} or ask for fewer ranks"
        )


def write_plan(runs: list[PlannedRun]) -> Path:
    """Write down what the sweep consists of, and return the folder of the sweep."""
    folder = runs[0].folder.path.parent
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, "format", *runs[0].point])
    for run in runs:
        writer.writerow([run.id, run.row, run.name, FORMAT, *map(shown, run.point.values())])
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_text_atomically(folder / PLAN, text.getvalue())
    return folder


def _sweep_file(word: str) -> Path:
    path = find(word)
    if path is None and (Path(word) / PLAN).is_file():
        raise ValueError(
            f"{word} is the folder of a sweep; give its SWEEP.yaml to go on with it, or see how "
            f"far it is by python -m launch.status {word}"
        )
    if path is None:
        near = alike(word)
        raise ValueError(f"there is no sweep {word}" + (f"; did you mean {near}?" if near else ""))
    return path


def _words(point: Mapping[str, Any]) -> list[str]:
    return [f"{key}={shown(value)}" for key, value in point.items()]


def _planned(
    file: str, row: str, point: Mapping[str, Any], words: list[str], read_once: Reader
) -> PlannedRun:
    """Return the run of one row at one point; words: of a command line."""
    words = with_default(words)
    try:
        config = read_once(words)
    except ValueError as error:
        raise ValueError(f"{file}, row {row!r}: {error}") from error
    parts = {key: key.rpartition(".")[2] for key in point}
    differs = [
        shown(value) if parts[key] == "name" else f"{parts[key]}{shown(value)}"  # seed1, but pacs
        for key, value in point.items()
    ]
    name = "-".join(re.sub(r"[^\w.+]+", "_", text).strip("_") for text in (row, *differs))
    if not name.strip("."):
        raise ValueError(f"{file}: row {quoted(row)} has no letter or digit to name a folder by")
    folder = Path(config.run.folder or Path("runs") / Path(file).stem).expanduser() / name
    config.run.folder = str(folder)
    words = [*words, f"run.folder={folder}"]
    ids = digest(config, outlines()), digest_of_format_0(config, outlines())
    return PlannedRun(row, dict(point), words, config, *ids)
