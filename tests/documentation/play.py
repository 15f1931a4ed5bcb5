"""Run the blocks of a page one after another, as its reader would, in a throw-away folder."""

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.documentation.commands import Block, blocks
from tests.documentation.pages import ROOT

LINKED = ("configs", "examples", "slurm", "benchmarks")
"""What a reader has, who stands in the root of the repository."""

AT_A_TIME = 2
"""Pages, each of which has one process at work for most of its time."""

SMALL = """\
python() { small python "$@"; }
torchrun() { small torchrun "$@"; }
pfedmma() { small pfedmma "$@"; }
small() {
    case " $* " in
        *" pfedmma_dist.train --"*) command "$@" ;;
        *" pfedmma_dist.train "* | *" launch.sweep "* | *" pfedmma train "* | *" pfedmma sweep "*)
            command "$@" ADDED ;;
        *) command "$@" ;;
    esac
}
"""
"""Bash that puts the words of a block's mark behind its trainings and sweeps alone."""


def script(block: Block) -> str:
    """Return what bash is given: the block as it stands, and what makes it small in front of it."""
    head = SMALL.replace("ADDED", block.added) if block.added else ""
    return f"set -euo pipefail\n{head}{block.text}"


def play(
    names: list[str], patience: float, found: list[Block] | None = None
) -> Iterator[tuple[Block, float, str]]:
    """Yield (block, seconds, what it said if it failed) of the blocks to be run on chosen pages.

    Blocks of one page run one after another in a folder of theirs, so that a later one finds the
    runs of an earlier one; they are left out where one has failed. Pages run side by side.
    """
    pages: dict[Path, list[Block]] = {}
    for block in found or blocks():
        if block.is_run and (not names or block.page.name in names):
            pages.setdefault(block.page, []).append(block)
    with (
        tempfile.TemporaryDirectory(prefix="documentation-") as place,
        ThreadPoolExecutor(AT_A_TIME) as pool,
    ):
        for ran in pool.map(partial(page, Path(place), patience), pages.values()):
            yield from ran


def page(place: Path, patience: float, own: list[Block]) -> list[tuple[Block, float, str]]:
    """Run the blocks of one page, up to the first that fails."""
    folder, ran = sandbox(place / own[0].page.stem), []
    for block in own:
        start = time.monotonic()
        said = run(block, folder, patience)
        ran.append((block, time.monotonic() - start, said))
        if said:
            break
    return ran


def sandbox(folder: Path) -> Path:
    """Make a folder in which a page's commands find what they name and may write what they like."""
    folder.mkdir()
    for name in LINKED:
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    return folder


def run(block: Block, folder: Path, patience: float) -> str:
    """Run a block; return nothing, or the end of what it said and how it failed."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    scripts = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with subprocess.Popen(
        ["bash", "-c", script(block)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "PATH": scripts, "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            said, _ = process.communicate()
            return f"{said[-3000:]}\nnot done after {patience:.0f} s"
    if process.returncode:
        return f"{said[-3000:]}\nexit code {process.returncode}"
    return ""


def words(block: Block) -> str:
    """Return the first command of a block, for a line about it."""
    return shlex.join(shlex.split(block.lines[0], comments=True))[:70]
