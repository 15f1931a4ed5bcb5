"""Tiny whole runs: an image folder of noise, a CLIP of four blocks, and the ways to start them."""

import hashlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pfedmma_dist import train
from pfedmma_dist.command import MEND
from pfedmma_dist.run import figures, pictures, report
from pfedmma_dist.run.logs import SAME_EVERYWHERE, SPEAKERS
from pfedmma_dist.world.launchers import NAMES

ROOT = Path(__file__).parents[1]
DRIVER = ROOT / "tests" / "distributed" / "driver.py"
PLACE = NAMES

CLIP = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 32, "layers": 4, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {
        "context_length": 77,
        "vocab_size": 49408,
        "width": 64,
        "heads": 2,
        "layers": 4,
    },
}
TINY = {
    "data.name": "folder",
    "data.num_clients": 4,
    "clip.pretrained": "null",
    "federation.batch_size": 2,
    "federation.num_shards": 3,
    "federation.cohort_size": 2,
    "federation.rounds": 4,
    "optim.lr": 0.05,
    "run.threads": 1,
    "run.checkpoint_every": 2,
}


@dataclass(frozen=True)
class Ended:
    """How a process or a call ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Lab:
    """A folder with tiny data and a tiny model, in which runs are started."""

    path: Path

    @property
    def data(self) -> Path:
        return self.path / "data"

    def folder(self, name: str) -> Path:
        return self.path / "runs" / name

    def words(self, name: str, **changes: object) -> list[str]:
        """Return the command line of a run; changes: dotted keys, `__` for the dot."""
        keys = TINY | {
            "data.root": self.data,
            "clip.model": self.path / "clip.json",
            "clip.cache_folder": self.path / "cache",
            "run.folder": self.folder(name),
        }
        keys |= {key.replace("__", "."): value for key, value in changes.items()}
        return [f"{key}={value}" for key, value in keys.items()]


def make_lab(path: Path, train_images: tuple[int, ...] = (6, 4, 5, 6, 2, 2, 2, 2)) -> Lab:
    """Fill `path`: eight classes of noise, the first half of them base, and the model's sizes."""
    rng = np.random.default_rng(0)
    for label, count in enumerate(train_images):
        for part, images in (("train", count), ("test", 3)):
            folder = path / "data" / part / f"class_{label}"
            folder.mkdir(parents=True)
            for index in range(images):
                pixels = rng.integers(0, 256, (40, 44, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.{('png', 'jpg')[index % 2]}")
    (path / "clip.json").write_text(json.dumps(CLIP))
    return Lab(path)


@contextmanager
def alone() -> Iterator[None]:
    """Let `train.main` run in this process, and leave nothing of it behind."""
    names = [*SPEAKERS, *SAME_EVERYWHERE]
    loggers = [(item, vars(item).copy()) for item in map(logging.getLogger, names)]
    handlers = [item.handlers[:] for item, _ in loggers]
    hook, place = threading.excepthook, {k: os.environ.pop(k) for k in PLACE if k in os.environ}
    try:
        yield
    finally:
        for (item, before), old in zip(loggers, handlers, strict=True):
            for handler in set(item.handlers) - set(old):
                handler.close()
            item.setLevel(before["level"])
            item.propagate, item.handlers = before["propagate"], old
        logging.captureWarnings(False)
        threading.excepthook = hook
        torch.use_deterministic_algorithms(False)
        torch.utils.deterministic.fill_uninitialized_memory = True
        os.environ.update(place)


def call(words: list[str], *, drawn: bool = False) -> int:
    """Train in this process; return the exit code.

    drawn: pictures are what is tried; else they are blank.
    """
    with alone(), pytest.MonkeyPatch.context() as context:
        if not drawn:
            undraw(context.setattr)
        return train.main(words)


def undraw(put: Callable[[Any, str, Any], object] = setattr) -> None:
    """Leave blank files for pictures: making them, their letters above all, takes longer than all
    the rest of a tiny run."""
    for module in (report, pictures):
        put(module, "save", blank)
    for name in ("classes_per_client", "accuracy_over_rounds", "own_versus", "domains"):
        assert hasattr(figures, name)
        put(figures, name, lambda *_: None)


def blank(figure: object, path: Path) -> None:
    """Stand in for what saves a picture."""
    Image.new("RGB", (2, 2)).save(path, "png")


def refusal(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    """Start what must be refused, in one line and without a traceback; return that line."""
    assert call(words) == MEND
    text = capsys.readouterr().err
    assert text.count("error: ") == 1
    assert "Traceback" not in text
    return text[text.index("error: ") :]


def python(*words: object, timeout: float = 240) -> Ended:
    """Run a Python process to its end. timeout: seconds."""
    environment = {k: v for k, v in os.environ.items() if k not in PLACE}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=timeout)
        return Ended(process.returncode, out, err)
    finally:
        process.terminate()  # torchrun takes its ranks along
        process.wait()


def torchrun(ranks: int, *words: object) -> Ended:
    """Run torchrun on a free port to its end; words: its own options, the program, its words."""
    return python(
        "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={ranks}", *words
    )


def checkpoints(folder: Path) -> list[str]:
    """Return the names of what lies among a run's checkpoints, oldest first."""
    return sorted(item.name for item in (folder / "checkpoints").iterdir())


def state(folder: Path) -> tuple[str, str]:
    """Return the sha256 of all client rows by client, and of the server, as last saved."""
    newest = folder / "checkpoints" / checkpoints(folder)[-1]
    rows = {
        int(client): row
        for file in newest.glob("shard_*.safetensors")
        for client, row in zip(*(load_file(file)[name] for name in ("ids", "rows")), strict=True)
    }
    clients = hashlib.sha256()
    for client in sorted(rows):
        clients.update(rows[client].numpy().tobytes())
    server = hashlib.sha256()
    for _, part in sorted(load_file(newest / "server.safetensors").items()):
        server.update(part.numpy().tobytes())
    return clients.hexdigest(), server.hexdigest()


def scores(folder: Path) -> list[tuple[str, ...]]:
    """Return what metrics.csv holds that does not depend on time and machine, row by row."""
    lines = (folder / "metrics.csv").read_text().splitlines()
    header, *rows = [line.split(",") for line in lines]
    kept = [
        index
        for index, name in enumerate(header)
        if name in ("round", "loss") or name.endswith("_percent")
    ]
    return [tuple(row[index] for index in kept) for row in rows]


def outcome(folder: Path) -> tuple[tuple[str, str], list[tuple[str, ...]], str]:
    """Return all that must not depend on ranks and restarts."""
    return state(folder), scores(folder), (folder / "clients.csv").read_text()
