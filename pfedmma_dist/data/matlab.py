"""Labels in a MATLAB file, which scipy reads: an extra of ours, since one data set needs it."""

from pathlib import Path

import numpy as np


def load_labels(file: Path, variable: str) -> np.ndarray:
    """Return a variable of whole numbers as int64 [n]; ValueError where there is none."""
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError as error:
        raise ValueError(
            f"data.root: scipy is needed to read {file}; pip install scipy, or put the split file "
            "there that CoOp's DATASETS.md links"
        ) from error
    try:
        values = np.ravel(loadmat(str(file), variable_names=[variable])[variable])
        labels = values.astype(np.int64)
        sound = labels.size > 0 and (labels == values).all()
    except (
        MatReadError,
        OSError,
        ValueError,
        TypeError,
        LookupError,
        NotImplementedError,
    ) as error:
        raise ValueError(
            f"data.root: {file} holds no {variable!r} that can be read ({error}); fetch it again"
        ) from error
    if not sound:
        raise ValueError(f"data.root: {variable!r} in {file} holds no whole numbers")
    return labels
