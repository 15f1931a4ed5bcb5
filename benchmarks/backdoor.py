"""Ask whether a backdoor passes through what clients share: a row of a table per run.

    python benchmarks/backdoor.py --methods pfedmma fedsb promptfl lora --shares 0.1 0.3

On the embedded world, base-to-novel, 10 clients of 8 shots, each with five steps of all its images
a round. Rows are appended to `--table`: accuracy and attack success of honest clients, and attack
success of zero-shot CLIP. `--draw` makes the figure of what is in the table.
"""

import argparse
import csv
from pathlib import Path

import matplotlib
import numpy as np

from pfedmma_dist.build import assemble, attach_features, zero_shot
from pfedmma_dist.config.command_line import read
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.start import resolve
from pfedmma_dist.world import World, limit_threads

COLUMNS = ("method", "seed", "share", "scale", "rounds", "local", "success", "zero_shot_success")
WORDS = (
    "configs/data/glyphs_base_to_novel.yaml", "data.shots=8", "data.test_per_class=8",
    "federation.batch_size=40", "federation.local_epochs=5",
    "clip.cache=ram", "attack.name=backdoor",
)  # fmt: skip


def main() -> None:
    """Run what is asked for, then draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--methods", nargs="*", default=["pfedmma", "fedsb", "promptfl", "lora"])
    parser.add_argument("--shares", nargs="*", default=["0.1", "0.2", "0.3"])
    parser.add_argument("--scales", nargs="*", default=["1", "5"])
    parser.add_argument("--seeds", nargs="*", default=["1"])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--words", nargs="*", default=[], help="as of train, such as server.name")
    parser.add_argument("--table", type=Path, default=Path("docs/measured/backdoor.csv"))
    parser.add_argument("--draw", type=Path)
    asked = parser.parse_args()
    cases = [
        (seed, share, scale, method)
        for seed in asked.seeds
        for share in asked.shares
        for scale in asked.scales
        for method in asked.methods
    ]
    for seed, share, scale, method in [] if asked.draw else cases:
        numbers = ran(method, seed, share, scale, asked.rounds, asked.words)
        add(asked.table, [method, seed, share, scale, asked.rounds, *numbers])
    if asked.draw:
        draw(asked.table, asked.draw)


def ran(
    method: str, seed: str, share: str, scale: str, rounds: int, words: list[str]
) -> tuple[float, float, float]:
    """Return accuracy and attack success of honest clients, and that of zero-shot CLIP, percent."""
    own = (
        f"configs/method/glyphs/{method}.yaml", f"seed={seed}", f"attack.share={share}",
        f"attack.scale={scale}", f"federation.rounds={rounds}", *words,
    )  # fmt: skip
    cfg, world = read([*WORDS, *own], methods=METHODS, sources=SOURCES), World.alone()
    resolve(cfg, world)
    limit_threads(1, world)
    federation = assemble(cfg, world)
    with Progress(world, None, rounds) as progress:
        attach_features(federation, progress.step)
    for index in range(rounds):
        federation.round(index)
    found = federation.evaluate(full=False).percent
    beside = zero_shot(federation).percent
    means = found["local"], found["backdoor"], beside["backdoor"]
    return tuple(float(np.nanmean(each)) for each in means)


def add(table: Path, row: list[object]) -> None:
    """Append a row to the table, and say it."""
    is_new = not table.exists()
    with table.open("a", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        if is_new:
            lines.writerow(COLUMNS)
        lines.writerow(f"{x:.2f}" if isinstance(x, float) else x for x in row)
    print(*row, flush=True)


def draw(table: Path, to: Path) -> None:
    """Draw attack success and accuracy over the share of attackers, moves as trained."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [row for row in csv.DictReader(table.open()) if float(row["scale"]) == 1]
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2))
    told = {"success": "attack success (%)", "local": "Local of honest clients (%)"}
    for axis, (column, label) in zip(axes, told.items(), strict=True):
        for method in sorted({row["method"] for row in rows}):
            own = [row for row in rows if row["method"] == method]
            shares = sorted({float(row["share"]) for row in own})
            means = [
                np.mean([float(row[column]) for row in own if float(row["share"]) == share])
                for share in shares
            ]
            axis.plot(shares, means, marker="o", label=method)
        axis.set(xlabel="share of attackers", ylabel=label, ylim=(-2, 102))
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.tight_layout()
    figure.savefig(to, dpi=110)


if __name__ == "__main__":
    main()
