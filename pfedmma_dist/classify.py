"""Classify images: `python -m pfedmma_dist.classify RUN IMAGE... [--client 7] [OPTION ...]`.

Says what a client of a run makes of images, beside zero-shot CLIP and the global model, which is
what a newcomer would be handed: the most probable classes of each, by the softmax of the logits.
An IMAGE may be a folder: all images in it and below are classified.

  --client N       a client's number, shared (the global model) or zero-shot; 0
  --top N          classes of each answer; 5
  --json           a JSON object on a line of its own for each image
  --csv            a line for each image, who was asked, and class
  --device NAME    cpu, or cuda
  --set KEY=VALUE  of what `evaluate` may change, such as data.root=DIR; may be repeated
  --help, -h       this text

An image that cannot be read is told, the others are classified, and the exit code is 1.
"""

import argparse
import csv
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pfedmma_dist import glance

if __name__ == "__main__":  # before imports of seconds
    glance.leave_with(lambda: __doc__)

from pfedmma_dist import command
from pfedmma_dist.asking import act, opened, parser, remark
from pfedmma_dist.data.images.files import SUFFIXES
from pfedmma_dist.ending import ended
from pfedmma_dist.run.labels import label
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.run.table import WIDTH
from pfedmma_dist.serving.answers import Answer, Panel, heading, percent, told
from pfedmma_dist.serving.files import Outcome, outcomes
from pfedmma_dist.spelling import spelled_path
from pfedmma_dist.world import World

BATCH = 32
"""Images that the models are asked about at a time."""

FAILED = 1
"""Exit code where an image could not be read."""

COLUMNS = ("image", "asked", "rank", "class", "probability")

Written = Callable[[Outcome, Answer], None]


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    found = parser("classify")
    found.add_argument("images", metavar="IMAGE", nargs="*")
    found.add_argument("--top", metavar="N", type=_top, default=5)
    form = found.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--csv", action="store_true")
    try:
        return act(found, argv, __doc__, ("--top", "--json", "--csv"), classify)
    except BrokenPipeError:  # as `| head` leaves it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def classify(asked: argparse.Namespace) -> int:
    """Classify images and print what was answered; return the exit code."""
    if not asked.images:
        raise ValueError("give images, or folders of them: classify RUN IMAGE...")
    paths = list(_listed(asked.images))  # before the model is loaded
    model, console = opened(asked)
    written = _writer(asked)
    if words := remark(model, asked.client):
        sys.stderr.write(f"note: {words}\n")
    panel, num_failed = Panel(model), 0
    with (
        Progress(World.alone(), console, 0) as progress,
        progress.part("classifying: images", len(paths)) as advance,
    ):
        for batch in _batches(outcomes(paths, model.preprocess), BATCH):
            seen = [one for one in batch if one.pixels is not None]
            pixels = [one.pixels for one in seen if one.pixels is not None]
            answers = iter(panel.ask(pixels, asked.client, asked.top) if pixels else [])
            for one in batch:
                kind = "error" if one.pixels is None else "note"
                if one.words:
                    sys.stderr.write(f"{kind}: {spelled_path(one.path)}: {one.words}\n")
                written(one, {} if one.pixels is None else next(answers))
            num_failed += len(batch) - len(seen)
            advance(len(batch))
    if num_failed:
        sys.stderr.write(f"{num_failed:,} of {len(paths):,} images were not classified\n")
    return FAILED if num_failed else 0


def _listed(words: Sequence[str]) -> Iterator[Path]:
    """Yield the images that are named, and those in and below the folders that are."""
    for word in words:
        path = Path(word)
        if not path.is_dir():
            yield path
            continue
        found, num_others = [], 0
        for home, folders, names in os.walk(path, onerror=_refused):
            folders.sort()
            for name in sorted(names):
                if Path(name).suffix.lower() in SUFFIXES:
                    found.append(Path(home, name))
                else:
                    num_others += 1
        if num_others:
            kinds = f"{num_others:,} files without the suffix of an image"
            sys.stderr.write(f"note: {spelled_path(path)}: {kinds} are left out\n")
        if not found:
            raise ValueError(f"{spelled_path(path)}: there is no image in this folder or below")
        yield from found


def _refused(error: OSError) -> None:
    raise ValueError(f"{error.filename}: the folder cannot be read ({error.strerror})") from error


def _batches(found: Iterable[Outcome], size: int) -> Iterator[list[Outcome]]:
    """Yield so many at a time; the last ones may be fewer."""
    left = iter(found)
    while batch := list(islice(left, size)):
        yield batch


def _writer(asked: argparse.Namespace) -> Written:
    """Return what writes an answer on standard output, in the form that was asked for.

    A stream that is no terminal is kept as it is now: bars on standard error take hold of print.
    """
    out: TextIO | None = None if sys.stdout.isatty() else sys.stdout
    if asked.json:
        return lambda one, answer: _write_json(out or sys.stdout, one, asked.client, answer)
    if asked.csv:
        (out or sys.stdout).write(f"{','.join(COLUMNS)}\n")
        return lambda one, answer: _write_csv(out or sys.stdout, one, answer)
    console = Console(file=out, width=None if out is None else WIDTH, highlight=False)
    return lambda one, answer: console.print(_table(one.path, answer), "") if answer else None


def _write_json(out: TextIO, one: Outcome, asked: str, answer: Answer) -> None:
    """Write a line for an image; what could not be read has an error in place of answers."""
    facts = {"image": spelled_path(one.path), "client": asked}
    facts |= {("note" if answer else "error"): one.words} if one.words else {}
    line = {**facts, **({"answers": told(answer)} if answer else {})}
    out.write(f"{json.dumps(line, ensure_ascii=False)}\n")


def _write_csv(out: TextIO, one: Outcome, answer: Answer) -> None:
    """Write the lines of an image; what could not be read has none."""
    rows = csv.writer(out, lineterminator="\n")
    for word, guesses in answer.items():
        for rank, guess in enumerate(guesses, start=1):
            image, value = spelled_path(one.path), repr(guess.probability)
            rows.writerow([image, word, rank, guess.name, value])


def _table(path: Path, answer: Answer) -> Table:
    """Return what everybody who was asked says about one image, side by side."""
    table = Table(
        title=Text(spelled_path(path), style="table.title"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for word in answer:
        table.add_column(heading(word), min_width=14)
        table.add_column("%", justify="right", min_width=6)
    for guesses in zip(*answer.values(), strict=True):
        cells: list[Text] = []
        for one in guesses:
            cells += [Text(label(one.name)), Text(percent(one.probability))]
        table.add_row(*cells)
    return table


def _top(word: str) -> int:
    if not (word.isascii() and word.isdecimal() and int(word)):
        raise argparse.ArgumentTypeError(f"{word!r} is not 1 or more")
    return int(word)


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        command.leave(ended(main))
