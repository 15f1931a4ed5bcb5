from pathlib import Path

import numpy as np

from pfedmma_dist.data.images.files import Files
from pfedmma_dist.data.images.images import Images, without


def test_class_that_loses_its_last_image_of_a_half_is_named(caplog):
    rows = np.arange(4)
    files = Files(Path("root"), ("a", "b", "c", "d"))
    images = Images(files, np.array([0, 1, 0, 1]), ("ant", "bee"), rows[:2], rows[2:])
    without(images, np.array([0]))
    assert "no readable training image is left of 1 of 2 classes, the first is 'ant'" in caplog.text
    caplog.clear()
    without(images, rows[:0])
    assert not caplog.text


def test_without_keeps_row_numbers():
    rows = np.arange(3)
    files = Files(Path("root"), ("a", "b", "c"))
    images = without(Images(files, rows * 0, ("a",), rows, rows[:0]), np.array([1]))
    assert images.train.tolist() == [0, 2]
    assert len(images) == 3
    assert images.store is files
