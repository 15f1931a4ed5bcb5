"""Print digests of short runs of every method, here and in other checkouts: did any bit move?

    python benchmarks/bits.py
    git worktree add /tmp/before 476a75c
    python benchmarks/bits.py /tmp/before

A run is a glyph preset's: 6 clients of the embedded world under label shift, 2 rounds, scored after
each; one thread. Of it are told the clients' rows, the server's numbers, and losses and scores as
metrics.csv and clients.csv have them, columns that both checkouts know. Each checkout trains in a
process of its own, from images that it encodes once.
"""

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from safetensors.numpy import load_file

HERE = Path(__file__).resolve().parents[1]
PARTS = ("rows", "server", "scores")
WORDS = [
    "data.num_clients=6", "data.train_per_class=4", "data.test_per_class=2",
    "federation.rounds=2", "federation.num_shards=3", "federation.batch_size=8",
    "evaluate.every=1", "run.threads=1", "run.device=cpu",
]  # fmt: skip

TRAIN = """
import json, sys
from contextlib import suppress
from pfedmma_dist import train
for words in json.loads(sys.argv[1]):
    with suppress(SystemExit):
        train.main(words)
"""


def main() -> None:
    """Train all presets in each checkout, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("trees", nargs="*", type=Path, help="other checkouts to compare with")
    parser.add_argument("--presets", nargs="+", help="of configs/method/glyphs; default: all")
    args = parser.parse_args()
    trees = [HERE, *(tree.resolve(strict=True) for tree in args.trees)]
    known = (path.stem for path in sorted(HERE.glob("configs/method/glyphs/*.yaml")))
    presets = args.presets or list(known)
    with tempfile.TemporaryDirectory() as folder:
        homes = [Path(folder) / str(index) for index in range(len(trees))]
        with ThreadPoolExecutor() as pool:  # each waits for a process
            list(pool.map(train, trees, homes, [presets] * len(trees)))
        print("| preset | " + " | ".join(PARTS) + " | moved in |")
        print("| --- | --- | --- | --- | --- |")
        for preset in presets:
            runs = [home / preset for home in homes]
            names = set.intersection(*(columns(run) for run in runs)) if all_done(runs) else set()
            found = [digests(run, names) if run.exists() else None for run in runs]
            print(f"| {preset} | {' | '.join(told(found))} |", flush=True)


def train(tree: Path, home: Path, presets: list[str]) -> None:
    """Train those presets that a checkout has, in a process of its own."""
    runs = []
    for preset in presets:
        files = [f"configs/method/{preset}.yaml", f"configs/method/glyphs/{preset}.yaml"]
        if all((tree / file).exists() for file in files):
            own = [f"run.folder={home / preset}", f"clip.cache_folder={home / 'cache'}"]
            runs.append(["configs/data/glyphs_label_shift.yaml", *files, *WORDS, *own])
    home.mkdir()
    with (home / "log.txt").open("w") as log:
        subprocess.run(
            [sys.executable, "-c", TRAIN, json.dumps(runs)], cwd=tree, stdout=log, stderr=log,
            env={**os.environ, "PYTHONPATH": str(tree)}, check=False,
        )  # fmt: skip
    lost = [words[-2] for words in runs if not all_done([Path(words[-2].partition("=")[2])])]
    if lost:
        print(f"{tree}: not finished: {', '.join(lost)}", file=sys.stderr)
        print(*(home / "log.txt").read_text().splitlines()[-20:], sep="\n", file=sys.stderr)


def all_done(runs: list[Path]) -> bool:
    """Whether all runs have ended."""
    return all((run / "result.json").exists() for run in runs)


def columns(run: Path) -> set[str]:
    """Return the columns of losses and scores that a run's tables have."""
    names = [name for file in tables(run) for name in next(csv.reader(file.open()))]
    return {name for name in names if name == "loss" or name.endswith("_percent")}


def tables(run: Path) -> list[Path]:
    """Return the files that tell a run's scores."""
    return [run / "metrics.csv", run / "clients.csv"]


def digests(run: Path, names: set[str]) -> dict[str, str]:
    """Return the digest of each part of a run; names: columns that count."""
    saved = sorted(run.glob("checkpoints/*"))[-1:]
    shards = [path for folder in saved for path in sorted(folder.glob("shard_*.safetensors"))]
    servers = [path for folder in saved for path in sorted(folder.glob("server.safetensors"))]
    rows = (
        ",".join(row[name] for name in sorted(names & row.keys())).encode()
        for file in tables(run)
        for row in csv.DictReader(file.open())
    )
    parts = tensors(shards), tensors(servers), rows
    return {name: digest(of) for name, of in zip(PARTS, parts, strict=True)}


def tensors(files: list[Path]) -> Iterator[bytes]:
    """Yield what tensor files hold, name by name."""
    for file in files:
        for name, value in sorted(load_file(file).items()):
            yield f"{name} {value.dtype} {value.shape}".encode()
            yield value.tobytes()


def digest(parts: Iterator[bytes]) -> str:
    """Return twelve digits that tell these bytes."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part + b"\n")
    return whole.hexdigest()[:12]


def told(found: list[dict[str, str] | None]) -> list[str]:
    """Return the words of a row: the digests here, and which checkouts have others."""
    here = found[0] or dict.fromkeys(PARTS, "failed")
    moved = []
    for index, there in enumerate(found[1:], 1):
        parts = PARTS if there is None else [n for n in PARTS if there[n] != here[n]]
        words = "not there" if there is None else ", ".join(parts)
        moved += [f"{index}: {words}"] if parts else []
    return [*(here[name] for name in PARTS), "; ".join(moved) or "–"]


if __name__ == "__main__":
    main()
