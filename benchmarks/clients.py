"""Measure what a run costs as its clients grow: start, rounds, scoring, checkpoints, memory, files.

    python benchmarks/clients.py                          # 10 to 1,000,000 clients, 10 a round
    python benchmarks/clients.py --clients 100000 --participants 100
    python benchmarks/clients.py --rows 10000             # 10,000 of 1,000,000 clients at ViT-B/16
    python benchmarks/clients.py --figure docs/growth.png

The embedded world, label shift dealt iid, pFedMMA: as many clients, and at least as many training
and test images. Each number of clients has a process of its own, on one thread. All times are CPU
seconds of the process. The rounds' participants are trained for real and their images encoded for
real. Scored are, by default, all that trained, on their own test images (Local): scoring everybody
on everybody's images grows with the square of the clients, and is the policy of evaluate.*, not
what is measured here. An exponent is the slope between the last two numbers of clients.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import log
from pathlib import Path

import numpy as np
import torch

from pfedmma_dist.build import assemble, attach_features
from pfedmma_dist.config.command_line import read
from pfedmma_dist.config.keys import Config
from pfedmma_dist.data.glyphs.glyphs import CLASSES
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.federation.clients import ClientStore
from pfedmma_dist.federation.cohort import assign_shards
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.methods import METHODS
from pfedmma_dist.ownership import Owner
from pfedmma_dist.run import checkpoint
from pfedmma_dist.run.folder import RunFolder
from pfedmma_dist.run.record import ClientTable, RoundRecord
from pfedmma_dist.run.report import Report
from pfedmma_dist.start import resolve
from pfedmma_dist.world import World

CLIENTS = (10, 100, 1_000, 10_000, 100_000, 1_000_000)

CONFIGS = Path(__file__).parents[1] / "configs"

VIT_B_16 = 245_760
"""Numbers that pFedMMA keeps private of a client at ViT-B/16."""

Costs = dict[str, float]
"""What is measured -> CPU seconds, or MiB."""


def configuration(clients: int, participants: int, rounds: int, folder: Path) -> Config:
    """Return a run of so many clients."""
    words = [
        str(CONFIGS / "data" / "glyphs_label_shift.yaml"), str(CONFIGS / "method" / "pfedmma.yaml"),
        f"data.num_clients={clients}", "data.partition=iid", "federation.first_round_all=false",
        f"federation.fraction={min(1.0, (participants + 0.5) / clients)}",
        f"federation.rounds={rounds}", "evaluate.every=0", f"run.folder={folder}", "run.threads=1",
        f"data.train_per_class={max(4, -(-clients // len(CLASSES)))}",
        f"data.test_per_class={max(4, -(-clients // len(CLASSES)))}", "clip.cache=ram",
        "evaluate.clients=participants",
    ]  # fmt: skip
    return read(words, methods=METHODS, sources=SOURCES)


class Clock:
    """CPU seconds by what was done."""

    def __init__(self) -> None:
        self.costs: Costs = {}

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        """Count what is done inside."""
        started = time.process_time()
        yield
        self.costs[name] = self.costs.get(name, 0.0) + time.process_time() - started


def grow(clients: int, participants: int, rounds: int) -> Costs:
    """Return what a run of so many clients costs."""
    torch.set_num_threads(1)
    clock = Clock()
    with tempfile.TemporaryDirectory() as home:
        folder = RunFolder(Path(home) / "run")
        cfg, world = configuration(clients, participants, rounds, folder.path), World.alone()
        started = time.process_time()
        with clock.on("assemble"):
            resolve(cfg, world)
            federation = assemble(cfg, world)
            own = tuple(scope for scope in federation.task.scopes if not scope.full)
            federation.task = replace(federation.task, scopes=own)
        with clock.on("digests of images"):
            owner = Owner(federation, folder)
            folder.create()
            owner.write_images()
        with clock.on("encoding"):
            attach_features(federation)
        with clock.on("class counts"):
            report = begin_report(federation, folder)
        clock.costs["start"] = time.process_time() - started
        for index in range(rounds):
            with clock.on("a round"):
                federation.local_participants(index)
                federation.round(index)
        clock.costs["a round"] /= rounds
        with clock.on("scoring"):
            percent = federation.evaluate(full=False).percent
        with clock.on("checkpoint"):
            path = save(federation, owner, folder.checkpoints, rounds)
        with report:
            with clock.on("report of a round"):
                report.round(record(percent))
            with clock.on("clients.csv and figures"):
                report.finish(percent, {}, [], {})
        clock.costs["peak MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        clock.costs["checkpoint MiB"] = size(path) / 2**20
        clock.costs["run folder MiB"] = size(folder.path) / 2**20
    return clock.costs


def begin_report(federation: Federation, folder: RunFolder) -> Report:
    """Return a report as a run begins it."""
    task = federation.task
    clients = ClientTable.count(
        len(task.class_sets[task.train_classes].names),
        task.num_clients,
        task.train.owners(),
        task.labels(task.train_classes, task.train.members),
    )
    names = [scope.name for scope in task.scopes]
    return Report(folder, federation.world, clients, names, {}, "", 0)


def save(federation: Federation, owner: Owner, folder: Path, rounds: int) -> Path:
    """Write a checkpoint."""
    meta = {
        "fingerprint": federation.layout.fingerprint(),
        "num_shards": federation.cfg.federation.num_shards,
        "seconds": 0.0,
        "unscored": None,
        **owner.facts,
    }
    return checkpoint.save(
        folder, federation.world, rounds, *federation.state(), meta, 1, "round\n"
    )


def record(percent: dict[str, np.ndarray]) -> RoundRecord:
    """Return a round that is reported."""
    numbers = {"client_up_bytes": 1, "client_down_bytes": 1, "rank_bytes": 1}
    return RoundRecord(
        round_index=0, loss=1.0, samples=1, train_seconds=1.0, scores=percent, **numbers
    )


def size(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def hold(
    trained: int, clients: int, width: int, memory: float, parts: int = 10, num_shards: int = 8
) -> list[Costs]:
    """Let clients train one after another, 100 a round; return what each part of them cost.

    Their rows are as wide as ViT-B/16's; training is an addition. memory: MiB of rows that are held
    in memory. A checkpoint is saved after each part.
    """
    torch.set_num_threads(1)
    chosen = np.random.default_rng(0).choice(clients, trained, replace=False)
    shards = dict(enumerate(assign_shards(np.ones(clients, np.int64), num_shards)))
    found, meta = (
        [],
        {"fingerprint": "", "num_shards": num_shards, "seconds": 0.0, "unscored": None},
    )
    meta |= {"configuration": {}, "task": {}, "weights": {}}
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        store = ClientStore(
            torch.zeros(width), shards, torch.device("cpu"), memory * 2**20, folder / "rows"
        )
        for index, part in enumerate(np.array_split(chosen, parts)):
            clock = Clock()
            with clock.on("CPU ms a participant"):
                for round_clients in np.array_split(part, max(1, len(part) // 100)):
                    for client in round_clients[:, None]:
                        store.scatter(client, store.gather(client) + index)
            with clock.on("CPU s of a save"):
                state = {shard: store.state(shard) for shard in shards}
                path = checkpoint.save(folder, World.alone(), index + 1, state, {}, meta, 1)
            clock.costs["CPU ms a participant"] *= 1000 / len(part)
            clock.costs["MiB written"] = sum(
                (path / f"shard_{shard:03d}.safetensors").stat().st_size for shard in shards
            ) / 2**20  # fmt: skip
            clock.costs["checkpoint MiB"] = size(path) / 2**20
            clock.costs["resident MiB"] = resident_mib()
            found.append({"trained": len(store)} | clock.costs)
    return found


def held(trained: int, clients: int, width: int, memory: float) -> dict[str, Costs]:
    """Return what tenths of the clients cost, and before and after them one that is held in memory
    alone, each in a process of its own."""
    alone = partial(hold, max(1, trained // 10), clients, width, float("inf"), 1)
    columns = {"in memory": apart(alone)[0]}
    for costs in apart(partial(hold, trained, clients, width, memory)):
        columns[f"{costs['trained']:,} trained"] = costs
    columns["in memory again"] = apart(alone)[0]
    for costs in columns.values():
        del costs["trained"]
    return columns


def resident_mib() -> float:
    """Return the memory of this process that no file stands behind."""
    lines = Path("/proc/self/status").read_text().splitlines()
    [anonymous] = [line for line in lines if line.startswith("RssAnon")]
    return int(anonymous.split()[1]) / 2**10


def table(columns: dict[str, Costs], exponents: bool) -> list[str]:
    """Return a table in Markdown: a row per quantity, and the growth at its end."""
    names = list(next(iter(columns.values())))
    lines = [f"| | {' | '.join(columns)} |" + (" exponent |" if exponents else "")]
    lines.append("| --- |" + " ---: |" * (len(columns) + exponents))
    for name in names:
        values = [costs[name] for costs in columns.values()]
        words = [f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in values]
        if exponents:
            sizes = [int(head.replace(",", "")) for head in columns][-2:]
            slope = log(max(values[-1], 1e-9) / max(values[-2], 1e-9)) / log(sizes[1] / sizes[0])
            words.append(f"{slope:.2f}")
        lines.append(f"| {name} | {' | '.join(words)} |")
    return lines


def draw(columns: dict[str, Costs], path: Path) -> None:
    """Draw what grows over the number of clients."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    sizes = [int(head.replace(",", "")) for head in columns]
    drawn = ("start", "encoding", "a round", "scoring", "checkpoint", "clients.csv and figures")
    for name, marker in zip(drawn, "osv^Dx", strict=True):
        axes.loglog(sizes, [costs[name] for costs in columns.values()], marker=marker, label=name)
    axes.set_xlabel("clients")
    axes.set_ylabel("CPU seconds")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def apart(work: Callable[[], object]) -> object:
    """Return what is measured in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work).result()


def main(argv: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS)
    parser.add_argument("--participants", type=int, default=10, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, help="trained clients, whose rows are held instead")
    parser.add_argument("--width", type=int, default=VIT_B_16, help="numbers of such a row")
    parser.add_argument("--memory", type=float, default=256.0, help="MiB of rows in memory")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--small", action="store_true", help="a try: 10 and 100 clients")
    args = parser.parse_args(argv)
    if args.rows:
        print("\n".join(table(held(args.rows, args.clients[-1], args.width, args.memory), False)))
        return
    clients, rounds = ((10, 100), 1) if args.small else (args.clients, args.rounds)
    few = [number for number in clients if number < args.participants]
    if few:
        parser.error(f"--participants: {args.participants} of {few[0]} clients; give fewer")
    columns: dict[str, Costs] = {}
    for number in clients:
        columns[f"{number:,}"] = apart(partial(grow, number, args.participants, rounds))
    print("\n".join(table(columns, exponents=len(columns) > 1)))
    if args.figure:
        draw(columns, args.figure)


if __name__ == "__main__":
    main()
