"""Fixtures for the tests of the frozen CLIP; the slow forms are functions, in slow_form.py."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from noise import Noise
from tiny_files import TEXT, VISION, Describe

from pfedmma_dist.clip import memory
from pfedmma_dist.config.keys import CacheMode, ClipConfig


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    """Both precisions that exactness is promised in."""
    return request.param


@pytest.fixture(params=["argmax", "eos"])
def pool(request: pytest.FixtureRequest) -> str:
    """Both ways to find the end of a text: the largest id, or a given one."""
    return request.param


@pytest.fixture(params=[True, False], ids=["quickgelu", "gelu"])
def quick_gelu(request: pytest.FixtureRequest) -> bool:
    """Both activations."""
    return request.param


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Draw open_clip's initial weights alike in every test, and leave the generator alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def describe(tmp_path: Path) -> Describe:
    """Return a function that writes a model's .json and returns its path."""

    def write(vision: dict | None = None, text: dict | None = None, **top: object) -> str:
        config = {"embed_dim": 8, "vision_cfg": {**VISION, **(vision or {})}}
        config |= {"text_cfg": {**TEXT, **(text or {})}, **top}
        path = tmp_path / "model.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def pixels() -> Noise:
    """Pixels without images."""
    return Noise()


@pytest.fixture
def shared_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Stand in for the shared memory of the host, which other runs use too."""
    folder = tmp_path / "shm"
    folder.mkdir()
    monkeypatch.setattr(memory, "SHARED_MEMORY", folder)
    return folder


@pytest.fixture
def ram(shared_memory: Path) -> ClipConfig:
    """Features must be kept in memory."""
    return ClipConfig(cache=CacheMode.ram, cache_memory=0.01)


@pytest.fixture
def disk(tmp_path: Path) -> ClipConfig:
    """Features must be kept on disk."""
    return ClipConfig(cache=CacheMode.disk, cache_folder=str(tmp_path / "cache"))
