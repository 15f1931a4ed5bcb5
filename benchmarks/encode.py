"""Encoding beside open_clip: `python benchmarks/encode.py [--images 6]`.

The same random weights of ViT-B/16 in both, fp32 and bfloat16 (open_clip's pure_bf16), by turns on
one thread: images a CPU second of open_clip's `encode_image` and of our frozen tower to the same
vector, and how far apart the vectors are.
"""

import argparse
import statistics

import checkout  # noqa: F401 (before what it lets us find)
import open_clip
import torch
import torch.nn.functional as F
from clock import seconds

from pfedmma_dist.clip.freeze import freeze
from pfedmma_dist.clip.model import FINAL
from pfedmma_dist.config.choices import Dtype

PRECISION = {Dtype.float32: "fp32", Dtype.bfloat16: "pure_bf16"}


def compared(dtype: Dtype, model: str, num_images: int, repeats: int) -> tuple[str, ...]:
    """Return the cells of one type."""
    torch.manual_seed(0)
    theirs = open_clip.create_model(model, pretrained=None, precision=PRECISION[dtype]).eval()
    side = theirs.visual.image_size[0]
    pixels = torch.randn(num_images, 3, side, side)
    stored = getattr(torch, dtype.stored)
    reference = open_clip.create_model(model, pretrained=None).eval()
    reference.load_state_dict({k: v.float() for k, v in theirs.state_dict().items()})
    ours = freeze(reference, open_clip.get_tokenizer(model), torch.device("cpu"), stored)
    ways = {
        "open_clip": lambda: theirs.encode_image(pixels.to(stored)),
        "ours": lambda: ours.freeze(pixels, (FINAL,))[0],
    }
    with torch.no_grad():
        found = {name: F.normalize(way().float(), dim=-1) for name, way in ways.items()}
        took = {name: [] for name in ways}
        for _ in range(repeats):
            for name, way in ways.items():
                took[name].append(seconds(way, "cpu"))
    rate = {name: num_images / statistics.median(own) for name, own in took.items()}
    best = {name: num_images / min(own) for name, own in took.items()}
    return (
        dtype.value, f"{rate['open_clip']:.2f}", f"{rate['ours']:.2f}",
        f"{rate['ours'] / rate['open_clip']:.2f}", f"{best['ours'] / best['open_clip']:.2f}",
        f"{float((found['ours'] - found['open_clip']).abs().max()):.1e}",
    )  # fmt: skip


def main() -> None:
    """Measure and print one markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="ViT-B-16-quickgelu")
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=11)
    words = parser.parse_args()
    torch.set_num_threads(1)
    print("| type | open_clip, images/s | ours | gain | of the least times | largest difference |")
    print("|---|---:|---:|---:|---:|---:|")
    for dtype in PRECISION:
        cells = compared(dtype, words.model, words.images, words.repeats)
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
