"""The words of `launch.reproduce`, read before anything is imported that takes a while."""

import argparse

from launch.words import count_of

DESCRIPTION = (
    "Run what a table of the papers needs, here or on a cluster, and report: ours, theirs, inside "
    "or outside of bands that were written down beforehand. The same command again goes on."
)
EXAMPLE = "python -m launch.reproduce base_to_novel --sets caltech101 --seeds 1 data.root=DATA"


def parser() -> argparse.ArgumentParser:
    """Return what reads the words of the command."""
    found = argparse.ArgumentParser(
        prog="python -m launch.reproduce", description=DESCRIPTION, epilog=f"such as: {EXAMPLE}"
    )
    found.add_argument("experiment", help="base_to_novel, feature_shift or label_shift")
    found.add_argument(
        "words", metavar="key=value", nargs="*", help="for every run; data.root=DATA"
    )
    found.add_argument("--sets", metavar="NAME,NAME", help="in place of all of the table")
    found.add_argument("--seeds", metavar="N,N", help="which, such as 1; the sweep's are 1,2,3")
    found.add_argument("--methods", metavar="NAME,NAME", help="of the paper, or rows of the sweep")
    found.add_argument("--released", action="store_true", help="by the released recipes")
    found.add_argument("--report", action="store_true", help="report on what is there, run nothing")
    found.add_argument("--dry-run", action="store_true", help="look and foretell, start nothing")
    found.add_argument("--cluster", metavar="X.yaml", help="submit SLURM arrays: slurm/*.yaml")
    found.add_argument("--ranks", metavar="N", type=count_of, help="of each run here; 1")
    found.add_argument("--workers", metavar="N", type=count_of, help="runs at a time here; 2")
    return found
