"""Time how a data set as large as DomainNet is listed: 586,575 made-up images in 6 x 345 folders.

    python benchmarks/listing.py            # takes a minute to make empty files
    python benchmarks/listing.py --images 50000

Official lists, folders of domains and a CSV with clients name the same images. CPU seconds and
wall seconds of one reading each; no image is opened, since none has a byte.
"""

import argparse
import logging
import tempfile
import time
from pathlib import Path

import checkout  # noqa: F401 (before what it lets us find)

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.sets.domains import DOMAINNET
from pfedmma_dist.data.sets.registry import read

NUM_CLASSES = 345
NUM_CLIENTS = 1000


def make(home: Path, num_images: int) -> None:
    """Write empty images, DomainNet's lists of them, and a CSV with clients."""
    rows = ["path,class,client,split\n"]
    for place, domain in enumerate(DOMAINNET):
        lists: dict[str, list[str]] = {"train": [], "test": []}
        for label in range(NUM_CLASSES):
            (home / domain / f"class_{label:03}").mkdir(parents=True)
        for number in range(place, num_images, len(DOMAINNET)):
            label = number // len(DOMAINNET) % NUM_CLASSES
            part = "train" if number // (len(DOMAINNET) * NUM_CLASSES) % 10 < 7 else "test"
            path = f"{domain}/class_{label:03}/{number:06}.jpg"
            (home / path).touch()
            lists[part].append(f"{path} {label}\n")
            rows.append(f"{path},class_{label:03},user {number % NUM_CLIENTS},{part}\n")
        for part, lines in lists.items():
            (home / f"{domain}_{part}.txt").write_text("".join(lines))
    (home / "list.csv").write_text("".join(rows))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=586_575)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "DomainNet")
        make(home, args.images)
        for title, cfg in {
            "official lists": DataConfig(name="domainnet345", root=folder),
            "folders, split drawn": DataConfig(name="folder", root=str(home)),
            "folders, split read": DataConfig(name="folder", root=str(home)),
            "CSV with clients": DataConfig(
                name="folder", root=str(home), list=str(home / "list.csv")
            ),
        }.items():
            wall, cpu = time.perf_counter(), time.process_time()
            images = read(cfg, 0, Path(folder, "cache"))
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            print(f"{title:<22}{len(images):>8,} images  {cpu:5.1f} s CPU  {wall:5.1f} s wall")


if __name__ == "__main__":
    main()
