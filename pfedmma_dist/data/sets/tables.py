"""Tables: text files as spreadsheets write them, in their encodings and with their separators."""

import codecs
import csv
import logging
import re
from collections.abc import Collection, Iterator
from pathlib import Path

log = logging.getLogger(__name__)

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
DECLARED = re.compile(r"\"?sep=(.)\"?\s*", re.IGNORECASE)
"""The first line of some of Excel's files, which names the separator."""


def encoding_of(file: Path, key: str) -> str:
    """Return the encoding of a text file, as its first bytes tell. key: for the message."""
    with open(file, "rb") as stream:
        head = stream.read(4)
    if head in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
        raise ValueError(f"{key}: {file} is UTF-32 text; save it as UTF-8")
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        log.info("%s: %s is read as UTF-16 text", key, file)
        return "utf-16"
    if b"\0" in head:
        raise ValueError(
            f"{key}: {file} has a zero byte among its first, as UTF-16 without its mark has; save "
            "it as UTF-8"
        )
    return "utf-8-sig"


def lines_of(file: Path, needed: Collection[str], key: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line and values of each row, the heading first; csv.Error names its line.

    needed: columns that the heading must have, in lower case, by which the separator is told.
    """
    with open(file, encoding=encoding_of(file, key), newline="") as stream:
        first, skipped = stream.readline(), 0
        declared = DECLARED.fullmatch(first)
        if declared:
            separator, skipped = declared[1], 1
        else:
            separator = separator_of(first, needed)
            stream.seek(0)
        if separator != ",":
            told = SEPARATORS.get(separator, repr(separator))
            log.info("%s: %s has its values separated by %s", key, file, told)
        reader = csv.reader(stream, delimiter=separator, strict=True)
        try:
            for row in reader:
                yield reader.line_num + skipped, row
        except csv.Error as error:
            line = reader.line_num + skipped
            raise ValueError(f"{key}: {file}, line {line}: {error}") from error


def pairs_of(file: Path, known: Collection[str], key: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line and values of each row of a file without a heading, two values to a row.

    known: what the first values are likely to be, by which the separator is told.
    """
    with open(file, encoding=encoding_of(file, key), newline="") as stream:
        lines = stream.read().splitlines(keepends=True)
    if lines and (declared := DECLARED.fullmatch(lines[0])):
        yield from enumerate(csv.reader(lines[1:], delimiter=declared[1]), 2)
        return
    found = {separator: list(csv.reader(lines, delimiter=separator)) for separator in SEPARATORS}
    whole = [sep for sep, rows in found.items() if all(len(row) in (0, 2) for row in rows)] or [","]
    firsts = {sep: {row[0] for row in found[sep] if row} for sep in whole}
    best = next((sep for sep in whole if firsts[sep] <= {*known}), whole[0])
    if best != ",":
        log.info("%s: %s has its values separated by %s", key, file, SEPARATORS[best])
    yield from enumerate(found[best], 1)


def separator_of(head: str, needed: Collection[str]) -> str:
    """Return what separates the columns of a heading, best one with all that are needed."""

    def columns(separator: str) -> list[str]:
        try:
            return [name.strip().lower() for name in next(csv.reader([head], delimiter=separator))]
        except (csv.Error, StopIteration):
            return []

    found = {separator: columns(separator) for separator in SEPARATORS}
    whole = [separator for separator, names in found.items() if {*needed} <= {*names}]
    return whole[0] if whole else max(found, key=lambda separator: len(found[separator]))
