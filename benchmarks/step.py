"""Time one local training step: the plain form against the default, and against the GEMM floor.

    python benchmarks/step.py                      # on a CPU: one thread, process CPU seconds
    python benchmarks/step.py --presets cocoop --batch 2     # plain: 100 prompts of 77 tokens
    python benchmarks/step.py --device cuda --cohorts 1 4 8 16
    python benchmarks/step.py --json docs/measured/steps.json --dtypes float32 --plain-repeats 1

What is timed are the comparable presets of configs/method that train by steps, so LoRA's variants
too. Forms of one preset are timed in turn (A B C A B C ...), so that a machine whose speed drifts
slows all of them. With --json every preset is written as soon as it is measured, and one that the
file has is left as it is (--again measures it anew): a long measurement may be cut and gone on
with. What is computed once for a run or a round (frozen class vectors, those of experts) is no part
of a step, in the plain form either. The floor is the step's own matrix FLOPs over the rate of a
large matrix product. Weights are random, and a cache of images is empty: that costs no less.
"""

import argparse
import functools
import json
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import checkout  # noqa: F401 (before what it lets us find)
import numpy as np
import torch
from clock import flops, gemm_rate, seconds

from pfedmma_dist.clip.features import Features
from pfedmma_dist.clip.forms import class_text
from pfedmma_dist.clip.kinds import Kinds, Read, listed, shaped
from pfedmma_dist.clip.load import dims, load
from pfedmma_dist.clip.model import FrozenCLIP, ImageFeatures
from pfedmma_dist.clip.text import ClassText
from pfedmma_dist.config.command_line import from_yaml, resolve_method
from pfedmma_dist.config.keys import CacheMode, ClipConfig, Config, Dtype
from pfedmma_dist.config.presets import installed
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.federation.cohort import Batch
from pfedmma_dist.federation.recorded import Recorder
from pfedmma_dist.federation.trainer import LocalResult, LocalTrainer
from pfedmma_dist.methods import METHODS
from pfedmma_dist.methods.method import Method
from pfedmma_dist.params import Layout
from pfedmma_dist.rng import Key
from pfedmma_dist.run.files import write_json
from pfedmma_dist.world import World

NAMES = (Path(__file__).parent / "caltech101_base.txt").read_text().splitlines()
"""The 50 base classes of Caltech-101."""

CACHED = 80
"""Training images of a client: 16 of each of five classes."""

DTYPES = (Dtype.float32, Dtype.bfloat16)
PRESETS = installed() / "method"
PUBLISHED = ("_paper", "_released")
"""Ends of the names of presets that differ in their recipe, and not in what a step computes."""


@dataclass(frozen=True)
class Form:
    """One way of computing a step."""

    dtype: Dtype
    plain: bool
    cohort: int

    def __str__(self) -> str:
        """Say it as in the table."""
        kind = "plain" if self.plain else "default"
        return f"{kind} {self.dtype.value}" + ("" if self.plain else f" G={self.cohort}")


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


def configured(preset: str) -> Config:
    """Return the configuration of a preset."""
    return from_yaml(PRESETS / f"{preset}.yaml", methods=METHODS, sources=SOURCES)


def step_of(
    preset: str, form: Form, args: argparse.Namespace, recorder: Recorder | None = None
) -> Callable[[], LocalResult]:
    """Return a function that trains one step of a cohort; recorder: of the step as a CUDA graph."""
    return partial(steps_of(preset, form, args, recorder), 1)


def steps_of(
    preset: str, form: Form, args: argparse.Namespace, recorder: Recorder | None = None
) -> Callable[[int], LocalResult]:
    """Return a function that trains so many steps of a cohort."""
    clip = frozen(args.model, form.dtype, form.plain, args.device)
    cfg = configured(preset)
    name, options = resolve_method(cfg.method, METHODS)
    method = METHODS[name].build(options, clip.dims, args.classes, CACHED, cfg.federation.rounds)
    layout = Layout(method.specs, method.frozen(0, clip), clip.device)
    side = clip.dims.image_size
    pixels = torch.randn(args.batch, 3, side, side, generator=torch.Generator().manual_seed(0))
    stored = dict(zip(kinds := listed(method.images), clip.freeze(pixels, kinds), strict=True))
    if not form.plain:
        stored = {kind: x.to(getattr(torch, form.dtype.stored)) for kind, x in stored.items()}
    text = class_text(clip, tuple(NAMES[: args.classes]), "a photo of a {}.")
    theta = layout.template(0).repeat(form.cohort, 1).to(clip.device)
    shape = (form.cohort, args.batch)
    batch = Batch(
        rows=np.tile(np.arange(args.batch), (form.cohort, 1)),
        views=np.zeros(shape, np.int64),
        weight=np.ones(shape, np.float32),
        active=np.ones(form.cohort, bool),
        keys=tuple(Key(0, 0, client, 0) for client in range(form.cohort)),
    )
    prepared = prepare(method, layout, text, form.cohort)
    trainer = LocalTrainer(
        method, layout, text, Stored(stored), lambda rows: rows % args.classes, cfg.optim,
        recorder=recorder,
    )  # fmt: skip
    return lambda count: trainer.train(theta, theta[:, :0], prepared, [batch] * count)


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
    """Return the comparable presets of methods that train something by steps."""
    sizes, found = dims(model), []
    for stem in sorted(path.stem for path in PRESETS.glob("*.yaml")):
        cfg = configured(stem)
        name, options = resolve_method(cfg.method, METHODS)
        try:
            method = METHODS[name].build(options, sizes, len(NAMES), CACHED, cfg.federation.rounds)
        except ValueError as error:  # more blocks than a small model has
            print(f"{stem} is left out: {error}", file=sys.stderr)
            continue
        if method.num_trained(Layout(method.specs)) and not stem.endswith(PUBLISHED):
            found.append(stem)
    return found


def forms(args: argparse.Namespace) -> Iterator[Form]:
    """Yield the forms that are asked for."""
    for dtype in args.dtypes:
        if dtype in args.plain:
            yield Form(dtype, True, 1)
        yield from (Form(dtype, False, cohort) for cohort in args.cohorts)


def measure(preset: str, args: argparse.Namespace) -> dict[str, Any]:
    """Return what was measured of a preset: with what, and of each form FLOP and seconds per client
    and step."""
    steps = {form: step_of(preset, form, args) for form in forms(args)}
    counts = {form: flops(step) / form.cohort for form, step in steps.items()}
    times: dict[Form, list[float]] = {form: [] for form in steps}
    for repeat in range(args.repeats):
        for form, step in steps.items():
            if not form.plain or repeat < args.plain_repeats:
                times[form].append(seconds(step, args.device) / form.cohort)
    told = ("model", "device", "threads", "batch", "classes")
    return {
        "with": {"torch": torch.__version__, **{name: getattr(args, name) for name in told}},
        "gemm": {dtype.value: gemm_rate(dtype, args.device) for dtype in args.dtypes},
        "forms": {str(f): {"flop": counts[f], "seconds": times[f]} for f in steps},
    }


def rows(preset: str, found: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a preset in the table."""
    middle = {form: statistics.median(own["seconds"]) for form, own in found["forms"].items()}
    for form, own in found["forms"].items():
        seen, plain = own["seconds"], middle.get("plain float32")
        ratio = f"{plain / middle[form]:.1f}" if plain else "–"
        floor = own["flop"] / found["gemm"][form.split()[1]]
        yield (
            f"| {preset} {form} | {middle[form]:.4g} | {min(seen):.4g}..{max(seen):.4g} "
            f"| {own['flop'] / 1e9:,.1f} | {ratio} | {middle[form] / floor:.2f} |"
        )


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", default="ViT-B-16-quickgelu")
    parser.add_argument("--presets", nargs="+", help="of configs/method; default: all that train")
    parser.add_argument("--cohorts", nargs="+", type=int, default=[1])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--classes", type=int, default=50, help="50 at most")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--plain-repeats", type=int, default=3, help="of the plain forms")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="a file to keep what is measured, and go on with")
    parser.add_argument("--again", action="store_true", help="measure what the file has, too")
    for name in ("--dtypes", "--plain"):
        parser.add_argument(name, nargs="*", type=Dtype, default=DTYPES, help="default: both")
    args = parser.parse_args(argv)
    if not 1 <= args.classes <= len(NAMES):
        parser.error(f"--classes: {args.classes}, and there are names of 1 to {len(NAMES)} classes")
    args.presets = args.presets or trained(args.model)
    return args


def main() -> None:
    """Measure, keep and print one markdown table."""
    args = arguments()
    torch.set_num_threads(args.threads)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
    kept = json.loads(args.json.read_text()) if args.json and args.json.exists() else {}
    print("| variant | seconds | min..max | GFLOP | plain fp32 / this | this / GEMM floor |")
    print("|---|---|---|---|---|---|")
    for preset in args.presets:
        if args.again or preset not in kept:
            kept[preset] = measure(preset, args)
            if args.json:
                write_json(args.json, kept)
        print(*rows(preset, kept[preset]), sep="\n", flush=True)
    told = sorted({json.dumps(kept[preset]["with"]) for preset in args.presets})
    print("\nseconds per client and step, medians, with " + "; ".join(told))


if __name__ == "__main__":
    main()
