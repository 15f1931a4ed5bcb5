from collections import Counter

import numpy as np
import pytest


def flat(*classes: str, count: int = 10) -> list[str]:
    return [f"{name}/{i:02}.jpg" for name in classes for i in range(count)]


def test_train_and_test_folders_are_used_as_they_are(touch, read_from):
    touch(
        *("train/b_c/2.JPG", "train/b_c/1.png", "train/a/1.webp", "test/a/1.jpg", "test/b_c/1.bmp"),
        *("train/a/.hidden.jpg", "train/a/._1.jpg", "train/a/notes.txt", "train/readme.jpg"),
        *("train/.cache/1.jpg", "train/a/deep/1.jpg", "val/a/1.jpg"),
    )
    images = read_from("folder")
    assert images.class_names == ("a", "b c")
    expected = ["train/a/1.webp", "train/b_c/1.png", "train/b_c/2.JPG"]
    assert [images.store.paths[row] for row in images.train] == expected
    assert [images.store.paths[row] for row in images.test] == ["test/a/1.jpg", "test/b_c/1.bmp"]
    assert images.labels.tolist() == [0, 1, 1, 0, 1]
    assert images.domains is images.owners is None


def test_val_is_the_test_set_where_there_is_no_other(touch, read_from):
    touch("train/a/1.jpg", "val/a/2.jpg")
    images = read_from("folder")
    assert images.store.paths == ("train/a/1.jpg", "val/a/2.jpg")
    assert images.test.tolist() == [1]


@pytest.mark.parametrize("lonely, message", [("train", "in train but"), ("test", "in test but")])
def test_class_of_one_half_only_is_refused(touch, read_from, lonely, message):
    touch("train/a/1.jpg", "test/a/1.jpg", f"{lonely}/b/1.jpg")
    with pytest.raises(ValueError, match=f"data.root: 1 classes .*'b', {message}"):
        read_from("folder")


def test_class_folders_are_split_by_class(touch, read_from, caplog):
    touch(*flat("b_c", "a"))
    images = read_from("folder")
    assert images.class_names == ("a", "b c")
    assert np.bincount(images.labels[images.train]).tolist() == [7, 7]
    assert np.bincount(images.labels[images.test]).tolist() == [3, 3]
    assert "seeded one of our own" in caplog.text
    assert read_from("folder").store.paths == images.store.paths


def test_domain_folders_are_split_by_domain_and_class(touch, read_from):
    touch(*flat("photo/dog", "photo/cat", "sketch/cat", "sketch/dog"), *flat("sketch/fox", count=4))
    images = read_from("folder")
    assert images.domain_names == ("photo", "sketch")
    assert images.class_names == ("cat", "dog", "fox")
    found = Counter(
        (images.domain_names[images.domains[row]], images.class_names[images.labels[row]])
        for row in images.test
    )
    pairs = [("photo", "cat"), ("photo", "dog"), ("sketch", "cat"), ("sketch", "dog")]
    assert found == {**dict.fromkeys(pairs, 3), ("sketch", "fox"): 1}
    for row, path in enumerate(images.store.paths):
        domain, name, _ = path.split("/")
        assert images.domain_names[images.domains[row]] == domain
        assert images.class_names[images.labels[row]] == name


AMBIGUOUS = {
    "one half": (["train/a/1.jpg", "a/1.jpg"], "only one of train and test"),
    "class or domain": (["a/1.jpg", "b/c/1.jpg"], "/a holds images and .*/b holds folders"),
    "too high": (["all/a/1.jpg", "all/b/1.jpg"], "single folder .*set data.root=.*/all"),
    "no domains": (["x/a/1.jpg", "y/b/1.jpg"], "none of the same name"),
    "empty class": (
        ["a/1.jpg", "b/1.txt"],
        r"/b holds no image, only .*\.txt 1\); data.name=folder exp",
    ),
    "empty class of a half": (["train/a/1.txt", "test/a/1.jpg"], "train/a holds no image"),
    "no class": (["train/1.jpg", "test/1.jpg"], "no class folder in train: either .* or it is"),
    "no folder": (["1.jpg"], "holds no class folder; data.name=folder expects"),
    "empty class of a domain": (["x/a/1.jpg", "x/b/1.txt", "y/a/1.jpg"], "x/b holds no image"),
    "one image": (["a/1.jpg", "b/1.jpg"], "no test image of 2 of 2 classes, the first is 'a'"),
    "two spellings": (flat("sea_horse", "sea horse"), "two classes for the name 'sea horse'"),
}


@pytest.mark.parametrize("paths, message", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_folder_that_cannot_be_understood_is_refused(touch, read_from, paths, message):
    touch(*paths)
    with pytest.raises(ValueError, match=f"data.root: .*{message}"):
        read_from("folder")


def test_linked_folders_are_followed(tmp_path, touch, read_from):
    touch(*flat("a"), "b/00.jpg")
    (tmp_path / "elsewhere").mkdir()
    for number in range(10):
        (tmp_path / "elsewhere" / f"{number}.jpg").touch()
    (tmp_path / "data" / "c").symlink_to(tmp_path / "elsewhere")
    assert read_from("folder", classes=["a", "c"]).class_names == ("a", "c")


@pytest.mark.parametrize("odd", ["a\nb", "a\x1b[2Jb"], ids=ascii)
def test_domain_with_a_control_character_is_refused(touch, read_from, odd):
    touch(*(f"{domain}/cat/{i}.jpg" for domain in (odd, "real") for i in range(9)))
    with pytest.raises(ValueError) as error:
        read_from("folder")
    assert f"has a domain {odd!r}, which holds the control character" in str(error.value)
    assert str(error.value).endswith("; rename it")
