"""Time the way from an image file to normalised pixels, on small and on large JPEGs.

    python benchmarks/decode.py --images DATA/caltech-101/101_ObjectCategories

Small ones are taken as they are. Large ones are made of them, side by side and unscaled, so that
they have the detail of a photograph. `decode` opens a file to RGB, `crop` also takes the centre
crop and `view` a random one, `load` is the PixelLoader with one thread and with two: that is what a
run waits for. Rates are images per CPU second and per second of wall time; in turn, so that a
machine whose speed drifts slows all of them.

`draft 1x`, `2x`, `4x` let libjpeg scale as it decodes, to no less than that many times the crop. We
do not. Measured with Pillow 13.0 and libjpeg-turbo 3.2: the 200 small JPEGs are never scaled, and
the crops of the 12 large ones differ by up to 76, 17 and 10 of 255 levels (on average by 3.9, 0.9
and 0.3), for 3.6, 2.9 and 2.1 times the speed of decode and crop together. That is far beyond
rounding, and an image is decoded once, since features are cached. The last table measures it here.
"""

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import checkout  # noqa: F401 (before what it lets us find)
import numpy as np
import PIL
import torch
from PIL import Image, features

from pfedmma_dist.clip.cache import CHUNK
from pfedmma_dist.data.images.files import Files
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.images.pixels import PixelLoader, centre_crop, random_view

SIDE = 224
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
LARGE = (2400, 1800)
DRAFTS = (1, 2, 4)


def mosaic(paths: list[Path], draw: np.random.Generator) -> Image.Image:
    """Fill a large image with small ones in rows."""
    canvas = Image.new("RGB", LARGE)
    left = top = high = 0
    while top < LARGE[1]:
        with Image.open(paths[draw.integers(len(paths))]) as small:
            canvas.paste(small.convert("RGB"), (left, top))
            left, high = left + small.width, max(high, small.height)
        if left >= LARGE[0]:
            left, top, high = 0, top + high, 0
    return canvas


def drafted(path: str, times: int) -> Image.Image:
    """Open a JPEG scaled down by libjpeg to no less than `times` the crop."""
    with Image.open(path) as image:
        image.draft("RGB", (times * SIDE, times * SIDE))
        return image.convert("RGB")


def stages(files: Files) -> dict[str, Callable[[], object]]:
    """Return the named work on all files."""
    rows = np.arange(len(files.paths))
    images = Images(files, np.zeros(len(rows), np.int64), ("any",), rows, rows[:0])
    loader = PixelLoader(images, SIDE, MEAN, STD, seed=0)
    names = [files.name(row) for row in rows]

    def opened(then: Callable[[Image.Image], object]) -> None:
        for row in rows:
            then(files.open(rows[row : row + 1])[0])

    def load(threads: int) -> None:
        torch.set_num_threads(threads)
        chunks = (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))
        for _ in loader.stream((chunk, np.zeros_like(chunk)) for chunk in chunks):
            pass
        torch.set_num_threads(1)

    def draft(times: int) -> None:
        for name in names:
            centre_crop(drafted(name, times), SIDE)

    return {
        "decode": lambda: opened(lambda image: image),
        "crop": lambda: opened(lambda image: centre_crop(image, SIDE)),
        "view": lambda: opened(lambda image: random_view(image, SIDE, np.random.default_rng(0))),
        "load, 1 thread": lambda: load(1),
        "load, 2 threads": lambda: load(2),
        **{f"crop, draft {n}x": lambda n=n: draft(n) for n in DRAFTS},
    }


def rates(work: dict[str, Callable[[], object]], count: int, repeats: int) -> dict[str, list]:
    """Return the median images per CPU second and per second of each kind of work."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for action in work.values():
        action()
    for _ in range(repeats):
        for name, action in work.items():
            cpu, wall = time.process_time(), time.perf_counter()
            action()
            times[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return {
        name: [count / statistics.median(kind) for kind in zip(*own, strict=True)]
        for name, own in times.items()
    }


def differences(files: Files) -> dict[int, tuple[int, float, int]]:
    """Return the largest and the mean difference of drafted crops, and how many files were."""
    found = {}
    for times in DRAFTS:
        largest, means, scaled = 0, [], 0
        for row, name in enumerate(map(files.name, range(len(files.paths)))):
            [exact], quick = files.open(np.array([row])), drafted(name, times)
            scaled += exact.size != quick.size
            crops = (np.asarray(centre_crop(image, SIDE), np.int64) for image in (exact, quick))
            difference = abs(np.subtract(*crops))
            largest = max(largest, int(difference.max()))
            means.append(difference.mean())
        found[times] = largest, float(np.mean(means)), scaled
    return found


def report(title: str, files: Files, repeats: int) -> None:
    """Print the two tables of one kind of files."""
    count = len(files.paths)
    size = sum(Path(files.name(row)).stat().st_size for row in range(count)) / count
    print(f"\n{title}: {count} JPEGs of {size / 1000:,.0f} kB\n")
    print("| work | images / CPU second | images / second | speed of crop |\n|---|---|---|---|")
    measured = rates(stages(files), count, repeats)
    for name, (cpu, wall) in measured.items():
        ratio = cpu / measured["crop"][0]
        print(f"| {name} | {cpu:,.0f} | {wall:,.0f} | {ratio:.2f} |")
    print("\n| draft | files scaled | largest difference | mean |\n|---|---|---|---|")
    for times, (largest, mean, scaled) in differences(files).items():
        print(f"| {times}x | {scaled} of {count} | {largest} | {mean:.3f} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--images", type=Path, required=True, help="folder with JPEGs, at any depth"
    )
    parser.add_argument("--small", type=int, default=200)
    parser.add_argument("--large", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    paths = sorted(args.images.expanduser().rglob("*.jpg"))
    if not paths:
        parser.error(f"--images {args.images} holds no *.jpg")
    draw = np.random.default_rng(0)
    chosen = [paths[place] for place in draw.permutation(len(paths))[: args.small]]
    print(f"Pillow {PIL.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}")
    report(
        "small", Files(Path("/"), tuple(str(path.resolve())[1:] for path in chosen)), args.repeats
    )
    with tempfile.TemporaryDirectory() as folder:
        names = tuple(f"{index}.jpg" for index in range(args.large))
        for name in names:
            buffer = io.BytesIO()
            mosaic(paths, draw).save(buffer, "JPEG", quality=90)
            Path(folder, name).write_bytes(buffer.getvalue())
        report(f"large, {LARGE[0]} x {LARGE[1]}", Files(Path(folder), names), args.repeats)


if __name__ == "__main__":
    main()
