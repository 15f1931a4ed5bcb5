"""Reproduce the papers' figures: `python -m launch.reproduce base_to_novel data.root=DATA`.

Runs what a published table needs, on this machine or with --cluster, and ends with a report: ours,
theirs, inside or outside of bands that were written down beforehand (configs/reproduce). Data and
weights are looked at first, and hours and room foretold. The same command again goes on; --report
reports on what is there. It goes to reproduction.html, .csv and .json in the folder of the runs.
Exit codes: 0, 1 where a run failed or a figure is outside, 2 something to mend, 75 stopped by a
signal.
"""

import argparse
import csv
import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from launch.asked import parser

if __name__ == "__main__":  # what the words decide is told before the rest is imported
    parser().parse_intermixed_args()

import torch

from launch.cluster import Cluster, read_cluster
from launch.estimate import Estimate, Speeds, estimate
from launch.openai import doubts, doubts_of_runs
from launch.plan import PlannedRun, check_ranks, unread_everywhere
from launch.report import refuse_foreign, write_page
from launch.runs import is_sweep, sweep_runs
from launch.script import check_log_folder
from launch.selection import Selection
from launch.state import BUSY
from launch.sweep import processes, start_here, states_of, submit, total
from pfedmma_dist import __version__
from pfedmma_dist.clip.load import check, load
from pfedmma_dist.data.sets import registry
from pfedmma_dist.quantities.units import duration, size
from pfedmma_dist.results.expected import expectations
from pfedmma_dist.results.reproduced import Reproduction, Verdict, reproduction
from pfedmma_dist.results.reproduction import comma_separated, page, record, text
from pfedmma_dist.run.files import write_json
from pfedmma_dist.run.signals import STOPPED
from pfedmma_dist.spelling import spelled

STEM = "reproduction"


def main(argv: list[str] | None = None) -> int:
    """Run what the command line asks for and return the exit code."""
    words = parser().parse_intermixed_args(argv)
    given = sys.argv[1:] if argv is None else argv
    try:
        chosen = Selection(
            expectations(words.experiment), words.released, _names(words.sets),
            _numbers(words.seeds), _names(words.methods), tuple(words.words),
        )  # fmt: skip
        folder = Path(chosen.folder).expanduser()
        if words.report:
            return report(chosen, folder, given)
        cluster = _cluster(words)
        asked, planned = chosen.runs()
        ranks, workers = processes(words.ranks, words.workers)
        for run in asked:
            count = cluster.num_ranks if cluster else ranks
            check_ranks(run.config, count, on_gpus=bool(cluster and cluster.gpus_per_rank))
        for remark in unread_everywhere(asked):
            print(f"warning: {spelled(remark)}", file=sys.stderr)
        states = states_of(folder, asked)
        tell_weights(asked)
        look(asked)
        due = [r for r, s in zip(asked, states, strict=True) if s.state not in ("done", *BUSY)]
        print(total(states))
        foretell(due, folder)
        if words.dry_run:
            return 0
        if cluster:
            check_log_folder(folder)
            code = submit(folder, asked, cluster, str(Path(words.cluster).absolute()), planned)
            print(f"report  {_command([*given, '--report'])}")
            return code
        if due:
            fetch(due[0])
        code = start_here(folder, asked, ranks, workers, planned)
        return code if code == STOPPED else max(code, report(chosen, folder, given))
    except ValueError as error:
        print(f"error: {spelled(str(error))}", file=sys.stderr)
        return 2


def look(runs: Sequence[PlannedRun]) -> None:
    """List the images of each data set; ValueError for all that cannot be, at once."""
    lost, there = {}, []
    for name, run in {run.config.data.name: run for run in runs}.items():
        cfg = run.config
        try:
            images = registry.read(cfg.data, cfg.seed, Path(cfg.clip.cache_folder).expanduser())
        except ValueError as error:
            lost[name] = str(error)
            continue
        there.append(name)
        counts = f"{len(images.train):,} training and {len(images.test):,} test images"
        print(f"data     {name}: {len(images.class_names)} classes, {counts}", flush=True)
    if lost:
        told = "\n  ".join(f"{name}: {words}" for name, words in lost.items())
        remedy = f"; --sets {','.join(there)} runs what is there" if there else ""
        raise ValueError(f"{len(lost)} data sets cannot be read{remedy}\n  {told}")


def tell_weights(runs: Sequence[PlannedRun]) -> None:
    """Refuse weights that are none, by a look; say what they are, and what to run first."""
    for run in {repr(run.config.clip): run for run in runs}.values():
        clip = run.config.clip
        check(clip)
        told = doubts(clip.model, clip.pretrained)
        if told:
            print(f"weights  no comparison with the paper is meant: {told}", flush=True)
        else:
            root = shlex.quote(run.config.data.root)
            print(f"weights  {clip.model}, {clip.pretrained}; are they, images and splits right?")
            print(f"         python -m launch.verify --canary {root}", flush=True)


def fetch(run: PlannedRun) -> None:
    """Load the weights once, so that what cannot be loaded, or fetched, fails before any run."""
    print("loading  the weights, once, to see that they are whole", file=sys.stderr, flush=True)
    load(run.config.clip, run.config.seed, torch.device("cpu"))


def foretell(due: Sequence[PlannedRun], folder: Path) -> None:
    """Say how long the runs that are left will take, how much room, and how that is known."""
    if not due:
        return
    print("counting steps of clients ...", file=sys.stderr, flush=True)
    speeds = Speeds()
    found = estimate(due, speeds)
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    parts = (
        f"training {_hours(found.training)}, scoring {_hours(found.scoring)}, encoding "
        f"{_hours(found.encoding)} of {sum(found.images.values()) + found.fresh:,} images"
    )
    cpu = f"at most about {_hours(found.seconds)} core-hours ({parts})"
    print(f"hours    {cpu}; on {cores} idle cores {duration(found.seconds / cores)}")
    print(
        f"         steps as recorded in {speeds.record.name} (float32), at this machine's "
        f"{speeds.rate / 1e9:.0f} GFLOP/s a core, measured now; encoding by arithmetic"
    )
    print("         on a GPU: no step was measured on one, so nothing is foretold")
    for row, what in found.unknown.items():
        print(f"         not counted: training and scores of {row}; {what}")
    _tell_room(found, Path(due[0].config.clip.cache_folder).expanduser(), folder)


def report(chosen: Selection, folder: Path, given: Sequence[str]) -> int:
    """Write and print what the runs reached; return the exit code."""
    if not is_sweep(folder):
        raise ValueError(f"{folder} holds no reproduction yet; leave out --report to start it")
    runs = sweep_runs(folder)
    for problem in (problem for run in runs for problem in run.problems):
        print(f"damaged  {spelled(problem)}", file=sys.stderr)
    found = reproduction(
        chosen.expected, runs, as_published=chosen.as_published,
        meaningless=doubts_of_runs(runs), changed=chosen.departures(runs),
    )  # fmt: skip
    _write(found, folder, _command(given))
    print(text(found), end="")
    print(f"page    {folder / STEM}.html, beside it .csv and .json", flush=True)
    return 1 if found.count(Verdict.outside) or any(run.problems for run in runs) else 0


def _write(found: Reproduction, folder: Path, command: str) -> None:
    target = folder / f"{STEM}.html"
    refuse_foreign(target)
    write_page(target, page(found, __version__, command))
    table = folder / f"{STEM}.csv"
    write_page(table, comma_separated(found))
    write_json(folder / f"{STEM}.json", record(found))


def _tell_room(found: Estimate, cache_folder: Path, folder: Path) -> None:
    parts = (
        ("features", sum(found.features.values()), cache_folder),
        ("checkpoints", found.checkpoints, folder),
    )
    for what, num_bytes, place in parts:
        near = next(path for path in (place, *place.absolute().parents) if path.exists())
        free = shutil.disk_usage(near).free
        short = "; NOT ENOUGH ROOM" if num_bytes > free else ""
        print(f"disk     {what} {size(num_bytes)} in {place}, {size(free)} free there{short}")


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f}"


def _names(words: str | None) -> tuple[str, ...]:
    """Return the names of a list; one with a comma in it stands in quotes."""
    found = next(csv.reader([words or ""], skipinitialspace=True), [])
    return tuple(name.strip() for name in found if name.strip())


def _numbers(words: str | None) -> tuple[int, ...]:
    for name in _names(words):
        if not name.isdecimal():
            raise ValueError(f"--seeds: {name} is not a seed, such as 1 or 1,2,3")
    return tuple(map(int, _names(words)))


def _cluster(words: argparse.Namespace) -> Cluster | None:
    """Return the cluster to submit to; None for this machine."""
    if words.cluster is None:
        return None
    for option in ("ranks", "workers"):
        if getattr(words, option) is not None:
            raise ValueError(f"--{option}: is for this machine; {words.cluster} says how many")
    return read_cluster(words.cluster)


def _command(given: Sequence[str]) -> str:
    return f"python -m launch.reproduce {shlex.join(given)}"


if __name__ == "__main__":
    sys.exit(main())
