"""Tiny image trees for the tests of the data layer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets.registry import read

SaveImage = Callable[..., Path]
Touch = Callable[..., Path]
ReadFrom = Callable[..., Images]


@pytest.fixture
def save_image() -> SaveImage:
    """Return a function that saves a noise image and returns its path."""

    def save(path: Path, width: int = 8, height: int = 8, seed: int = 0, mode: str = "RGB") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(path)
        return path

    return save


@pytest.fixture
def touch(tmp_path: Path) -> Touch:
    """Return a function that makes empty files below tmp_path/data: listing opens no image."""

    def make(*paths: str) -> Path:
        for path in paths:
            (tmp_path / "data" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "data" / path).touch()
        return tmp_path / "data"

    return make


@pytest.fixture
def read_from(tmp_path: Path) -> ReadFrom:
    """Return a function that reads a set below tmp_path/data, splits kept in tmp_path/cache."""

    def read_it(name: str, **keys: object) -> Images:
        cfg = DataConfig(**{"name": name, "root": str(tmp_path / "data"), **keys})
        return read(cfg, 0, tmp_path / "cache")

    return read_it
