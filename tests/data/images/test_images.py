from pathlib import Path

import numpy as np

from pfedmma_dist.data.images.files import Files
from pfedmma_dist.data.images.images import Images, without


def test_without_keeps_row_numbers():
    rows = np.arange(3)
    files = Files(Path("root"), ("a", "b", "c"))
    images = without(Images(files, rows * 0, ("a",), rows, rows[:0]), np.array([1]))
    assert images.train.tolist() == [0, 2]
    assert len(images) == 3
    assert images.store is files
