"""Halves, classes, domains: what the folders of an image folder are, or why that is unclear."""

import pytest

from pfedmma_dist.config.keys import Layout
from pfedmma_dist.data.sets.look import account


def tree(*folders: str, count: int = 4) -> list[str]:
    return [f"{folder}/{i}.jpg" for folder in folders for i in range(count)]


def pairs(*tops: str) -> list[str]:
    return tree(*(f"{top}/{name}" for top in tops for name in ("cat", "dog")))


HALVES = [
    ("Train", "Test"),
    ("TRAIN", "TEST"),
    ("Training", "Testing"),
    ("train_set", "test_set"),
    ("trainset", "testset"),
    ("train-images", "test-images"),
    ("Train", "Valid"),
    ("training", "VALIDATION"),
    ("train", "dev"),
]


@pytest.mark.parametrize("train, test", HALVES, ids="-".join)
def test_halves_are_halves_in_any_spelling(touch, read_from, train, test):
    touch(*pairs(train, test))
    images = read_from("folder")
    assert {images.store.paths[row].split("/")[0] for row in images.train} == {train}
    assert {images.store.paths[row].split("/")[0] for row in images.test} == {test}
    assert images.domain_names == ()


def test_validation_half_is_left_out_where_there_is_a_test_half(touch, read_from, caplog):
    touch(*pairs("Train", "Val", "Test", "extra"), "notes/readme.txt")
    images = read_from("folder")
    assert (len(images.train), len(images.test)) == (8, 8)
    left = {item.why: item.count for item in account(images).reasons}
    assert left == {
        "in the validation half": 8,
        "beside the folders of training and test images": 9,
    }
    assert "is the test half" not in caplog.text


def test_validation_that_serves_as_test_half_is_said(touch, read_from, caplog):
    caplog.set_level("INFO")
    touch(*pairs("train", "Valid"))
    read_from("folder")
    assert "Valid is the test half, as there is no other" in caplog.text


UNCLEAR = {
    "two of one half": (pairs("train", "Train", "test"), "Train and train, which both mean train"),
    "two test halves": (pairs("train", "test", "testing"), "test and testing, which both mean"),
    "no test half": (pairs("Train"), r"either Train/cat/0.jpg .*=.*/Train .*data.layout=domains"),
    "no training half": (pairs("val", "test"), "add the folder of training images"),
    "a class called train": (
        tree("train", "plane"),
        "Either train/0.jpg is an image of a half.*class 'train': set data.layout=classes",
    ),
    "halves without classes": (
        tree("Train", "Test"),
        "either Test/0.jpg is|either Train/0.jpg is .* data.list .*: set data.layout=classes",
    ),
    "nearly halves": (
        pairs("train_v2", "test_v2"),
        "train_v2 and test_v2 look like halves: either train_v2/cat/0.jpg .* data.layout=halves; "
        "or .* class 'cat' in the domain 'train_v2': set data.layout=domains",
    ),
    "one of them nearly": (pairs("train", "test (1)"), "data.layout=halves; or"),
    "a test half beside val": (pairs("train", "val", "testA"), "train and testA look like halves"),
    "nearly, and several": (pairs("train_a", "train_b", "test_a"), "call the two that are halves"),
    "nearly, without classes": (
        tree("x_train", "x_test"),
        "put each half's images into class folders, or give a data.list .*data.layout=classes",
    ),
    "classes beside masks": (
        pairs("images") + tree("masks"),
        "masks holds images and .*/images holds folders: .*; if the classes are in images, set "
        "data.root=.*/images; data.name",
    ),
    "halves beside labels": (
        pairs("images/train", "images/val") + ["labels/train/a.txt"],
        "image of the class 'cat' in a half of the domain 'images': set data.root=.*/images; or",
    ),
    "halves in domains": (
        pairs("a/train", "a/test", "b/train", "b/test"),
        "either a/test/cat/0.jpg .*'cat' .*domain 'a': set data.root=.*/a for.*data.list.*'test'",
    ),
    "halves in classes": (
        tree("cat/Train", "cat/Test", "dog/Train", "dog/Test"),
        "either cat/Test/0.jpg is .*class 'cat': .*data.list.* in the domain 'cat': set data.lay",
    ),
    "domains in halves": (
        pairs("train/a", "train/b", "test/a", "test/b"),
        "either train/a/cat/0.jpg is .*domain 'a': .*data.list.*class 'a': set data.nested=true",
    ),
    "classes and folders of folders": (
        tree("ant", "bee/more"),
        r"is it a class or a domain\? With data.nested=true, bee/more/0.jpg",
    ),
}


@pytest.mark.parametrize("paths, message", UNCLEAR.values(), ids=UNCLEAR)
def test_what_is_unclear_is_refused_with_both_readings(touch, read_from, paths, message):
    touch(*paths)
    with pytest.raises(ValueError, match=f"(?is)data.root: .*{message}"):
        read_from("folder")


DECIDED = {
    "a class called train": (tree("train", "plane"), Layout.classes, False, ("plane", "train"), 0),
    "classes of both": (tree("train", "test"), Layout.classes, False, ("test", "train"), 0),
    "domains": (pairs("train", "test"), Layout.domains, False, ("cat", "dog"), 2),
    "halves": (pairs("train", "test"), Layout.halves, False, ("cat", "dog"), 0),
    "nearly halves": (pairs("train_v2", "test_v2"), Layout.halves, False, ("cat", "dog"), 0),
    "nearly domains": (pairs("train_v2", "test_v2"), Layout.domains, False, ("cat", "dog"), 2),
    "nested": (tree("cat/Train", "cat/Test", "dog/a"), Layout.classes, True, ("cat", "dog"), 0),
    "nested, looked": (tree("cat", "cat/x/y", "dog/z"), Layout.auto, True, ("cat", "dog"), 0),
    "domains of halves": (tree("a/test", "a/train", "b/test"), Layout.domains, False, None, 2),
}


@pytest.mark.parametrize("paths, layout, nested, names, domains", DECIDED.values(), ids=DECIDED)
def test_keys_decide(touch, read_from, paths, layout, nested, names, domains):
    touch(*paths)
    images = read_from("folder", layout=layout, nested=nested)
    assert images.class_names == (names or ("test", "train"))
    assert len(images.domain_names) == domains
    found = account(images)
    assert (found.read, found.found) == (len(paths), len(paths))


def test_words_of_halves_are_classes_where_nothing_else_fits(touch, read_from):
    touch(*tree("valid", "invalid"))
    assert read_from("folder").class_names == ("invalid", "valid")


def test_two_of_many_classes_may_have_the_words_in_their_names(touch, read_from):
    touch(*tree("train station", "test_tube", "bus"))
    assert read_from("folder").class_names == ("bus", "test tube", "train station")


def test_one_class_of_a_domain_may_be_called_train(touch, read_from):
    touch(*tree(*(f"{domain}/{name}" for domain in ("a", "b") for name in ("bus", "train"))))
    assert read_from("folder").class_names == ("bus", "train")


@pytest.mark.parametrize("name", ["@eaDir", "__MACOSX", "lost+found", ".cache", "$RECYCLE.BIN"])
def test_system_folders_are_neither_classes_nor_domains_nor_halves(touch, read_from, name):
    touch(*pairs("a", "b", f"a/{name}"), *pairs(name), *tree(f"a/cat/{name}"))
    images = read_from("folder")
    assert (images.class_names, images.domain_names) == (("cat", "dog"), ("a", "b"))
    assert len(images) == 16


def test_ring_of_links_inside_a_class_ends(touch, read_from):
    root = touch(*tree("ant", "bee/x"))
    (root / "ant" / "other").symlink_to(root / "bee")
    (root / "bee" / "x" / "back").symlink_to(root / "ant")
    images = read_from("folder", layout=Layout.classes, nested=True)
    assert images.store.paths.count("ant/other/x/0.jpg") == 1
    assert max(path.count("/") for path in images.store.paths) == 3
    assert account(images).found == len(images) + 2  # links back


@pytest.mark.parametrize("key", ["layout", "nested"])
def test_list_needs_no_layout(tmp_path, touch, read_from, key):
    value = {"layout": Layout.classes, "nested": True}[key]
    with pytest.raises(ValueError, match=f"data.{key}: data.list=.* names every image"):
        read_from("folder", list="list.csv", **{key: value})
    with pytest.raises(ValueError, match=f"data.{key}: cifar10 makes no use of it"):
        read_from("cifar10", **{key: value})


MISPLACED = {
    "inside": ("caltech101", "caltech-101/101_ObjectCategories/{c}", "caltech-101", ""),
    "two inside": (
        *("caltech101", "caltech-101/101_ObjectCategories/{c}"),
        *("caltech-101/101_ObjectCategories", ""),
    ),
    "above": ("dtd", "sets/dtd/images/{c}", "", "sets"),
    "two above": ("food101", "all/sets/food-101/images/{c}", "", "all/sets"),
    "three above": ("dtd", "dtd/images/{c}", "dtd/images/cat", ""),
    "domains": ("pacs", "PACS/{d}/{c}", "PACS", ""),
    "imagenet": ("imagenet", "imagenet/images/{h}/{c}", "imagenet/images", ""),
    "class of own": ("folder", "{c}", "cat", ""),
    "not there": ("folder", "{h}/{c}", "typo", ""),
    "loose above": ("folder", "set/{c}", "set/cat", "set"),
    "single inside": ("folder", "set/set/{c}", "", "set/set"),
    "images beside lists": ("folder", "images/{c}", "", "images"),
}


@pytest.mark.parametrize("name, paths, root, right", MISPLACED.values(), ids=MISPLACED)
def test_misplaced_root_is_answered_with_the_one_that_fits(
    touch, read_from, tmp_path, name, paths, root, right
):
    domains = ("art_painting", "cartoon", "photo", "sketch")
    places = {
        paths.format(c=c, d=d, h=h)
        for c in ("cat", "dog")
        for d in domains
        for h in ("train", "val")
    }
    data = touch(*tree(*sorted(places)), "annotations/readme.xml")
    if name == "folder" and root != "":
        (data / "annotations" / "readme.xml").unlink()
        (data / "annotations").rmdir()
    with pytest.raises(ValueError, match="data.root: ") as error:
        read_from(name, root=str(data / root))
    told = str(error.value)
    assert f"set data.root={data / right}".rstrip("/") in told
    if name != "imagenet":  # which asks for its names next
        read_from(name, root=str(data / right))


def test_misnamed_home_is_named_and_another_set_is_not(touch, read_from):
    root = touch(*tree("Caltech101/101_ObjectCategories/cat", "food-101/images/pie"))
    with pytest.raises(ValueError, match="/Caltech101 looks like caltech-101: rename it to"):
        read_from("caltech101", root=str(root))
    with pytest.raises(ValueError, match="dtd/images is not a folder") as error:
        read_from("dtd", root=str(root))
    assert "food" not in str(error.value)


def test_half_that_is_read_alone_is_said(touch, read_from, caplog):
    root = touch(*pairs("Train", "Test"))
    read_from("folder", root=str(root / "Train"))
    assert f"though Test lies beside it; data.root={root} reads both" in caplog.text
