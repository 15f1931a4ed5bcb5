"""Negative controls of a finished run: `python -m launch.controls RUN [CONTROL ...]`.

Labels permuted, class names permuted, the shared part held at its start: each a run of its own in
RUN-controls, a sweep's folder; private parts swapped between clients (RUN-controls/swapped.csv) and
the method switched off, which need no training. At the end one table of all, each row with what it
should show. The same command again starts what is missing. Exit codes: 0 all there, 1 some failed,
2 something to mend, 75 stopped by a signal.
"""

import argparse
import sys
from pathlib import Path

from launch.plan import PlannedRun, Sweep, check_ranks, expanded
from launch.runs import is_sweep
from launch.sweep import processes, show, start_here, states_of
from launch.table import FORMATS, tell_remarks
from launch.words import count_of
from pfedmma_dist import command
from pfedmma_dist.config.command_line import from_yaml
from pfedmma_dist.config.merge import shown
from pfedmma_dist.controls import score_controls
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.ending import ended
from pfedmma_dist.methods import METHODS
from pfedmma_dist.results.controls import (
    CONTROLS,
    control_table,
    matrix_file,
    read_scored,
    scored_file,
    why_not,
)
from pfedmma_dist.results.matrix import draw_matrix
from pfedmma_dist.results.outcome import Outcome, read_outcome
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.optional import optional
from pfedmma_dist.run.signals import STOPPED
from pfedmma_dist.spelling import hint, quoted, spelled

NAMES = [control.name for control in CONTROLS]


def main(argv: list[str] | None = None) -> int:
    """Run what the command line asks for, print the table and return the exit code."""
    words = _parser().parse_args(argv)
    try:
        run = finished(Path(words.run).expanduser())
        asked = _asked(words.controls)
        folder = run.path.with_name(f"{run.path.name}-controls")
        runs = planned(run, folder)
        ranks, workers = processes(words.ranks, words.workers)
        for each in runs.values():
            check_ranks(each.config, ranks)
        if words.dry_run:
            _tell(run, folder, runs, asked)
            return 0
        code = _score(run, folder, asked)
        if code:
            return code
        due = [each for name, each in runs.items() if name in asked]
        if due:
            code = start_here(folder, due, ranks, workers, list(runs.values()))
        if code == STOPPED:
            return code
        there = {
            name: read_outcome(each.folder.path)
            for name, each in runs.items() if each.folder.path.is_dir()
        }  # fmt: skip
        scored = read_scored(folder, RunFolder(run.path))
        table = control_table(run, there, scored, asked)
    except ValueError as error:
        print(f"error: {spelled(str(error))}", file=sys.stderr)
        return 2
    damaged = [problem for own in there.values() for problem in own.problems]
    for problem in damaged:
        print(f"damaged  {problem}", file=sys.stderr)
    print(FORMATS[words.format]([table]), end="")
    tell_remarks([table], words.format)
    return 1 if damaged else code


def finished(path: Path) -> Outcome:
    """Return the run in a folder; ValueError where it has no whole result, or is a control."""
    if is_sweep(path):
        raise ValueError(f"{path} is the folder of a sweep; give one of its runs, {path}/NAME")
    folder = RunFolder(path)
    if not folder.config.is_file():
        raise ValueError(f"{path} holds no run (no {folder.config.name}); give the folder of one")
    run = read_outcome(path)
    if run.problems:
        raise ValueError(run.problems[0])
    if run.result is None:
        raise ValueError(
            f"{path} has not finished (no {folder.result.name}); go on with it by python -m "
            f"pfedmma_dist.train {folder.config}"
        )
    config = from_yaml(folder.config, methods=METHODS, sources=SOURCES)
    for key, value in vars(config.control).items():
        if value is not vars(type(config.control)())[key]:
            raise ValueError(
                f"control.{key}: {path} is a control itself ({shown(value)}); give the run that "
                "it is of"
            )
    return run


def planned(run: Outcome, folder: Path) -> dict[str, PlannedRun]:
    """Return name of a control -> its own run, of those that the run can have."""
    own = {c.name: c for c in CONTROLS if c.words and not why_not(c, run)}
    base = [str(RunFolder(run.path).config)]
    sweep = Sweep(base=base, rows={control.row: [*control.words] for control in own.values()})
    runs = expanded(str(run.path), sweep, [f"run.folder={folder}"])
    return dict(zip(own, runs, strict=True))


def _asked(names: list[str]) -> list[str]:
    for name in names:
        if name not in NAMES:
            known = ", ".join(NAMES)
            raise ValueError(f"there is no control {quoted(name)}{hint(name, NAMES)}; {known}")
    return names or NAMES


def _score(run: Outcome, folder: Path, asked: list[str]) -> int:
    """Score what needs no training, where that is missing; return the exit code."""
    own, needs = RunFolder(run.path), {c.name for c in CONTROLS if not c.words}
    if not needs & {*asked}:
        return 0
    found = read_scored(folder, own)
    if found is None:
        print(f"scoring {run.path} with other numbers than its clients' own", file=sys.stderr)
        code = command.run(
            [str(own.config)], lambda cfg, world: score_controls(cfg, own, folder, world)
        )
        if code:
            return code
        found = read_scored(folder, own)
    if found is not None and not found.why_not_swapped:
        with optional("the picture of swapped private parts"):
            draw_matrix(matrix_file(folder), folder)
        print(f"clients x clients  {matrix_file(folder)}", file=sys.stderr)
    return 0


def _tell(run: Outcome, folder: Path, runs: dict[str, PlannedRun], asked: list[str]) -> None:
    """Print what would be done."""
    for control in (each for each in CONTROLS if each.name in asked):
        if not control.words:
            there = read_scored(folder, RunFolder(run.path)) is not None
            print(f"{'done' if there else 'to score'}  {control.name}: {scored_file(folder)}")
        elif control.name not in runs:
            print(f"left out  {control.name}: {why_not(control, run)}")
    due = [each for name, each in runs.items() if name in asked]
    if due:
        show(due, states_of(folder, due))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m launch.controls",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", metavar="RUN", help="folder of a finished run")
    parser.add_argument("controls", metavar="CONTROL", nargs="*", help=f"{', '.join(NAMES)}; all")
    parser.add_argument("--format", choices=FORMATS, default="markdown")
    parser.add_argument("--ranks", metavar="N", type=count_of, help="of each run; 1")
    parser.add_argument(
        "--workers", metavar="N", type=count_of, help="runs at a time; as of launch.sweep"
    )
    parser.add_argument("--dry-run", action="store_true", help="print what is to do, do nothing")
    return parser


if __name__ == "__main__":
    sys.exit(ended(main))
