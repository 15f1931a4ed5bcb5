"""Time what it costs to know whose a run is: digests of images beside the check that decodes them.

    python benchmarks/identify.py --images DATA/caltech-101/101_ObjectCategories
    python benchmarks/identify.py            # made-up images of 224 x 224 alone

`decoded` and `digested` are CPU seconds of one thread over the same files, in turn, the smaller of
two readings each; the share is what digests add to the check that every start makes anyway. The
last line is the whole table of 100,000 images that a start writes and a resume compares.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import checkout  # noqa: F401 (before what it lets us find)
import numpy as np
import torch
from PIL import Image

from pfedmma_dist.data.images.files import SUFFIXES, Files, file_digest
from pfedmma_dist.data.tasks.inputs import digest, table

NUM_MADE = 400
NUM_LINES = 100_000


def seconds(action: Callable[[], object]) -> float:
    """Return the CPU seconds of an action."""
    began = time.process_time()
    action()
    return time.process_time() - began


def compare(title: str, root: Path, paths: list[str]) -> None:
    """Print decoding beside digesting of the same files."""
    files, rows = Files(root, tuple(paths)), np.arange(len(paths))
    took = {"decoded": [], "digested": []}
    for _ in range(2):
        took["decoded"].append(seconds(lambda: [files.open(rows[i : i + 1]) for i in rows]))
        took["digested"].append(seconds(lambda: [file_digest(f"{root}/{path}") for path in paths]))
    decoded, digested = (min(values) for values in took.values())
    print(
        f"{title}: {len(paths):,} images, decoded {decoded:.2f} s, digested {digested:.3f} s, "
        f"share {100 * digested / decoded:.1f} %"
    )


def make(home: Path) -> list[str]:
    """Write JPEG images with some detail; return their names."""
    rng = np.random.default_rng(0)
    for index in range(NUM_MADE):
        coarse = Image.fromarray(rng.integers(0, 256, (28, 28, 3), dtype=np.uint8))
        coarse.resize((224, 224), Image.Resampling.BICUBIC).save(home / f"{index}.jpg")
    return [f"{index}.jpg" for index in range(NUM_MADE)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=Path, help="a folder with image files in it")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        compare("made up", Path(folder), make(Path(folder)))
    if args.images is not None:
        found = (p for p in sorted(args.images.rglob("*")) if p.suffix.lower() in SUFFIXES)
        compare("given", args.images, [str(path.relative_to(args.images)) for path in found])
    lines = {f"train/class_{i % 345:03}/{i:06}.jpg": f"{i:032x}" for i in range(NUM_LINES)}
    took = seconds(lambda: (digest(lines), table(lines)))
    print(f"table of {NUM_LINES:,} images: {took:.2f} s")


if __name__ == "__main__":
    main()
