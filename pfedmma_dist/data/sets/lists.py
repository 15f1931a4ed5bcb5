"""Lists: the user's own images, one per line of a CSV or JSON-lines file."""

import csv
import logging
from collections.abc import Collection, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets.entry import Entry, Part
from pfedmma_dist.data.sets.listing import to_images
from pfedmma_dist.data.sets.presence import check_paths
from pfedmma_dist.data.sets.split import OWN_SHARES, draw
from pfedmma_dist.reading import from_json
from pfedmma_dist.spelling import control_in, quoted

log = logging.getLogger(__name__)

NEEDED, OPTIONAL = ("path", "class"), ("domain", "client", "split")

Row = tuple[int, dict[str, Any]]  # line, values by column


def read_list(cfg: DataConfig, root: Path, splits: Path) -> Images:
    """Read `data.list`, whose paths are relative to `root`.

    Without a column `split` one is drawn: within each client, or else within each class of each
    domain. The order of the lines does not matter.
    """
    file = Path(cfg.list).expanduser()
    entries = sorted(_entries(file), key=lambda entry: entry.path)
    if not entries:
        raise ValueError(f"data.list: {file} lists no image")
    if any(entry.part is None for entry in entries):
        entries = check_paths(entries, root, file, by_path=True)  # before a split of them is kept
        entries = draw(cfg.name, _strata(entries), OWN_SHARES, splits)
    return to_images(entries, root, file, cfg, by_path=True)


def _strata(entries: list[Entry]) -> list[list[Entry]]:
    """Return the entries in groups of which each gives its share of test images."""

    def group(entry: Entry) -> tuple[str, ...]:
        return (entry.client,) if entry.client else (entry.domain, entry.name)

    return [list(own) for _, own in groupby(sorted(entries, key=group), key=group)]


def _entries(file: Path) -> Iterator[Entry]:
    """Yield the images of a list, each value checked."""
    columns: tuple[str, ...] = ()
    for line, row in _rows(file):
        place = f"{file}, line {line}"
        own = tuple(name for name in (*NEEDED, *OPTIONAL) if name in row)
        if columns and own != columns:
            raise ValueError(
                f"data.list: {place} has {', '.join(own)} where the lines before have "
                f"{', '.join(columns)}; give all lines the same columns"
            )
        if not columns and len(row) > len(own):
            log.warning("data.list: not looked at in %s: %s", file, ", ".join(set(row) - set(own)))
        columns = own
        values = {name: _text(row[name], name, place) for name in own}
        part = None
        if "split" in values:
            if values["split"] not in Part.__members__:
                raise ValueError(
                    f"data.list: {place}: split {quoted(values['split'])} is not one of "
                    f"{', '.join(Part.__members__)}"
                )
            part = Part[values["split"]]
        domain, client = values.get("domain", ""), values.get("client", "")
        yield Entry(values["path"], values["class"], part, domain, client, file, line)


def _text(value: Any, name: str, place: str) -> str:
    """Return a value as text that is not empty; numbers serve as names too."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        raise ValueError(f"data.list: {place}: {name} is empty")
    if not isinstance(value, str):
        told = quoted(value)
        raise ValueError(f"data.list: {place}: {name} is {told}; write text or a whole number")
    held = control_in(value.strip())
    if held is not None:
        raise ValueError(f"data.list: {place}: {name} {quoted(value)} holds {held}; rename it")
    return value.strip()


def _need_columns(names: Collection[str], place: str) -> None:
    """Refuse a list that does not say where its images are, and what."""
    for name in NEEDED:
        if name not in names:
            raise ValueError(
                f"data.list: {place} has no {name!r}; a list has the columns path and class and "
                f"may have domain, client and split, this one has {', '.join(names) or 'none'}"
            )


def _rows(file: Path) -> Iterator[Row]:
    """Yield the rows of a CSV or JSON-lines file."""
    readers = {".csv": _csv, ".jsonl": _json_lines}
    if file.suffix.lower() not in readers:
        raise ValueError(f"data.list: {file} is neither .csv nor .jsonl (an object on each line)")
    try:
        yield from readers[file.suffix.lower()](file)
    except OSError as error:
        raise ValueError(f"data.list: cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"data.list: {file} is not UTF-8 text ({error})") from error


def _csv(file: Path) -> Iterator[Row]:
    with open(file, encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, strict=True)
        try:
            head = [name.strip() for name in next(reader, [])]
            if len(set(head)) < len(head):
                raise ValueError(f"data.list: {file}, line 1 names a column twice")
            _need_columns(head, f"{file}, line 1")
            for row in reader:
                if len(row) == len(head):
                    yield reader.line_num, dict(zip(head, row, strict=True))
                elif row:
                    raise ValueError(
                        f"data.list: {file}, line {reader.line_num} has {len(row)} values for "
                        f"{len(head)} columns ({', '.join(head)})"
                    )
        except csv.Error as error:
            raise ValueError(f"data.list: {file}, line {reader.line_num}: {error}") from error


def _json_lines(file: Path) -> Iterator[Row]:
    with open(file, encoding="utf-8-sig") as stream:
        for line, text in enumerate(stream, 1):
            if not text.strip():
                continue
            try:
                row = from_json(text)
            except ValueError as error:
                raise ValueError(f"data.list: {file}, line {line} is no JSON: {error}") from error
            if not isinstance(row, dict):
                raise ValueError(f"data.list: {file}, line {line} is no JSON object: {quoted(row)}")
            _need_columns(row, f"{file}, line {line}")
            yield line, row
