"""Time scoring of many clients of which few have trained: one by one against together.

    python benchmarks/scoring.py configs/data/glyphs_label_shift.yaml data.num_clients=1000 \
        data.partition=iid federation.fraction=0.01 federation.first_round_all=false

The rounds are trained first (`--rounds`), Local scored after each: what that costs in every round,
and in those alone that evaluate.every=null chooses. Then Local is scored in both ways in turn, all
test sets together alone, beside what was foreseen of it; one by one they are scored of `--sampled`
clients and scaled. Process CPU seconds, one thread; the scores of both ways are compared.
"""

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from pfedmma_dist.build import assemble, attach_features
from pfedmma_dist.config.command_line import read
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.federation.cadence import cadence
from pfedmma_dist.federation.classify import Group
from pfedmma_dist.federation.evaluate import Scores, score
from pfedmma_dist.federation.examiner import Examiner
from pfedmma_dist.federation.federation import Federation
from pfedmma_dist.federation.foresight import foresee
from pfedmma_dist.methods import METHODS
from pfedmma_dist.run.progress import Progress
from pfedmma_dist.start import resolve
from pfedmma_dist.world import World, limit_threads

Result = TypeVar("Result")

REPEATS = 2
"""Times that each way is timed; the least counts."""


def main() -> None:
    """Train some rounds, then score."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="+", help="as of train")
    parser.add_argument("--rounds", type=int, default=10, help="2 at least: the last is left out")
    parser.add_argument("--sampled", type=int, default=10)
    asked = parser.parse_args()
    if asked.rounds < 2:
        parser.error(f"--rounds: {asked.rounds}; give 2 at least, as the last is left out")
    federation = trained(asked.words, asked.rounds)
    if not 1 <= asked.sampled <= len(federation.seen):
        parser.error(f"--sampled: {asked.sampled}, and {len(federation.seen)} clients are scored")
    num = len(federation.trained(asked.rounds)) + 1
    print(f"{len(federation.seen):,} clients, {num} different rows")
    ways = {
        "together": lambda: federation.evaluate(full=False),
        "one by one": one_by_one(federation),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, Scores] = {}
    for _ in range(REPEATS):
        for name, way in ways.items():
            spent, found[name] = used(way)
            seconds[name].append(spent)
    same = all(
        np.array_equal(percent, found["one by one"].percent[name], equal_nan=True)
        for name, percent in found["together"].percent.items()
    )
    for name, all_of_it in seconds.items():
        print(f"Local {name}: {min(all_of_it):.2f} CPU s")
    foreseen = foresee(federation)
    spent, whole = used(lambda: federation.evaluate(full=True))
    if foreseen is not None:
        print(
            f"full: {foreseen.seconds:.1f} s foreseen, {whole.seconds:.1f} s took it (wall clock)"
        )
    part, _ = used(one_by_one(federation, asked.sampled, full=True))
    scaled = part * len(federation.seen) / asked.sampled
    print(
        f"full together: {spent:.1f} CPU s; one by one, scaled from {asked.sampled}: {scaled:.0f}"
    )
    print(f"Local scores are {'equal' if same else 'NOT EQUAL'}")


def trained(words: list[str], rounds: int) -> Federation:
    """Return a federation after so many rounds, and say what these and their scores took."""
    cfg = read([*words, f"federation.rounds={rounds}"], methods=METHODS, sources=SOURCES)
    world = World.alone()
    resolve(cfg, world)
    limit_threads(1, world)
    federation = assemble(cfg, world)
    with Progress(world, None, rounds) as progress:
        attach_features(federation, progress.step)
    training, scoring = [], []
    for index in range(rounds):
        training.append(used(lambda index=index: federation.round(index))[0])
        scoring.append(used(lambda: federation.evaluate(full=False))[0])
    print(f"a round: {min(training):.2f} CPU s")
    every = cadence(federation).every
    for words, costs in (
        ("in every round", scoring[:-1]),
        (f"by default, every {every} rounds", scoring[:-1][every - 1 :: every]),
    ):
        share = sum(costs) / sum(training)
        print(f"Local {words}: {sum(costs):.2f} CPU s, {share:.1%} of training, the last left out")
    return federation


def one_by_one(
    federation: Federation, count: int | None = None, *, full: bool = False
) -> Callable[[], Scores]:
    """Return what scores these many clients (None: all) each by itself."""
    examiner = Examiner(federation)
    scopes = [scope for scope in federation.task.scopes if full or not scope.full]
    classifier = examiner.classifier(federation.method, scopes)
    groups = [Group(np.array([client])) for client in federation.seen[:count]]
    return lambda: score(classifier, examiner.start, groups, federation.world)


def used(action: Callable[[], Result]) -> tuple[float, Result]:
    """Return the CPU seconds of an action, and what it returned."""
    began = time.process_time()
    found = action()
    return time.process_time() - began, found


if __name__ == "__main__":
    main()
