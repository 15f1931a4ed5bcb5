"""What a device does with this program: steps, rounds, memory, and its results beside a CPU's.

    python benchmarks/gpu.py            on one GPU: some minutes
    python benchmarks/gpu.py --small    on a CPU: the same tables of a small model

Steps and rounds are wall seconds, all work of the device done. Weights are random, images those of
the embedded world: no file is needed.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import checkout  # noqa: F401 (before what it lets us find)
import numpy as np
import step as one_step
import torch

from pfedmma_dist.build import assemble, attach_features
from pfedmma_dist.config.choices import Dtype
from pfedmma_dist.config.command_line import parse
from pfedmma_dist.config.keys import Config
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.federation.recorded import Recorder
from pfedmma_dist.federation.trainer import LocalResult
from pfedmma_dist.measure import rounds
from pfedmma_dist.methods import METHODS
from pfedmma_dist.start import resolve
from pfedmma_dist.world import World, make_deterministic

CONFIGS = Path(__file__).parents[1] / "configs"
EXPERIMENTS = ("base_to_novel", "label_shift", "domains")
METHOD_NAMES = ("pfedmma", "lora", "promptfl", "fedpgp", "fedotp")
"""Of accelerator.md, section 3: one for each thing that may bound a step."""
TIMED = 5
"""Steps of which the median is told, after one that warms up."""


def main(argv: list[str] | None = None) -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="mini-clip, two methods, a round each")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    words = parser.parse_args(argv)
    name = torch.cuda.get_device_name() if words.device == "cuda" else "CPU"
    print(f"torch {torch.__version__} on {name}, {torch.get_num_threads()} thread(s)\n")
    if words.device != "cuda":
        print("Left out, as there is no GPU: peaks of its memory, and steps as CUDA graphs.\n")
    else:
        make_deterministic()  # as runs do; a replayed step is held to the plain one bit for bit
    began = time.perf_counter()
    table(
        [
            "method",
            "dtype",
            "clients",
            "ms a step",
            "ms a client",
            "peak MiB",
            "as a graph",
            "differs by",
        ],
        steps(words.device, small=words.small),
    )
    table(
        ["experiment", "dtype", "seconds a round", "peak MiB", "GFLOP a client and step"],
        experiments(words.device, small=words.small),
    )
    table(
        ["method", "dtype", "largest difference of a shared number", "of a score"],
        differences(words.device, small=words.small),
    )
    print(f"{time.perf_counter() - began:.0f} s in all")


def steps(device: str, *, small: bool) -> Iterable[list[str]]:
    """Yield what a step of a cohort takes, with its memory, and what it takes as a CUDA graph."""
    model = "mini-clip" if small else "ViT-B-16-quickgelu"
    sizes = argparse.Namespace(
        model=model, device=device, classes=4 if small else 50, batch=8 if small else 32
    )
    for method in METHOD_NAMES[1:3] if small else METHOD_NAMES:
        for dtype in (Dtype.float32, Dtype.bfloat16):
            for cohort in (1, 2) if small else (1, 2, 8):
                form = one_step.Form(dtype, False, cohort)
                plain = one_step.step_of(method, form, sizes)
                took, peak = timed(plain, device)
                yield [
                    method, dtype.value, str(cohort), f"{1000 * took:.2f}",
                    f"{1000 * took / cohort:.2f}", peak, *graphed(plain, method, form, sizes),
                ]  # fmt: skip


def graphed(
    plain: Callable[[], LocalResult], method: str, form: one_step.Form, sizes: argparse.Namespace
) -> tuple[str, str]:
    """Return the milliseconds of the same step replayed, and the largest difference of a number
    that it leaves; dashes where there are no graphs."""
    if sizes.device != "cuda":
        return "–", "–"
    recorder = Recorder(torch.device("cuda"))
    step = one_step.step_of(method, form, sizes, recorder)
    try:
        for _ in range(2):  # recorded, and held to the plain step
            step()
        took, _ = timed(step, sizes.device)
    except ValueError as error:
        print(f"{method}: {error}", file=sys.stderr)
        return "refused", "–"
    if not recorder.kept:
        return "not recorded", "–"
    gap = float((step().theta - plain().theta).abs().max())
    return f"{1000 * took:.2f}", f"{gap:.1e}"


def timed(action: Callable[[], object], device: str) -> tuple[float, str]:
    """Return the median wall seconds of a call, and the peak of a GPU's memory meanwhile."""
    on_gpu = device == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    took = []
    for _ in range(1 + TIMED):
        began = time.perf_counter()
        action()
        if on_gpu:
            torch.cuda.synchronize()
        took.append(time.perf_counter() - began)
    peak = f"{torch.cuda.max_memory_allocated() / 2**20:,.0f}" if on_gpu else "–"
    return statistics.median(took[1:]), peak


def experiments(device: str, *, small: bool) -> Iterable[list[str]]:
    """Yield what rounds of pFedMMA take in each of the three experiments."""
    for experiment in EXPERIMENTS[:1] if small else EXPERIMENTS:
        for dtype in ("float32",) if small else ("float32", "tfloat32", "bfloat16"):
            found = rounds(config(experiment, "pfedmma", device, dtype, small=small))
            yield [
                experiment, dtype, f"{found.seconds:.3f}", f"{found.mib:,.0f}",
                f"{found.flop / 1e9:,.3g}",
            ]  # fmt: skip


def differences(device: str, *, small: bool) -> Iterable[list[str]]:
    """Yield how far two rounds on the device are from two on the CPU."""
    for method in METHOD_NAMES[:1] if small else METHOD_NAMES:
        for dtype in ("float32", "bfloat16"):
            ours, theirs = (
                lived(config("base_to_novel", method, where, dtype, small=True))
                for where in (device, "cpu")
            )
            shared = float((ours[0] - theirs[0]).abs().max())
            score = max(float(np.nanmax(abs(ours[1][k] - theirs[1][k]))) for k in theirs[1])
            yield [method, dtype, f"{shared:.1e}", f"{score:.2f} points"]


def lived(cfg: Config) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    """Return the shared numbers, and all scores, after two rounds."""
    world = World.alone(cfg.run.device)
    resolve(cfg, world)
    federation = assemble(cfg, world)
    attach_features(federation)
    for index in range(2):
        federation.round(index)
    return federation.exchange.shared.cpu(), federation.evaluate(full=True).percent


def config(experiment: str, method: str, device: str, dtype: str, *, small: bool) -> Config:
    """Return an experiment of the embedded world, with ViT-B/16 in place of its model if not
    small; the same shards and cohorts wherever it runs."""
    model = [] if small else ["clip.model=ViT-B-16-quickgelu", "clip.pretrained=null"]
    few = ["data.train_per_class=4", "data.test_per_class=2"] if small else []
    words = [
        str(CONFIGS / f"data/glyphs_{experiment}.yaml"), *model, *few, f"method.name={method}",
        f"clip.dtype={dtype}", f"run.device={device}", f"run.threads={torch.get_num_threads()}",
        "federation.num_shards=1", "federation.cohort_size=8",
        f"clip.cache_folder={Path(tempfile.gettempdir()) / 'pfedmma-gpu-benchmark'}",
    ]  # fmt: skip
    return parse(words, methods=METHODS, sources=SOURCES)


def table(head: list[str], rows: Iterable[list[str]]) -> None:
    """Print a markdown table, each row as soon as it is known."""
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
    print()


if __name__ == "__main__":
    main()
