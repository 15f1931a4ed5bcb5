"""CPU seconds of commands that train nothing: `python benchmarks/commands.py [TREE ...]`.

TREE: checkouts to compare, each beside the others in the same minute; without one, this. Of every
command the least of some starts, user and system, of the process and its children. --runs: also
the commands that read a sweep of so many finished runs, copies of one; 0 leaves them out.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
STARTS = 3
WORDS = {
    "train --help": ["pfedmma_dist.train", "--help"],
    "train --list": ["pfedmma_dist.train", "--list"],
    "train federation.ronds=3": ["pfedmma_dist.train", "federation.ronds=3"],
    "cost --help": ["pfedmma_dist.cost", "--help"],
    "launch.sweep --help": ["launch.sweep", "--help"],
    "cache --help": ["pfedmma_dist.cache", "--help"],
    "prepare --help": ["pfedmma_dist.prepare", "--help"],
    "evaluate --help": ["pfedmma_dist.evaluate", "--help"],
    "pretrain --help": ["pfedmma_dist.pretrain", "--help"],
    "launch.sweep table_label_shift.yaml --dry-run": [
        "launch.sweep", "configs/sweep/table_label_shift.yaml", "data.root=DATA", "--dry-run",
    ],
}  # fmt: skip
READERS = ("launch.status", "launch.table", "launch.figures")
CUT = ["federation.rounds=2", "data.test_per_class=4", "data.train_per_class=4", "run.threads=1"]


def cpu_seconds(tree: Path, words: list[str]) -> float:
    """Return what one start of a module of a checkout costs."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", *words], cwd=tree, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def finished_sweep(folder: Path, count: int) -> Path:
    """Return the folder of a sweep of so many seeds: one is trained, the others are its copies."""
    from launch.plan import plan, write_plan
    from pfedmma_dist import train

    file = folder / "copies.yaml"
    file.write_text(f"base: {json.dumps(CUT)}\ngrid: {{seed: {list(range(count))}}}\n")
    runs = plan(str(file), [f"run.folder={folder / 'runs'}"])
    assert train.main(runs[0].words) == 0
    first = runs[0].folder
    for run in runs[1:]:
        run.folder.path.mkdir(parents=True)
        for source in filter(Path.is_file, first.path.iterdir()):
            shutil.copy(source, run.folder.path)
    return write_plan(runs)


def main() -> None:
    """Print a row per command and a column per checkout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trees", metavar="TREE", nargs="*", type=Path, default=[HERE])
    parser.add_argument("--runs", type=int, default=300)
    asked = parser.parse_args()
    sys.path.insert(0, str(HERE))
    with tempfile.TemporaryDirectory() as name:
        commands = dict(WORDS)
        if asked.runs:
            folder = finished_sweep(Path(name), asked.runs)
            commands |= {f"{one}, {asked.runs} runs": [one, str(folder)] for one in READERS}
        for title, words in commands.items():
            took = [[cpu_seconds(tree, words) for tree in asked.trees] for _ in range(STARTS)]
            best = [min(column) for column in zip(*took, strict=True)]
            print(f"{title:<48}", *(f"{seconds:7.2f}" for seconds in best), flush=True)


if __name__ == "__main__":
    main()
