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
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from launch.asked import parser

if __name__ == "__main__":  # what the words decide is told before the rest is imported
    parser().parse_intermixed_args()


from launch.cluster import Cluster, read_cluster, refuse_without_slurm
from launch.cluster_files import absolute_file
from launch.foretelling import foretell
from launch.looks import fetch, keep, look, other_images, tell_weights
from launch.openai import doubts_of_runs
from launch.plan import check_ranks, unread_everywhere
from launch.report import refuse_foreign, write_page
from launch.runs import is_sweep, sweep_runs
from launch.script import check_log_folder
from launch.selection import Selection
from launch.state import BUSY
from launch.sweep import HERE, processes, start_here, states_of, submit, total
from pfedmma_dist import __version__
from pfedmma_dist.ending import ended
from pfedmma_dist.results.expected import expectations
from pfedmma_dist.results.judged import Verdict
from pfedmma_dist.results.reproduced import Reproduction, reproduction
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
        if cluster and not words.dry_run:  # before minutes of looks
            refuse_without_slurm(HERE)
            check_log_folder(folder)
        states = states_of(folder, asked)
        tell_weights(asked)
        splits = look(asked)
        due = [r for r, s in zip(asked, states, strict=True) if s.state not in ("done", *BUSY)]
        print(total(states))
        foretell(due, folder)
        if words.dry_run:
            return 0
        keep(folder, splits)
        if due:
            fetch(due[0])  # with --cluster, too: its nodes may have no network
        if cluster:
            code = submit(folder, asked, cluster, absolute_file(words.cluster), planned)
            print(f"report  {_command([*given, '--report'])}")
            return code
        code = start_here(folder, asked, ranks, workers, planned)
        return code if code == STOPPED else max(code, report(chosen, folder, given))
    except ValueError as error:
        print(f"error: {spelled(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # while it looks; runs have a way of their own to stop
        print("stopped; the same command goes on from here", file=sys.stderr)
        return STOPPED


def report(chosen: Selection, folder: Path, given: Sequence[str]) -> int:
    """Write and print what the runs reached; return the exit code."""
    if not is_sweep(folder):
        raise ValueError(f"{folder} holds no reproduction yet; leave out --report to start it")
    found = held(chosen, folder)
    problems = [problem for run in found.outcomes for problem in run.problems]
    for problem in problems:
        print(f"damaged  {spelled(problem)}", file=sys.stderr)
    _write(found, folder, _command(given))
    print(text(found), end="")
    print(f"page     {folder / STEM}.html, beside it .csv and .json", flush=True)
    return 1 if found.count(Verdict.outside) or problems else 0


def held(chosen: Selection, folder: Path) -> Reproduction:
    """Return the runs of a folder, held to what is expected of them."""
    runs = sweep_runs(folder)
    return reproduction(
        chosen.expected, runs, as_published=chosen.as_published,
        meaningless=doubts_of_runs(runs), other_images=other_images(folder, runs),
        changed=chosen.departures(runs),
    )  # fmt: skip


def _write(found: Reproduction, folder: Path, command: str) -> None:
    target = folder / f"{STEM}.html"
    refuse_foreign(target)
    write_page(target, page(found, __version__, command))
    table = folder / f"{STEM}.csv"
    write_page(table, comma_separated(found))
    write_json(folder / f"{STEM}.json", record(found))


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
    sys.exit(ended(main))
