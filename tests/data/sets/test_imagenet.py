import pytest

FOLDERS = ("n01440764", "n03773504", "n04008634")


@pytest.fixture
def root(touch):
    """Return a root with three classes and their names, two of them alike."""
    parts = ("train", "val")
    root = touch(*(f"imagenet/images/{p}/{f}/{f}_1.JPEG" for p in parts for f in FOLDERS))
    names = "n01440764 tench\nn03773504 missile\nn04008634 missile\nn00000001 unused\n"
    (root / "imagenet" / "classnames.txt").write_text(names)
    return root


def test_classes_are_named_by_the_list_and_twins_told_apart(root, read_from):
    images = read_from("imagenet")
    assert images.class_names == ("tench", "missile", "projectile")
    assert [images.store.paths[row].split("/")[0] for row in images.test] == ["val"] * 3
    assert read_from("imagenet", classes=["missile"]).class_names == ("missile",)


def test_list_that_tells_twins_apart_is_left_as_it_is(root, read_from):
    (root / "imagenet" / "classnames.txt").write_text(
        "n01440764 tench\nn03773504 missile\nn04008634 thrown object\n"
    )
    assert read_from("imagenet").class_names == ("tench", "missile", "thrown object")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_list_of_names_may_begin_with_a_mark_and_have_tabs(root, read_from, encoding):
    file = root / "imagenet" / "classnames.txt"
    file.write_text(file.read_text().replace(" ", "\t"), encoding)
    assert read_from("imagenet").class_names == ("tench", "missile", "projectile")


BAD = {
    "no name": ("n01440764 \n", "classnames.txt, line 1: 'n01440764 ' has no name"),
    "no line": ("n01440764 tench\n", "classnames.txt has no name for n03773504, a folder of"),
    "twins": (
        "n01440764 Missile\nn03773504 missile\nn04008634 x\n",
        "two classes for the name 'missile', 'n01440764' and 'n03773504'",
    ),
}


@pytest.mark.parametrize("text, message", BAD.values(), ids=BAD)
def test_faulty_list_of_names_is_refused(root, read_from, text, message):
    (root / "imagenet" / "classnames.txt").write_text(text)
    with pytest.raises(ValueError, match=f"data.root: .*{message}"):
        read_from("imagenet")


def test_missing_list_of_names_is_named(root, read_from):
    (root / "imagenet" / "classnames.txt").unlink()
    with pytest.raises(ValueError, match="data.root: cannot read .*classnames.txt .*DATASETS.md"):
        read_from("imagenet")
