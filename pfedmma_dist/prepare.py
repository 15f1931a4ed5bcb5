"""Look a data set over before a run: `python -m pfedmma_dist.prepare NAME data.root=DIR`.

NAME is a data set or a file of configs/data; other files and key=value words may follow, as in
training. The images are listed as a run would list them, counted, and every one is decoded; every
other file below the image folder is counted by the reason why it is left out. What is missing or
broken is named with its remedy. The exit code is 0 only where all is fine, else 2.

  --download   fetch what is missing, where a program may; never done without this word
  --describe   draw the partition that the configuration makes of the images, without opening one
  --help, -h   this text; --list and --print-config are those of training

Nothing below data.root is ever changed, but for what --download adds.
"""

import logging
import os
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from pfedmma_dist import glance
from pfedmma_dist.data.download.catalogue import ORIGINS, manual
from pfedmma_dist.data.sets.registry import SOURCES, read, sets_of

if __name__ == "__main__":  # before imports of seconds
    glance.leave_with(lambda: manual(__doc__, SOURCES))

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from pfedmma_dist import command
from pfedmma_dist.clip.alike import refuse_alike
from pfedmma_dist.config.command_line import FLAGS
from pfedmma_dist.config.keys import Config
from pfedmma_dist.config.presets import find
from pfedmma_dist.data.download.fetch import Steps, obtain
from pfedmma_dist.data.download.parts import Origin, guide
from pfedmma_dist.data.images.files import CHECK_SPAN
from pfedmma_dist.data.images.images import Images, without
from pfedmma_dist.data.sets.look import account
from pfedmma_dist.data.tasks.registry import TASKS
from pfedmma_dist.ending import ended
from pfedmma_dist.overview import client_table, clients_of, image_table, owner_table
from pfedmma_dist.run import figures
from pfedmma_dist.run.drawing import save
from pfedmma_dist.run.files import new_file
from pfedmma_dist.run.logs import configure_logging
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.run.table import WIDTH
from pfedmma_dist.run.together import TogetherError
from pfedmma_dist.spelling import hint, spelled
from pfedmma_dist.world import World, limit_threads

log = logging.getLogger(__name__)

DOWNLOAD, DESCRIBE = "--download", "--describe"
NAMED = 20
"""Unreadable images that are named."""
GLANCE = 0.5
"""Seconds that a chunk of decoding takes at least, so that a bar moves about once a second."""
TOLERANCE = 0.05
"""Share by which the sizes of a split of our own may differ from those of the published one."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    flags = {word for word in words if word.startswith("-") and "=" not in word}
    if flags & {"--help", "-h"}:
        sys.stdout.write(manual(__doc__, SOURCES))
        return 0
    rest = [word for word in words if word not in (DOWNLOAD, DESCRIBE)]
    known = (DOWNLOAD, DESCRIBE, *FLAGS)
    problem = "" if any(map(_names_data, rest)) else "no data set is named"
    for flag in sorted(flags.difference(known)):
        problem = f"{flag} is unknown{hint(flag, known)}"
    if problem:
        sys.stderr.write(
            f"error: {problem}; usage: python -m pfedmma_dist.prepare NAME data.root=DIR "
            f"[FILE.yaml] [key=value] [{DOWNLOAD}] [{DESCRIBE}]; --help lists the names\n"
        )
        return command.MEND
    action = partial(prepare, download=DOWNLOAD in flags, describe=DESCRIBE in flags)
    return command.run(list(map(_spelled_out, rest)), action)


def prepare(cfg: Config, world: World, *, download: bool = False, describe: bool = False) -> int:
    """List and count the images of each data set, then decode them or describe their partition."""
    if world.size > 1:
        raise TogetherError(f"prepare: {world.size} ranks would do the same work; start one")
    console = configure_logging(world, None)
    limit_threads(cfg.run.threads, world)
    for own in sets_of(cfg.data):
        _look_over(replace(cfg, data=own), world, console, download, describe)
    return 0


def _look_over(cfg: Config, world: World, console: Console, download: bool, describe: bool) -> None:
    origin = ORIGINS.get(cfg.data.name)
    with Progress(world, console, 0) as progress:
        images = _listed(cfg, origin, progress.step if download else None)
    _show(f"{cfg.data.name}: {images.place}", image_table(images))
    if images.owners is not None:
        _show(f"{len(images.owner_names):,} natural clients", owner_table(images))
    if origin is not None:
        _compare(images, origin, Path(cfg.data.root).expanduser())
    refuse_alike(cfg.clip.model, images.class_names, cfg.data.template, images.place)
    if describe or not cfg.data.skip_corrupt:  # else it tells what cannot be read, too
        _account(images)
    if describe:
        _describe(cfg, images)
    else:
        with Progress(world, console, 0) as progress:
            broken = _unreadable(images, progress.step)
        left = images
        if cfg.data.skip_corrupt:
            left = without(images, np.array([row for row, _ in broken], np.int64))
            _account(left)
        _tell(cfg, images, left, broken)


def _listed(cfg: Config, origin: Origin | None, steps: Steps | None) -> Images:
    """Return the images as a run sees them, fetched if that is possible and asked for by `steps`.

    Where they cannot be listed, the error says what belongs to the data set and how to get it.
    """
    root, name = Path(cfg.data.root).expanduser(), cfg.data.name
    try:
        return read(cfg.data, cfg.seed, Path(cfg.clip.cache_folder))
    except (ValueError, OSError) as error:
        if origin is None:
            raise ValueError(error) from error
        missing = any(archive.missing(root) for archive in origin.archives)
        if steps is None or not missing:
            raise ValueError(f"{error}\n{guide(root, name, origin)}") from error
    obtain(root, origin, steps)
    return _listed(cfg, origin, None)


def _compare(images: Images, origin: Origin, root: Path) -> None:
    """Say where the published split can be found, and whether the copy looks complete."""
    split = origin.split
    published = split is None or split.there(root)
    if split is not None and not published:
        log.info("%s, belongs at %s; see %s", split.what, root / split.place, split.source)
    if origin.sizes is None:
        return
    wanted = np.array([origin.sizes.classes, origin.sizes.train, origin.sizes.test])
    found = np.array([len(images.class_names), len(images.train), len(images.test)])
    room = wanted * TOLERANCE * [0, 1, 1] if not published else 0
    if (abs(found - wanted) > room).any():
        sizes = "{:,} classes, {:,} training and {:,} test images"
        log.warning(
            "a complete copy has %s; here are %s", sizes.format(*wanted), sizes.format(*found)
        )


def _account(images: Images) -> None:
    """Say of every file below the image folder whether it is read, and why not."""
    found = account(images)
    if found is not None:
        lines = [found.head(), *(f"  {line}" for line in found.lines())]
        sys.stdout.write("\n".join(lines) + "\n")


def _unreadable(images: Images, steps: Steps) -> list[tuple[int, str]]:
    """Return (row, reason) of the images that cannot be decoded."""
    rows = images.rows
    broken: list[tuple[int, str]] = []
    start, count = 0, CHECK_SPAN * torch.get_num_threads()
    with steps("decoding images", len(rows)) as advance:
        while start < len(rows):
            began = time.monotonic()
            chunk = rows[start : start + count]
            broken += images.store.inspect(chunk).unreadable
            advance(len(chunk))
            start += len(chunk)
            if time.monotonic() - began < GLANCE:
                count *= 2  # threads wait for each other at the end of a chunk
    return broken


def _tell(cfg: Config, images: Images, left: Images, broken: list[tuple[int, str]]) -> None:
    """Name the broken images; ValueError where a run would refuse them. left: those it reads."""
    total = f"{len(images.rows):,}"
    if not broken:
        sys.stdout.write(f"all {total} images can be read\n")
        return
    lines = [f"{len(broken):,} of {total} images cannot be read:"]
    lines += [f"  {images.store.name(row)}: {why}" for row, why in broken[:NAMED]]
    if len(broken) > NAMED:
        lines.append(f"  and {len(broken) - NAMED:,} more")
    if cfg.data.skip_corrupt:
        num_left = len(left.rows)
        lines.append(f"data.skip_corrupt=true leaves them out, and reads {num_left:,}")
    sys.stdout.write("\n".join(lines) + "\n")
    if not (len(left.train) and len(left.test)):
        raise ValueError("data.root: no readable image is left of a half; fetch or copy them again")
    if not cfg.data.skip_corrupt:
        raise ValueError(
            f"data.root: {len(broken):,} of {total} images cannot be read; fetch or copy them "
            "again, or set data.skip_corrupt=true to leave them out of runs"
        )


def _describe(cfg: Config, images: Images) -> None:
    """Print what the clients hold, and draw it."""
    if cfg.data.skip_corrupt:
        log.warning("data.skip_corrupt: unreadable images count here, and a run leaves them out")
    task = TASKS[cfg.data.task](images, cfg.data, cfg.seed)
    classes = task.class_sets[task.train_classes].names
    clients = clients_of(task)
    held = f"{clients.sizes.sum():,} of {len(images.train):,} training images"
    trained = f"{len(classes):,} of {len(images.class_names):,} classes"
    _show(f"{cfg.data.task.name}: {held}, {trained}", client_table(task, clients))
    figure = figures.classes_per_client(clients)
    with new_file(f"partition-{cfg.data.name}-{cfg.data.task.name}", ".png") as path:
        save(figure, path)
    sys.stdout.write(f"figure  {path}\n")


def _names_data(word: str) -> bool:
    """Say whether a word tells which data set is meant, as a file may, or asks for other words."""
    return "=" not in word or word.startswith(("data.name=", "data.names=", "data="))


def _spelled_out(word: str) -> str:
    """Return a word of ours as one of training's: NAME becomes its preset or data.name=NAME."""
    if (
        "=" in word
        or word in FLAGS
        or find(word)
        or Path(word).suffix in (".yaml", ".yml")
        or "/" in word
        or (os.path.isdir(word) and word not in SOURCES)
    ):
        return word
    preset = f"configs/data/{word}.yaml"
    return preset if find(preset) else f"data.name={word}"


def _show(title: str, table: Table) -> None:
    sys.stdout.write(f"{spelled(title)}\n")
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table, "")


if __name__ == "__main__":
    command.leave(ended(main))
