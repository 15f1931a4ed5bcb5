"""Measure the same runs by an earlier checkout and by this one: `python benchmarks/before.py TREE`.

    git worktree add /tmp/before cb7c78b
    python benchmarks/before.py /tmp/before --clients 10 100 1000 10000

The runs are those of benchmarks/clients.py, started as a whole by `pfedmma_dist.train` of each
checkout in turn, one thread each; all times are CPU seconds of that process. *Scored* says who is:
all clients on all test images (the one policy there was before), those that have trained, or
nobody: the run is then ended after its rounds, as all on all grows with the square of the clients.
*Start* is all that comes before the first round: imports, images, features and the zero-shot
reference.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]

MEASURE = """
import json, resource, sys, time
from pathlib import Path
from pfedmma_dist import train
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.run import checkpoint
from pfedmma_dist.run.report import Report

costs, (out, rounds, scored, *words) = {}, sys.argv[1:]

def timed(home, name, title):
    action = getattr(home, name)
    def wrapped(*given, **named):
        began = time.process_time()
        costs.setdefault("start", began)
        found = action(*given, **named)
        costs[title] = costs.get(title, 0.0) + time.process_time() - began
        if title == "a round":
            costs["rounds"] = costs.get("rounds", 0) + 1
            if scored == "nobody" and costs["rounds"] == int(rounds):
                raise KeyboardInterrupt
        return found
    setattr(home, name, wrapped)

timed(Federation, "round", "a round")
timed(Federation, "evaluate", "last scoring")
timed(checkpoint, "save", "checkpoint")
timed(Report, "finish", "clients.csv and figures")
train.main(words)
costs["a round"] /= costs.pop("rounds")
costs["all"] = time.process_time()
costs["peak MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
Path(out).write_text(json.dumps(costs))
"""

COLUMNS = (
    "start", "a round", "last scoring", "checkpoint", "clients.csv and figures", "all", "peak MiB",
)  # fmt: skip


def words(clients: int, participants: int, rounds: int, folder: Path) -> list[str]:
    """Return a run of so many clients in words that both checkouts understand."""
    images = max(4, -(-clients // 100))  # of each of 100 classes
    return [
        "configs/data/glyphs_label_shift.yaml", "configs/method/pfedmma.yaml",
        f"data.num_clients={clients}", "data.partition=iid", "federation.first_round_all=false",
        f"federation.fraction={min(1.0, (participants + 0.5) / clients)}",
        f"federation.rounds={rounds}", "evaluate.every=0", f"run.folder={folder}", "run.threads=1",
        f"data.train_per_class={images}", f"data.test_per_class={images}", "clip.cache=ram",
    ]  # fmt: skip


def measured(tree: Path, scored: str, rounds: int, given: list[str]) -> dict[str, float]:
    """Return what a run costs; {} where it did not end."""
    with tempfile.TemporaryDirectory() as home:
        out = Path(home) / "costs.json"
        subprocess.run(
            [sys.executable, "-c", MEASURE, str(out), str(rounds), scored, *given],
            cwd=tree, env={**os.environ, "PYTHONPATH": str(tree)}, capture_output=True, check=False,
        )  # fmt: skip
        return json.loads(out.read_text()) if out.exists() else {}


def main() -> None:
    """Print a row per number of clients, checkout and policy."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tree", metavar="TREE", type=Path, help="the earlier checkout")
    parser.add_argument("--clients", type=int, nargs="+", default=[10, 100, 1_000, 10_000])
    parser.add_argument("--participants", type=int, default=10, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--most", type=int, default=1_000, help="clients that are all scored")
    asked = parser.parse_args()
    few = [number for number in asked.clients if number < asked.participants]
    if few:
        parser.error(f"--participants: {asked.participants} of {few[0]} clients; give fewer")
    print(f"| clients | | scored | {' | '.join(COLUMNS)} |")
    print(f"| ---: | --- | --- |{' ---: |' * len(COLUMNS)}", flush=True)
    for clients in asked.clients:
        whole = "all" if clients <= asked.most else "nobody"
        for name, tree, scored in (
            ("before", asked.tree.resolve(), whole), ("now", HERE, whole), ("now", HERE, "trained"),
        ):  # fmt: skip
            with tempfile.TemporaryDirectory() as home:
                given = words(clients, asked.participants, asked.rounds, Path(home) / "run")
                given += ["evaluate.clients=participants"] if scored == "trained" else []
                costs = measured(tree, scored, asked.rounds, given)
            told = [costs.get(one) for one in COLUMNS]
            cells = ["" if x is None else f"{x:,.0f}" if x >= 100 else f"{x:.3g}" for x in told]
            print(f"| {clients:,} | {name} | {scored} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
