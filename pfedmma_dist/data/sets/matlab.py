"""Labels in a MATLAB file, which scipy reads: an extra of ours, since one data set needs it."""

import importlib.util
import multiprocessing
import zlib
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from pfedmma_dist.spelling import shortened

NUMERIC = "biuf"
"""Kinds of arrays that labels may come as."""


def load_labels(file: Path, variable: str) -> np.ndarray:
    """Return a variable of whole numbers as int64 [n]; ValueError where there is none."""
    if importlib.util.find_spec("scipy") is None:
        raise ValueError(
            f"data.root: scipy is needed to read {file}; pip install scipy, or put the split file "
            "there that CoOp's DATASETS.md links"
        )
    try:
        # In a process of its own: a damaged file can end the one that reads it (scipy 1.17).
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            values = pool.submit(_load, str(file), variable).result()
    except (ValueError, BrokenProcessPool) as error:
        raise ValueError(
            f"data.root: {file} holds no {variable!r} that can be read ({error}); fetch it again"
        ) from error
    labels = values.astype(np.int64)
    if labels.size == 0 or not (labels == values).all():
        raise ValueError(f"data.root: {variable!r} in {file} holds no whole numbers")
    return labels


def _load(file: str, variable: str) -> np.ndarray:
    """Return a variable of numbers [n]; ValueError, in words, whatever scipy raises."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        values = np.ravel(loadmat(file, variable_names=[variable])[variable])
    except (
        MatReadError, OSError, ValueError, TypeError, AttributeError, LookupError, MemoryError,
        ArithmeticError, RuntimeError, SystemError, zlib.error,
    ) as error:  # fmt: skip
        # Much of it by chance: scipy looks kinds of numbers up beyond the end of its table.
        raise ValueError(shortened(f"{type(error).__name__}: {error}", 160)) from error
    if values.dtype.kind not in NUMERIC or not np.isfinite(values).all():
        raise ValueError(f"it is of kind {values.dtype}, or not finite")
    return values
