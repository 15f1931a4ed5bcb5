"""Time and weigh the divisions of many images among many clients.

    python benchmarks/partition.py                # 1,000,000 images, 100,000 clients, 100 classes
    python benchmarks/partition.py --beta 0.001 1000

For each way of dealing: CPU seconds until the task stands, the memory that it then holds beside the
images' own, in integers (8 bytes) per image, and the peak on the way. The last lines time what a
federation builds for its clients. Memory is what Python and numpy allocate, in a run of its own.
"""

import argparse
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import checkout  # noqa: F401 (before what it lets us find)
import numpy as np

from pfedmma_dist.config.keys import DataConfig, Dealing, Experiment, FederationConfig
from pfedmma_dist.config.shards import ON_CPUS
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.tasks.registry import TASKS
from pfedmma_dist.data.tasks.task import Task
from pfedmma_dist.federation.classify import rows_of
from pfedmma_dist.federation.cohort import assign_shards, cut_cohorts, steps_per_epoch
from pfedmma_dist.run.record import ClientTable

DOMAINS = ("photo", "sketch")


class Nowhere:
    """A store whose images are never opened."""

    place = "nowhere"


def images_of(args: argparse.Namespace) -> Images:
    """Return images of random classes, 5 classes to a superclass, with random owners."""
    draw = np.random.default_rng(0)
    count = args.train + args.test
    owners = np.concatenate([draw.permutation(args.train), draw.permutation(args.test)])
    rows = np.arange(count)
    return Images(
        store=Nowhere(),
        labels=draw.integers(0, args.classes, count),
        class_names=tuple(f"class {label}" for label in range(args.classes)),
        train=rows[: args.train],
        test=rows[args.train :],
        domains=rows % len(DOMAINS),
        domain_names=DOMAINS,
        owners=owners % args.clients,
        owner_names=tuple(f"client {client}" for client in range(args.clients)),
        superclasses=np.arange(args.classes) // 5,
    )


def configurations(args: argparse.Namespace) -> dict[str, DataConfig]:
    """Return a configuration for every way of dealing, and one for domains."""
    base = DataConfig(task=Experiment.label_shift, num_clients=args.clients, classes_per_client=2)
    found = {}
    for dealing in Dealing:
        of_beta = dealing in (Dealing.dirichlet, Dealing.pachinko)
        for beta in args.beta if of_beta else args.beta[:1]:
            name = f"{dealing.value}, beta {beta:g}" if of_beta else dealing.value
            found[name] = replace(base, partition=dealing, beta=beta)
    of_domains = replace(base, task=Experiment.feature_shift, beta=args.beta[0])
    return found | {f"feature shift, beta {args.beta[0]:g}": of_domains}


def weigh(build: Callable[[], Task]) -> tuple[int, int]:
    """Return the bytes that a task holds, and the peak while it is built."""
    tracemalloc.start()
    task = build()
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert task.num_clients
    return held, peak


def parts_of_a_federation(task: Task) -> dict[str, Callable[[], object]]:
    """Return what a run builds of all clients before its first round."""
    cfg = FederationConfig(cohort_size=1)
    steps = steps_per_epoch(task.train.sizes(), cfg)
    clients = np.arange(task.num_clients)
    return {
        "shards": lambda: assign_shards(steps, ON_CPUS),
        "cohorts": lambda: cut_cohorts(0, clients, steps, 1),
        "test rows": lambda: rows_of(task.scopes, clients),
        "client table": lambda: ClientTable.count(
            len(task.class_sets[task.train_classes].names),
            task.num_clients,
            task.train.owners(),
            task.labels(task.train_classes, task.train.members),
            task.domains,
        ),
    }


def main() -> None:
    """Print a line per way of dealing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, default=1_000_000)
    parser.add_argument("--test", type=int, default=200_000)
    parser.add_argument("--clients", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--beta", type=float, nargs="+", default=[0.001, 0.1, 1.0, 1000.0])
    args = parser.parse_args()
    images = images_of(args)
    count = len(images)
    print(
        f"{args.train:,} + {args.test:,} images, {args.clients:,} clients, {args.classes} classes"
    )
    for name, cfg in configurations(args).items():

        def build(cfg: DataConfig = cfg) -> Task:
            return TASKS[cfg.task](images, cfg, 1)

        started = time.process_time()
        task = build()
        seconds = time.process_time() - started
        sizes = task.train.sizes()
        held, peak = weigh(build)
        print(
            f"{name:24} {seconds:6.2f} s   holds {held / 8 / count:4.1f}, "
            f"peak {peak / 8 / count:5.1f} integers per image   clients own {sizes.min()} to "
            f"{sizes.max()}"
        )
    for name, make in parts_of_a_federation(task).items():
        started = time.process_time()
        make()
        print(f"{name:24} {time.process_time() - started:6.2f} s")


if __name__ == "__main__":
    main()
