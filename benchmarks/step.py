"""Time one local training step: the plain form against the default, and against the GEMM floor.

    python benchmarks/step.py                      # on a CPU: one thread, process CPU seconds
    python benchmarks/step.py --methods cocoop --batch 2     # plain: 100 prompts of 77 tokens
    python benchmarks/step.py --device cuda --cohorts 1 4 8 16

Variants are timed in turn (A B C A B C ...), so that a machine whose speed drifts slows all of
them. What is computed once for a run or a round (FedPGP's frozen class vectors, those of pFedMoAP's
experts) is no part of a step, in the plain form either. The floor is the step's own
matrix FLOPs, counted by torch, over the rate of one large matrix product measured in the same run.
Weights are random: a step costs the same whatever they are.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from pfedmma_dist.clip.features import Features
from pfedmma_dist.clip.kinds import Kinds, Read, listed, shaped
from pfedmma_dist.clip.load import dims, load
from pfedmma_dist.clip.model import FrozenCLIP, ImageFeatures
from pfedmma_dist.clip.text import ClassText, class_text
from pfedmma_dist.config.keys import CacheMode, ClipConfig, Dtype
from pfedmma_dist.config.learning import OptimConfig
from pfedmma_dist.federation.cohort import Batch
from pfedmma_dist.federation.trainer import LocalTrainer
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout
from pfedmma_dist.world import World

NAMES = (Path(__file__).parent / "caltech101_base.txt").read_text().splitlines()
"""The 50 base classes of Caltech-101."""

CACHED = 80
"""Training images of a client: 16 of each of five classes."""

DTYPES = (Dtype.float32, Dtype.bfloat16)


@dataclass(frozen=True)
class Stored(Features):
    """Features of one batch by kind, held as the cache would hold them."""

    features: dict[ImageFeatures, torch.Tensor]  # [B, ...]

    def rows(self, kinds: Kinds, views: tuple[np.ndarray, np.ndarray]) -> Read:
        """Return the asked rows."""
        index = torch.from_numpy(views[0])
        found = [self.features[kind] for kind in listed(kinds)]
        return shaped(kinds, [table[index.to(table.device)] for table in found])


@functools.cache
def frozen(model: str, dtype: Dtype, plain: bool, device: str) -> FrozenCLIP:
    """Return one form of the CLIP; a copy for every variant would not fit the memory."""
    mode = CacheMode.off if plain else CacheMode.auto
    cfg = ClipConfig(model=model, pretrained=None, dtype=dtype, cache=mode)
    return load(cfg, 0, torch.device(device))


def step_of(
    method_name: str, dtype: Dtype, plain: bool, cohort: int, args: argparse.Namespace
) -> Callable[[], object]:
    """Return a function that trains one step of a cohort."""
    clip = frozen(args.model, dtype, plain, args.device)
    kind = METHODS[method_name]
    method = kind.build(kind.Options(), clip.dims, args.classes, CACHED)
    layout = Layout(method.specs, method.frozen(0, clip), clip.device)
    side = clip.dims.image_size
    pixels = torch.randn(args.batch, 3, side, side, generator=torch.Generator().manual_seed(0))
    stored = dict(zip(kinds := listed(method.images), clip.freeze(pixels, kinds), strict=True))
    if not plain:
        stored = {kind: x.to(getattr(torch, dtype.stored)) for kind, x in stored.items()}
    text = class_text(clip, tuple(NAMES[: args.classes]), "a photo of a {}.")
    theta = layout.template(0).repeat(cohort, 1).to(clip.device)
    shape = (cohort, args.batch)
    batch = Batch(
        rows=np.tile(np.arange(args.batch), (cohort, 1)),
        views=np.zeros(shape, np.int64),
        weight=np.ones(shape, np.float32),
        active=np.ones(cohort, bool),
    )
    prepared = prepare(method, layout, text, cohort)
    trainer = LocalTrainer(
        method, layout, text, Stored(stored), lambda rows: rows % args.classes, OptimConfig()
    )
    return lambda: trainer.train(theta, theta[:, :0], prepared, [batch])


@torch.no_grad()
def prepare(method: Method, layout: Layout, text: ClassText, cohort: int) -> object:
    """Return what ten clients that have all trained once are handed beside the shared part."""
    everybody = np.arange(max(10, cohort))
    exchange = method.exchange(layout, layout.template(0), 0)
    exchange.download(everybody, training=True)
    noise = 0.02 * torch.randn(len(everybody), layout.num_shared)
    even = torch.full((len(everybody),), 1 / len(everybody), dtype=torch.float64)
    exchange.upload(everybody, noise, even)
    exchange.sync(World.alone(), torch.zeros(0, dtype=torch.int64), everybody)
    return method.prepare(exchange.download(everybody[:cohort], training=True).extra, text)


def trained(model: str) -> list[str]:
    """Return the methods that train something."""
    return [name for name, kind in METHODS.items() if kind(kind.Options(), dims(model)).specs]


def seconds(action: Callable[[], object], device: str) -> float:
    """Return the CPU seconds, or the GPU's wall seconds, of one call."""
    if device == "cuda":
        torch.cuda.synchronize()
        start = time.perf_counter()
        action()
        torch.cuda.synchronize()
        return time.perf_counter() - start
    start = time.process_time()
    action()
    return time.process_time() - start


def gemm_rate(dtype: Dtype, device: str) -> float:
    """Return FLOP per second of a product of the size of a ViT-B MLP on a batch."""
    n, k, m = (6304, 768, 3072) if device == "cpu" else (6304 * 8, 768, 3072)
    a = torch.randn(n, k, device=device).to(getattr(torch, dtype.stored))
    b = torch.randn(k, m, device=device).to(getattr(torch, dtype.stored))
    times = [seconds(lambda: a @ b, device) for _ in range(12)]
    return 2 * n * k * m / min(times[2:])


def flops(action: Callable[[], object]) -> int:
    """Count the matrix FLOPs of one call, after one that warms up."""
    action()
    with FlopCounterMode(display=False) as counter:
        action()
    return counter.get_total_flops()


def variants(args: argparse.Namespace) -> Iterator[tuple[str, str, Dtype, bool, int]]:
    """Yield (label, method, dtype, plain, cohort)."""
    for method, dtype in product(args.methods, DTYPES):
        if dtype in args.plain:
            yield f"{method} plain {dtype.value}", method, dtype, True, 1
        for cohort in args.cohorts:
            yield f"{method} default {dtype.value} G={cohort}", method, dtype, False, cohort


def main() -> None:
    """Measure and print one markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", default="ViT-B-16-quickgelu")
    parser.add_argument("--methods", nargs="+", help="default: all that train")
    parser.add_argument("--cohorts", nargs="+", type=int, default=[1])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--plain",
        nargs="*",
        type=Dtype,
        default=[*DTYPES],
        help="dtypes of the plain form; default: both",
    )
    args = parser.parse_args()
    args.methods = args.methods or trained(args.model)
    torch.set_num_threads(args.threads)
    steps = {v[0]: (v, step_of(*v[1:], args)) for v in variants(args)}
    counts = {label: flops(step) / v[4] for label, (v, step) in steps.items()}
    rates = {d: gemm_rate(d, args.device) for d in DTYPES}
    times: dict[str, list[float]] = {label: [] for label in steps}
    for _ in range(args.repeats):
        for label, (v, step) in steps.items():
            times[label].append(seconds(step, args.device) / v[4])
    print(
        f"torch {torch.__version__}, {args.device}, {args.threads} thread(s), {args.model}, "
        f"batch {args.batch}, {args.classes} classes; seconds per client and step, "
        f"median of {args.repeats}; GEMM "
        + ", ".join(f"{rates[d] / 1e9:,.0f} GFLOP/s {d.value}" for d in rates)
    )
    print("| variant | seconds | min..max | GFLOP | plain fp32 / this | this / GEMM floor |")
    print("|---|---|---|---|---|---|")
    for label, (v, _) in steps.items():
        own = statistics.median(times[label])
        reference = times.get(f"{v[1]} plain float32")
        ratio = f"{statistics.median(reference) / own:.1f}" if reference else "–"
        floor = counts[label] / rates[v[2]]
        print(
            f"| {label} | {own:.4g} | {min(times[label]):.4g}..{max(times[label]):.4g} "
            f"| {counts[label] / 1e9:,.1f} | {ratio} | {own / floor:.2f} |"
        )


if __name__ == "__main__":
    main()
