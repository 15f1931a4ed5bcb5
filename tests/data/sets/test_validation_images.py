"""Validation images of a set's own are read where a key asks for them, and left out else."""

import json
from pathlib import Path

import pytest

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.images.images import Images, without
from pfedmma_dist.data.sets.look import account
from pfedmma_dist.data.sets.split import read_split

SPLIT = {
    "train": [["a/1.jpg", 0, "cat"], ["b/1.jpg", 1, "dog"]],
    "val": [["b/3.jpg", 1, "dog"]],
    "test": [["a/2.jpg", 0, "cat"], ["b/2.jpg", 1, "dog"]],
}
PATHS = [path for part in SPLIT.values() for path, _, _ in part]


def saved(touch, content: object, **keys: object) -> Images:
    root = touch(*PATHS)
    file = root.parent / "split.json"
    file.write_text(json.dumps(content))
    return read_split(file, root, DataConfig(**keys))


def paths(images: Images, part: str) -> list[str]:
    return [images.store.paths[row] for row in images.parts.get(part, ())]


def test_val_list_of_a_split_file_follows_training_and_test_rows(touch):
    images, usual = saved(touch, SPLIT, validation=0.1), saved(touch, SPLIT)
    assert paths(images, "validation") == ["b/3.jpg"]
    assert images.labels[images.val].tolist() == [1]
    for part in ("training", "test"):
        assert images.parts[part].tolist() == usual.parts[part].tolist()
        assert paths(images, part) == paths(usual, part)
    assert len(usual.val) == 0 and len(usual) == 4


@pytest.mark.parametrize(
    "entry, message",
    [
        (["a/9.jpg", 0, "cat"], "not in .* a/9.jpg"),
        (["a/1.jpg", 0, "cat"], "listed twice"),
        (["b/3.jpg", 0, "dog"], "gives label 0 to 'cat' and, at b/3.jpg, to 'dog'"),
        ("b/3.jpg", "val: 'b/3.jpg' is not"),
    ],
)
def test_val_list_is_checked_where_it_is_used_alone(touch, entry, message):
    content = {**SPLIT, "val": [entry]}
    assert len(saved(touch, content)) == 4
    with pytest.raises(ValueError, match=message):
        saved(touch, content, validation=0.1)


def test_split_file_without_a_val_list_brings_none(touch):
    content = {part: SPLIT[part] for part in ("train", "test")}
    assert len(saved(touch, content, validation=0.1).val) == 0


def test_drawn_split_of_coop_keeps_its_fifth_for_validation(touch, read_from):
    home = "dtd/images"
    touch(*(f"{home}/{name}/{i}.jpg" for name in ("bumpy", "dotted") for i in range(10)))
    images = read_from("dtd", validation=0.1)
    assert {name: len(rows) for name, rows in images.parts.items()} == {
        "training": 10, "test": 6, "validation": 4,
    }  # fmt: skip
    assert sorted(images.rows) == list(range(20))


def test_val_half_of_folders_is_read_and_accounted_for(touch, read_from):
    touch("train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg", "test/b/1.jpg", "valid/b/1.jpg")
    images = read_from("folder", validation=0.1)
    assert paths(images, "validation") == ["valid/b/1.jpg"]
    told = account(images)
    assert "5 read (2 for training, 2 for testing, 1 for validation), none left out" in told.head()
    assert len(read_from("folder").val) == 0


def test_val_half_that_is_the_test_half_stays_it(touch, read_from):
    touch("train/a/1.jpg", "val/a/2.jpg")
    images = read_from("folder", validation=0.1)
    assert (len(images.test), len(images.val)) == (1, 0)


def test_class_of_the_val_half_alone_is_refused(touch, read_from):
    touch("train/a/1.jpg", "test/a/1.jpg", "val/c/1.jpg")
    with pytest.raises(ValueError, match=r"1 classes of .*val are not in .*'c'; .*validation=0"):
        read_from("folder", validation=0.1)


def test_split_column_of_a_list_may_say_val(tmp_path: Path, touch, read_from):
    touch("x.jpg", "y.jpg", "z.jpg", "A.jpg")
    lines = [
        "path,class,split",
        "z.jpg,cat,train",
        "y.jpg,cat,test",
        "x.jpg,cat,dev",
        "a.jpg,cat,val",
    ]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    images = read_from("folder", list=str(tmp_path / "list.csv"), validation=0.1)
    assert images.store.paths == ("z.jpg", "y.jpg", "A.jpg", "x.jpg")  # each part by its own
    assert images.val.tolist() == [2, 3]


def test_unreadable_validation_image_is_left_out(touch):
    images = saved(touch, SPLIT, validation=0.1)
    assert len(without(images, images.val).val) == 0
