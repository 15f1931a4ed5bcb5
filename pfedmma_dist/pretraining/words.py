"""The words of the command that pretrains, read without torch."""

import argparse
from pathlib import Path

from pfedmma_dist.pretraining.recipe import Recipe


def parser(description: str) -> argparse.ArgumentParser:
    """Return what reads the words of the command."""
    found = argparse.ArgumentParser(
        prog="python -m pfedmma_dist.pretrain",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = found.add_argument
    add("--out", type=Path, default=Path("runs/pretrain"), help="folder of the run (%(default)s)")
    add("--images", type=int, default=Recipe.images, help="images to train on (%(default)s)")
    add("--seed", type=int, default=Recipe.seed, help="start and order of the run (%(default)s)")
    add("--score", type=Path, metavar="FILE", help="score these weights instead of training")
    return found
