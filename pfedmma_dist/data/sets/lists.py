"""Lists: the user's own images, one per line of a CSV or JSON-lines file."""

import logging
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets.entry import Entry, Part
from pfedmma_dist.data.sets.halves import part_of
from pfedmma_dist.data.sets.listing import to_images
from pfedmma_dist.data.sets.presence import check_paths
from pfedmma_dist.data.sets.split import OWN_SHARES, draw
from pfedmma_dist.data.sets.tables import encoding_of, lines_of
from pfedmma_dist.reading import from_json
from pfedmma_dist.spelling import control_in, quoted, shortened

log = logging.getLogger(__name__)

NEEDED, OPTIONAL = ("path", "class"), ("domain", "client", "split")

OTHERS = {
    "path": "file filename filepath file_name file_path image images image_path img img_path",
    "class": "label labels class_name classname category target species",
    "split": "subset set partition phase part mode usage fold stage",
}
"""What others call the columns; they are not taken for these unasked."""

EACH_LINE = 'write an object on each line, as {"path": ..., "class": ...}'
"""What mends a .jsonl file that is one array."""

Row = tuple[int, dict[str, Any]]  # line, values by column


def read_list(cfg: DataConfig, root: Path, splits: Path) -> Images:
    """Read `data.list`, whose paths are relative to `root`.

    Without a column `split` one is drawn: within each client, or else within each class of each
    domain. The order of the lines does not matter.
    """
    assert cfg.list is not None
    file = Path(cfg.list).expanduser()
    if not file.is_file() and (root / file).is_file():
        raise ValueError(f"data.list: {file} is not there; set data.list={root / file}, which is")
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
    spelled: dict[str, Part] = {}
    for line, row in _rows(file):
        place = f"{file}, line {line}"
        own = tuple(name for name in (*NEEDED, *OPTIONAL) if name in row)
        if columns and own != columns:
            raise ValueError(
                f"data.list: {place} has {', '.join(own)} where the lines before have "
                f"{', '.join(columns)}; give all lines the same columns"
            )
        if not columns and "split" not in own:
            _refuse_other_split(row, place)
        if not columns and len(row) > len(own):
            log.warning(
                "data.list: not looked at in %s: %s (the columns that are used are called %s)",
                file, ", ".join(quoted(name) for name in row if name not in own),
                ", ".join((*NEEDED, *OPTIONAL)),
            )  # fmt: skip
        columns = own
        values = {name: _text(row[name], name, place) for name in own}
        part = _part(values["split"], place, spelled) if "split" in values else None
        domain, client = values.get("domain", ""), values.get("client", "")
        yield Entry(values["path"], values["class"], part, domain, client, file, line)
    others = [f"{name!r} as {part.value}" for name, part in spelled.items() if name != part.value]
    if others:
        log.info("data.list: %s: read the split %s", file, ", ".join(others))


def _refuse_other_split(row: dict[str, Any], place: str) -> None:
    """Refuse a column of halves that is called otherwise: all its images would be dealt anew."""
    for name, value in row.items():
        known = name.strip().lower() in OTHERS["split"].split()
        if known and isinstance(value, str) and part_of(value) is not None:
            raise ValueError(
                f"data.list: {place}: {name} is {quoted(value)}, and no column is called split; "
                f"call {name} so, or delete it for a split of our own"
            )


def _part(value: str, place: str, spelled: dict[str, Part]) -> Part:
    """Return the part that a value of `split` means. spelled: those met before, and this one."""
    if value not in spelled:
        part = part_of(value)
        if part is None:
            raise ValueError(
                f"data.list: {place}: split {quoted(value)} is not one of "
                f"{', '.join(Part.__members__)}, in any spelling"
            )
        spelled[value] = part
    return spelled[value]


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


def _headings(names: Sequence[str], place: str) -> dict[str, str]:
    """Return the name of ours of each column, by its own; refuse a list without path and class.

    Ours in another letter case are taken for them, where nothing else is called so.
    """
    ours = {name: name for name in names}
    for name in names:
        lower = name.strip().lower()
        if lower in (*NEEDED, *OPTIONAL) and lower not in ours.values():
            ours[name] = lower
    lacking = [name for name in NEEDED if name not in ours.values()]
    if lacking:
        meant = [
            f"{name} by {other!r}"
            for name in lacking
            for other in names
            if other.strip().lower() in OTHERS[name].split()
        ]
        hint = f"; did you mean {' and '.join(meant)}? then call it so" if meant else ""
        raise ValueError(
            f"data.list: {place} has no {lacking[0]!r}{hint}; a list has the columns path and "
            "class and may have domain, client and split, this one has "
            f"{shortened(', '.join(names), 200) or 'none'}"
        )
    renamed = [f"{own!r} as {name}" for own, name in ours.items() if own != name]
    if renamed:
        log.info("data.list: %s: read the column %s", place, ", ".join(renamed))
    return ours


def _rows(file: Path) -> Iterator[Row]:
    """Yield the rows of a CSV or JSON-lines file."""
    readers = {".csv": _csv, ".tsv": _csv, ".jsonl": _json_lines}
    if file.suffix.lower() not in readers:
        raise ValueError(
            f"data.list: {file} is neither .csv nor .jsonl (an object on each line) nor .tsv; "
            "give it the suffix of what it holds"
        )
    try:
        yield from readers[file.suffix.lower()](file)
    except OSError as error:
        raise ValueError(f"data.list: cannot read {file}: {error.strerror}") from error
    except UnicodeError as error:
        raise ValueError(
            f"data.list: {file} is not UTF-8 text ({error}); save it as UTF-8"
        ) from error


def _csv(file: Path) -> Iterator[Row]:
    lines = lines_of(file, NEEDED, "data.list")
    number, names = next(lines, (1, []))
    names = [name.strip() for name in names]
    place = f"{file}, line {number}"
    if len(set(names)) < len(names):
        raise ValueError(f"data.list: {place} names a column twice")
    ours = _headings(names, place)
    head = [ours[name] for name in names]
    for line, row in lines:
        if len(row) == len(head):
            yield line, dict(zip(head, row, strict=True))
        elif row:
            raise ValueError(
                f"data.list: {file}, line {line} has {len(row)} values for "
                f"{len(head)} columns ({', '.join(head)})"
            )


def _json_lines(file: Path) -> Iterator[Row]:
    known: dict[tuple[str, ...], dict[str, str]] = {}
    with open(file, encoding=encoding_of(file, "data.list")) as stream:
        for line, text in enumerate(stream, 1):
            if not text.strip():
                continue
            try:
                row = from_json(text)
            except ValueError as error:
                raise ValueError(
                    f"data.list: {file}, line {line} is no JSON ({error}); {EACH_LINE}"
                ) from error
            if not isinstance(row, dict):
                raise ValueError(
                    f"data.list: {file}, line {line} is no JSON object: {quoted(row)}; {EACH_LINE}"
                )
            names = tuple(row)
            if names not in known:
                known[names] = _headings(names, f"{file}, line {line}")
            yield line, {known[names][name]: value for name, value in row.items()}
