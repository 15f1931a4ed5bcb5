"""The words of `launch.sweep`, read before anything is imported that takes a while."""

import argparse

PROCESSES = 2
"""On this machine, where nobody says how many: runs at a time, of a rank each. Where runs cannot be
forked, ranks of one run at a time: each takes a GPU of its own."""


def parser() -> argparse.ArgumentParser:
    """Return what reads the words of the command."""
    found = argparse.ArgumentParser(
        prog="python -m launch.sweep",
        description="Run a sweep on this machine and print its table, or submit it to a cluster.",
    )
    found.add_argument("sweep", metavar="SWEEP.yaml", help="such as configs/sweep/*.yaml")
    found.add_argument(
        "words",
        metavar="key=value",
        nargs="*",
        help="for every run; for a key of the grid its values; run.folder is the sweep's folder",
    )
    place = found.add_mutually_exclusive_group()
    place.add_argument("--cluster", metavar="X.yaml", help="submit SLURM arrays: slurm/*.yaml")
    place.add_argument("--local", action="store_true", help="run on this machine; the default")
    found.add_argument("--ranks", metavar="N", type=count_of, help="of each run here; 1")
    found.add_argument(
        "--workers",
        metavar="N",
        type=count_of,
        help=f"runs at a time here, which share the cores where run.threads is null; {PROCESSES}, "
        "with --ranks 1; on a machine with GPUs one, of so many ranks",
    )
    found.add_argument("--dry-run", action="store_true", help="print the runs, start none")
    return found


def count_of(text: str) -> int:
    """Return a number of ranks or runs."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return int(text)
