"""Labels of a MATLAB file, and what a damaged one does to nobody but itself."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from pfedmma_dist.data.sets.matlab import load_labels


def saved(folder: Path, **variables: object) -> Path:
    savemat(folder / "labels.mat", variables)
    return folder / "labels.mat"


def test_labels_come_back_in_their_order(tmp_path: Path) -> None:
    assert load_labels(saved(tmp_path, labels=[[3, 1, 2]]), "labels").tolist() == [3, 1, 2]


def test_file_that_ends_the_process_that_reads_it_is_refused(tmp_path: Path) -> None:
    file = saved(tmp_path, labels=np.arange(1.0, 100.0))
    content = file.read_bytes()
    start = content.index(b"labels") + 8  # of the kind of the numbers
    file.write_bytes(content[:start] + b"\x0c\x7f" + content[start + 2 :])
    with pytest.raises(ValueError, match="data.root: .*labels.mat holds no 'labels' that can be"):
        load_labels(file, "labels")


@pytest.mark.parametrize(
    ("value", "words"),
    [([1.5, 2.0], "no whole numbers"), ("abc", "of kind <U"), ([1.0, np.nan], "or not finite")],
    ids=str,
)
def test_what_are_no_labels_is_refused(tmp_path: Path, value: object, words: str) -> None:
    with pytest.raises(ValueError, match=rf"data\.root: .*labels\.mat.*{words}|{words}"):
        load_labels(saved(tmp_path, labels=value), "labels")
