"""Kills at random times, of ranks and of torchrun; the same command then goes on to the end."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.faults.base import Base
from tests.faults.place import Place, first_trace
from tests.faults.ranks import STEP, Ranks
from tests.faults.runner import offspring
from tests.faults.trial import Ending, Kind, Trial, Verdict
from tests.faults.whole import Whole
from tests.runs import PLACE, ROOT, Ended

RANKS, BY_TORCHRUN = 30, 6
"""Trials."""

LEAVE = 60.0
"""Seconds in which a rank must have noticed that another, or its torchrun, is gone."""

NOTICE = 10.0
"""Seconds until a rank that is left alone is asked to stop."""

SLOW_IMPORT = 8.0
"""Seconds, about, that torchrun and its ranks need until they train."""


def kill_ranks(place: Place, seed: int, whole: Whole) -> Iterator[Verdict]:
    """Kill rank 0, 1 or both, once or twice, and go on to the end."""
    rng, words = random.Random(seed), place.words()
    before: list[Ended] = []
    times: list[str] = []
    for _ in range(rng.choice((1, 2))):
        delay, victims = rng.uniform(0, whole.seconds), rng.choice(((0,), (1,), (0, 1)))
        ranks = place.start(words, 2)
        time.sleep(delay)
        if ranks.send(signal.SIGKILL, *victims):
            times.append(f"{delay:.2f} s, {victims}")
        ended = end_as_torchrun(ranks)
        if any(end.code == 124 for end in ended):
            yield Verdict(f"seed {seed}", Ending.FAILED, f"a rank stayed, killed: {times}")
            return
        before += ended
        if not any(end.code for end in ended):
            break  # it had finished
    verdict = place.judge(
        f"seed {seed}", place.start(words, 2).wait(), whole, before=[e for e in before if e.code]
    )
    if times:
        yield Verdict(f"{verdict.name}, killed {'; '.join(times)}", verdict.ending, verdict.note)
    else:
        yield from kill_ranks(place.another(), seed + 1000, whole)


def end_as_torchrun(ranks: Ranks) -> list[Ended]:
    """Wait for the ranks; ask those to stop that another's death has not ended.

    So does torchrun, and at once. A rank that waits for another one to start knows of no death.
    """
    until = time.monotonic() + NOTICE
    while ranks.alive() and time.monotonic() < until:
        time.sleep(STEP)
    ranks.send(signal.SIGTERM, *ranks.alive())
    return ranks.wait(LEAVE)


def kill_torchrun(place: Place, seed: int, whole: Whole) -> Iterator[Verdict]:
    """Kill a real torchrun (even seeds) or one of its ranks, and go on to the end."""
    rng, words = random.Random(seed), place.words()
    log = place.path / "torchrun.txt"
    began = time.monotonic()
    process = start_torchrun(words, log)
    delay = rng.uniform(0.2, SLOW_IMPORT + whole.seconds)
    while time.monotonic() - began < delay and process.poll() is None:
        time.sleep(STEP)
    ranks = offspring(process.pid)
    if process.poll() is not None or (seed % 2 and not ranks):
        process.kill()
        process.wait()
        yield from kill_torchrun(place.another(), seed + 1000, whole)
        return
    victim = rng.choice(ranks) if seed % 2 else process.pid
    os.kill(victim, signal.SIGKILL)
    name = f"seed {seed}, {'a rank' if seed % 2 else 'torchrun'} after {delay:.1f} s"
    until = time.monotonic() + LEAVE
    process.wait(LEAVE)
    while any(living(rank) for rank in ranks) and time.monotonic() < until:
        time.sleep(STEP)
    left = [rank for rank in ranks if living(rank)]
    if left:
        yield Verdict(name, Ending.FAILED, f"{len(left)} ranks stayed for {LEAVE:g} s")
        return
    said = [Ended(1, "", line) for line in ["\n".join(rank_lines(log))]]
    if first_trace(said):
        yield Verdict(name, Ending.TRACEBACK, first_trace(said))
        return
    yield place.judge(name, place.start(words, 2).wait(), whole)


def start_torchrun(words: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start two ranks of a run in torchrun."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "--tee=3"]
    environment = {key: value for key, value in os.environ.items() if key not in PLACE}
    with open(log, "wb") as output:
        return subprocess.Popen(
            [sys.executable, *torchrun, "-m", "pfedmma_dist.train", *words],
            stdout=output, stderr=subprocess.STDOUT, cwd=ROOT,
            env=environment | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        )  # fmt: skip


def rank_lines(log: Path) -> list[str]:
    """Return what the ranks said, without torchrun's own words."""
    lines = log.read_text("utf-8", "replace").splitlines()
    return [line.partition("]:")[2] for line in lines if line.startswith("[default")]


def living(process: int) -> bool:
    """Whether a process runs; one that has ended and is ours is waited for."""
    try:
        return os.waitpid(process, os.WNOHANG)[0] == 0
    except ChildProcessError:
        return Path(f"/proc/{process}").exists()


def ranks(base: Base) -> Iterator[Trial]:
    """Yield the trials with forked ranks."""
    whole = base.whole(2)
    for seed in range(RANKS):
        yield Trial(f"seed {seed}", partial(kill_ranks, seed=seed, whole=whole), 240)


def torchruns(base: Base) -> Iterator[Trial]:
    """Yield the trials with torchrun."""
    whole = base.whole(2)
    for seed in range(BY_TORCHRUN):
        yield Trial(f"seed {seed}", partial(kill_torchrun, seed=seed, whole=whole), 240)


KINDS = [
    Kind(
        "SIGKILL of one rank of 2, or of both, at a random time, once or twice",
        "from start-up to finishing; the same command then trains to the end, and rows, shared "
        "part, scores, tables and TensorBoard must be those of a run that nothing stopped",
        ranks,
    ),
    Kind(
        "SIGKILL of torchrun, or of one of its ranks, at a random time",
        "the ranks must leave within a minute, and the same command goes on to the same bits",
        torchruns,
        long=True,
    ),
]
