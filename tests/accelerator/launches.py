"""Count the kernels that the host starts in one step of training, plain and as a CUDA graph.

    PYTHONPATH=. python tests/accelerator/launches.py [--presets lora] [--write docs/gpus.md]

On the pretended GPU: a kernel is a call of aten that fills or changes memory of the device; some of
them are several on a real one. Their number is that of the blocks, and not of images, classes,
clients and widths: the CLIP is as deep as ViT-B/16, and narrow. --write puts the counts into a page
as a table.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import open_clip
import torch
from graphs import graphs
from pretend import CUDA, Places, pretended, tensors
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import step as one_step  # noqa: E402 (a benchmark is no package)

from pfedmma_dist.clip import attention  # noqa: E402
from pfedmma_dist.clip.freeze import freeze  # noqa: E402
from pfedmma_dist.clip.load import tokenizer  # noqa: E402
from pfedmma_dist.config.keys import Dtype  # noqa: E402
from pfedmma_dist.federation.recorded import Recorder  # noqa: E402

BEGIN, END = "<!-- from tests/accelerator/launches.py -->\n", "<!-- to here, launches -->\n"
DTYPES = (Dtype.float32, Dtype.bfloat16)


class Counted(TorchDispatchMode):
    """How many kernels run on the device."""

    def __init__(self, places: Places) -> None:
        super().__init__()
        self.places, self.count = places, 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        inputs = tensors((args, kwargs))
        known = {x.untyped_storage()._cdata for x in inputs}
        out = func(*args, **kwargs)
        found = tensors(out)
        there = any(self.places.of(x) == CUDA for x in (*inputs, *found))
        filled = any(x.untyped_storage()._cdata not in known for x in found)
        self.count += there and (filled or func._schema.is_mutable)
        return out


def counted(train: Callable[[int], object], places: Places) -> int:
    """Return the kernels of one more step of a round, once all is there that a run makes once."""
    train(3)  # recorded, held to the plain step, replayed
    found = []
    for num_steps in (1, 2):
        with Counted(places) as kernels:
            train(num_steps)
        found.append(kernels.count)
    return found[1] - found[0]


def narrow() -> torch.nn.Module:
    """Return an open_clip CLIP of 12 blocks in each tower, with random weights."""
    torch.manual_seed(0)
    return open_clip.CLIP(
        embed_dim=64,
        vision_cfg={
            "layers": 12, "width": 128, "head_width": 32, "patch_size": 8, "image_size": 32,
        },
        text_cfg={
            "layers": 12, "width": 128, "heads": 4, "context_length": 77, "vocab_size": 49408,
        },
        quick_gelu=True,
    ).eval().requires_grad_(False)  # fmt: skip


def rows(args: argparse.Namespace) -> Iterator[list[str]]:
    """Yield, for each preset, the kernels of its steps."""
    presets, words = args.presets or one_step.trained(args.model), tokenizer(args.model)
    module = narrow()  # before torch is pretended to have a GPU, which it would build on
    with pretended() as places, graphs(places):
        kept = {x: freeze(module, words, CUDA, getattr(torch, x.stored)) for x in DTYPES}
        one_step.frozen = lambda model, dtype, plain, device: kept[dtype]
        for preset in presets:
            row = [preset]
            for dtype in DTYPES:
                form, recorder = one_step.Form(dtype, False, 1), Recorder(CUDA)
                plain = counted(one_step.steps_of(preset, form, args), places)
                after = counted(one_step.steps_of(preset, form, args, recorder), places)
                row += [f"{plain:,}", f"{after + 1}" if recorder.kept else "–"]  # 1: the replay
            print("| " + " | ".join(row) + " |", flush=True)
            yield row


def main() -> None:
    """Count, print and maybe write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--presets", nargs="+", help="of configs/method; default: all that train")
    parser.add_argument("--write", type=Path, help="a page with a table of this tool in it")
    args = parser.parse_args()
    args.model, args.device, args.classes, args.batch = "ViT-B-16-quickgelu", "cuda", 3, 2
    attention.LONGEST = 0  # the CPU attends as a GPU does, in bfloat16 too
    head = ["method", "float32", "as a graph", "bfloat16", "as a graph"]
    table = "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * 5, *rows(args)])
    if args.write:
        begin, _, rest = args.write.read_text().partition(BEGIN)
        args.write.write_text(f"{begin}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
