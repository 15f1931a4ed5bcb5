"""Time the server: from an image sent to its answer read, over one connection and over several.

    python benchmarks/serve.py RUN [--client 7] [--requests 200] [--side 640]

The images are JPEGs of noise under a gradient, `--side` pixels a side, all different. One request
holds one image; `N at once` keeps N connections busy, each with one request after another. Times
are wall time as a program on the same machine sees them, and the server's own share of it, which
begins once an image is there.
"""

import argparse
import http.client
import io
import logging
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import checkout  # noqa: F401 (before what it lets us find)
import numpy as np
import torch
from PIL import Image

from pfedmma_dist.home.trained import Trained
from pfedmma_dist.serving.desk import Desk
from pfedmma_dist.serving.limits import Limits
from pfedmma_dist.serving.server import Server, listen
from pfedmma_dist.serving.web import Site

AT_ONCE = (1, 4, 16)
JPEG = {"content-type": "image/jpeg"}

WARM = 5
"""Requests before those that are measured."""


def jpeg(side: int, draw: np.random.Generator) -> bytes:
    """Return a JPEG with some detail."""
    ramp = np.linspace(0, 200, side)[None, :, None] + np.zeros((side, side, 3))
    noise = draw.integers(0, 56, (side // 8 + 1, side // 8 + 1, 3)).repeat(8, 0).repeat(8, 1)
    pixels = (ramp + noise[:side, :side]).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


def ask(port: int, client: str, images: list[bytes]) -> list[tuple[float, float]]:
    """Send images over one connection; return the seconds of each, whole and in the server."""
    found = []
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=120)) as link:
        for image in images:
            began = time.perf_counter()
            link.request("POST", f"/classify?client={client}", image, JPEG)
            answer = link.getresponse()
            answer.read()
            whole = time.perf_counter() - began
            assert answer.status == 200, answer.status
            within = answer.headers["server-timing"].partition("dur=")[2]
            found.append((whole, float(within) / 1000))
    return found


def main() -> None:
    """Measure and print."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("run")
    words.add_argument("--client", default="0")
    words.add_argument("--requests", type=int, default=200)
    words.add_argument("--side", type=int, default=640)
    words.add_argument("--device", default="cpu")
    asked = words.parse_args()
    draw = np.random.default_rng(0)
    images = [jpeg(asked.side, draw) for _ in range(asked.requests)]
    desk = Desk(Trained.open(asked.run, device=asked.device), Limits(requests=2 * max(AT_ONCE)))
    desk.warm(asked.client)
    server = Server(Site(desk, desk.limits, "measured", asked.client), [])
    logging.getLogger("pfedmma_dist").setLevel(logging.WARNING)
    size = np.mean(list(map(len, images))) / 1000
    print(f"{torch.get_num_threads()} threads, {asked.side} pixels a side, {size:.0f} kB each")
    with listen("127.0.0.1", 0) as port:
        thread = threading.Thread(target=server.run, args=([port],))
        thread.start()
        try:
            measure(port.getsockname()[1], asked.client, images)
        finally:
            server.should_exit = True
            thread.join()
            desk.close()


def measure(port: int, client: str, images: list[bytes]) -> None:
    """Print a line for each number of connections."""
    ask(port, client, images[:WARM])
    for num in AT_ONCE:
        began, cpu = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(num) as pool:
            shares = [images[place::num] for place in range(num)]
            found = sum(pool.map(lambda share: ask(port, client, share), shares), [])
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        whole = 1000 * np.array([one for one, _ in found])
        inner = 1000 * statistics.median(one for _, one in found)
        half, most = np.quantile(whole, 0.5), np.quantile(whole, 0.95)
        print(
            f"{num} at once: p50 {half:,.1f} ms, p95 {most:,.1f} ms, in the server {inner:,.1f} ms;"
            f" {len(found) / seconds:,.1f} images/s, {1000 * cpu / len(found):,.1f} CPU ms each",
            flush=True,
        )


if __name__ == "__main__":
    main()
