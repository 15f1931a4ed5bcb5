import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from pfedmma_dist.data import split
from pfedmma_dist.data.split import drawn_split, read_split

GOOD = {
    "train": [["a/1.jpg", 0, "big_cat"], ["b/1.jpg", 1, "dog"]],
    "val": [["a/3.jpg", 0, "big_cat"]],
    "test": [["a/2.jpg", 0, "big_cat"], ["b/2.jpg", 1, "dog"]],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an image folder of empty files: splitting must not open them."""
    for path in ("a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg"):
        (tmp_path / "images" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / path).touch()
    return tmp_path / "images"


def saved(root: Path, content: object) -> Path:
    file = root.parent / "split.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def many(folder: Path, **counts: int) -> Path:
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / f"{number:02}.jpg").touch()
    return folder


def test_split_file_gives_train_and_test_rows(root):
    images = read_split(saved(root, GOOD), root)
    assert images.class_names == ("big cat", "dog")
    assert [images.store.paths[row] for row in images.train] == ["a/1.jpg", "b/1.jpg"]
    assert [images.store.paths[row] for row in images.test] == ["a/2.jpg", "b/2.jpg"]
    assert images.labels.tolist() == [0, 1, 0, 1]


BAD = {
    "not json": ("{", "is not JSON"),
    "not an object": ([1], "no list 'train'"),
    "no test": ({"train": GOOD["train"]}, "no list 'test'"),
    "short entry": ({**GOOD, "test": [["a/2.jpg", 0]]}, "is not .path, label, class name."),
    "bool label": ({**GOOD, "test": [["a/2.jpg", True, "dog"]]}, "is not .path, label"),
    "parent": ({**GOOD, "test": [["../x.jpg", 0, "big_cat"]]}, "leads out of the image folder"),
    "inner parent": ({**GOOD, "test": [["a/../../x.jpg", 0, "big_cat"]]}, "leads out"),
    "absolute": ({**GOOD, "test": [["/etc/passwd", 0, "big_cat"]]}, "leads out"),
    "missing": (
        {**GOOD, "test": [["a/8.jpg", 0, "big_cat"], ["c/9.jpg", 1, "dog"]]},
        "names 4 images, of which 2 are not in .* the first is a/8.jpg",
    ),
    "two names": ({**GOOD, "test": [["a/2.jpg", 0, "dog"]]}, "gives label 0 to 'big_cat' and"),
    "two labels": (
        {"train": [["a/1.jpg", 0, "x_y"]], "test": [["a/2.jpg", 1, "x y"]]},
        "several labels for the class 'x y'",
    ),
    "gap": (
        {"train": [["a/1.jpg", 0, "x"]], "test": [["a/2.jpg", 2, "y"]]},
        "2 labels from 0 to 2",
    ),
    "no test image": ({**GOOD, "test": GOOD["test"][:1]}, "no test image of 1 of 2.*'dog'"),
    "leak": ({**GOOD, "test": [*GOOD["test"], ["./a/1.jpg", 0, "big_cat"]]}, "a/1.jpg twice"),
}


@pytest.mark.parametrize("content, message", BAD.values(), ids=BAD)
def test_faulty_split_file_is_refused(root, content, message):
    with pytest.raises(ValueError, match=f"data.root: .*{message}"):
        read_split(saved(root, content), root)


def test_drawn_split_has_half_a_fifth_and_the_rest(tmp_path, caplog):
    root = many(tmp_path / "images", a=20, b=7, c=2)
    with caplog.at_level(logging.WARNING):
        images = drawn_split("toy", root, {"a": "A", "b": "B", "c": "C"}, tmp_path / "splits")
    per_class = [
        [sum(images.labels[rows] == label) for rows in (images.train, images.test)]
        for label in range(3)
    ]
    assert per_class == [[10, 6], [4, 2], [1, 1]]  # round half to even: 3.5 -> 4, and 7 - 4 - 1
    assert images.class_names == ("A", "B", "C")
    assert "not the published one" in caplog.text


def test_drawn_split_is_written_beside_the_cache_only_and_read_back(tmp_path, monkeypatch):
    root = many(tmp_path / "images", a=20, b=9)
    before = sorted(root.rglob("*"))
    names, folder = {"a": "A", "b": "B"}, tmp_path / "cache" / "splits"
    first = drawn_split("toy", root, names, folder)
    [kept] = folder.iterdir()
    assert sorted(root.rglob("*")) == before
    monkeypatch.setattr(split, "rng", None)  # a second draw would fail
    assert drawn_split("toy", root, names, folder).store.paths == first.store.paths
    assert list(folder.iterdir()) == [kept]


def test_drawn_split_is_the_same_on_another_machine(tmp_path):
    first, second = (
        drawn_split("toy", many(tmp_path / name, a=20), {"a": "A"}, tmp_path / f"{name}-splits")
        for name in ("here", "there")
    )
    assert first.store.paths == second.store.paths


def test_another_list_of_files_gets_another_split(tmp_path):
    root = many(tmp_path / "images", a=9)
    drawn_split("toy", root, {"a": "A"}, tmp_path / "splits")
    (root / "a" / "x.png").touch()
    drawn_split("toy", root, {"a": "A"}, tmp_path / "splits")
    assert len(list((tmp_path / "splits").iterdir())) == 2


def test_class_of_one_image_cannot_be_split(tmp_path):
    root = many(tmp_path / "images", a=9, b=1)
    with pytest.raises(ValueError, match="no training image of 1 of 2 classes.*'B'"):
        drawn_split("toy", root, {"a": "A", "b": "B"}, tmp_path / "splits")


def test_cache_folder_that_cannot_be_written_is_named(tmp_path):
    root = many(tmp_path / "images", a=9)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="clip.cache_folder: cannot write"):
        drawn_split("toy", root, {"a": "A"}, tmp_path / "file" / "splits")


def test_interrupted_write_leaves_no_file(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    root = many(tmp_path / "images", a=9)
    monkeypatch.setattr(split, "os", SimpleNamespace(**{**vars(split.os), "replace": full}))
    with pytest.raises(ValueError, match="No space left"):
        drawn_split("toy", root, {"a": "A"}, tmp_path / "splits")
    assert list((tmp_path / "splits").iterdir()) == []
