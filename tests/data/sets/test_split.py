import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from pfedmma_dist.config.keys import DataConfig
from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets import split
from pfedmma_dist.data.sets.entry import Entry, Part
from pfedmma_dist.data.sets.split import COOP_SHARES, OWN_SHARES, draw, read_split

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


def read_saved(root: Path, content: object, **keys: object) -> Images:
    file = root.parent / "split.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_split(file, root, DataConfig(**keys), {"big_cat": "lion"})


def strata(**counts: int) -> list[list[Entry]]:
    """Return so many images of each class."""
    return [
        [Entry(f"{name}/{number:02}.jpg", name, Part.train) for number in range(count)]
        for name, count in counts.items()
    ]


def counts(entries: list[Entry], name: str) -> list[int]:
    """Return how many images of a class are for train, val and test."""
    return [sum(e.part is part and e.name == name for e in entries) for part in Part]


def test_split_file_gives_train_and_test_rows(root):
    images = read_saved(root, GOOD)
    assert images.class_names == ("lion", "dog")
    assert [images.store.paths[row] for row in images.train] == ["a/1.jpg", "b/1.jpg"]
    assert [images.store.paths[row] for row in images.test] == ["a/2.jpg", "b/2.jpg"]
    assert images.labels.tolist() == [0, 1, 0, 1]


def test_chosen_classes_are_numbered_from_0(root):
    images = read_saved(root, GOOD, classes=["dog"])
    assert images.class_names == ("dog",)
    assert images.store.paths == ("b/1.jpg", "b/2.jpg")
    assert images.labels.tolist() == [0, 0]


BAD = {
    "not json": ("{", "is not JSON"),
    "deep": ("[" * 100_000, "is not JSON .nested too deep.; fetch it again"),
    "deep entry": ('{"train": [' + "[" * 100_000, "is not JSON .nested too deep.; fetch it again"),
    "twice": ('{"train": [], "train": []}', "is not JSON .the key 'train' stands twice"),
    "NUL": ({**GOOD, "test": [["a/1\0.jpg", 0, "big_cat"]]}, "holds NUL; no path does"),
    "huge label": ({**GOOD, "test": [["a/2.jpg", 10**4000, "x"]]}, r"labels from 0 to 1000+\.\.\."),
    "not an object": ([1], "no list 'train'"),
    "no test": ({"train": GOOD["train"]}, "no list 'test'"),
    "short entry": ({**GOOD, "test": [["a/2.jpg", 0]]}, "is not .path, label, class name."),
    "bool label": ({**GOOD, "test": [["a/2.jpg", True, "dog"]]}, "is not .path, label"),
    "empty": ({"train": [], "test": []}, "has none; labels must be 0"),
    "missing": (
        {**GOOD, "test": [["a/8.jpg", 0, "big_cat"], ["c/9.jpg", 1, "dog"]]},
        "names 4 images, of which 2 are not in .* the first is a/8.jpg",
    ),
    "two names": ({**GOOD, "test": [["a/2.jpg", 0, "dog"]]}, "gives label 0 to 'big_cat' and"),
    "two labels": (
        {"train": [["a/1.jpg", 0, "x"]], "test": [["a/2.jpg", 1, "x"]]},
        "several labels for the class 'x'",
    ),
    "two spellings": (
        {"train": [["a/1.jpg", 0, "x_y"]], "test": [["a/2.jpg", 1, "x y"]]},
        "two classes for the name 'x y'",
    ),
    "gap": (
        {"train": [["a/1.jpg", 0, "x"]], "test": [["a/2.jpg", 2, "y"]]},
        "2 labels from 0 to 2",
    ),
    "no test image": ({**GOOD, "test": GOOD["test"][:1]}, "no test image of 1 of 2.*'dog'"),
    "leak": (
        {**GOOD, "test": [*GOOD["test"], ["./a/1.jpg", 0, "big_cat"]]},
        "a/1.jpg is listed twice",
    ),
}
for word in ("../x.jpg", "a/../../x.jpg", "/etc/passwd", ".."):
    BAD[word] = ({**GOOD, "test": [*GOOD["test"], [word, 0, "big_cat"]]}, "leads out of data.root")


@pytest.mark.parametrize("content, message", BAD.values(), ids=BAD)
def test_faulty_split_file_is_refused(root, content, message):
    with pytest.raises(ValueError, match=f"data.root: .*{message}"):
        read_saved(root, content)


def test_drawn_split_has_half_a_fifth_and_the_rest(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        drawn = draw("toy", strata(a=20, b=7, c=2), COOP_SHARES, tmp_path)
    # Round half to even: 3.5 -> 4, and 7 - 4 - 1.
    assert [counts(drawn, name) for name in "abc"] == [[10, 4, 6], [4, 1, 2], [1, 0, 1]]
    assert "found no split" in caplog.text


def test_drawn_split_is_kept_in_coops_form_and_read_back(tmp_path, monkeypatch):
    first = draw("toy", strata(a=20, b=9), COOP_SHARES, tmp_path / "splits")
    [kept] = (tmp_path / "splits").iterdir()
    monkeypatch.setattr(split, "rng", None)  # a second draw would fail
    assert draw("toy", strata(a=20, b=9), COOP_SHARES, tmp_path / "splits") == first
    for entry in first:
        (tmp_path / "images" / entry.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / entry.path).touch()
    images = read_split(kept, tmp_path / "images", DataConfig())
    assert set(images.store.paths) == {e.path for e in first if e.part is not Part.val}


def test_drawn_split_is_the_same_on_another_machine(tmp_path):
    first, second = (
        draw("toy", strata(a=20), OWN_SHARES, tmp_path / place) for place in ("here", "there")
    )
    assert first == second


@pytest.mark.parametrize(
    "other", [strata(a=9), strata(b=8), [[e._replace(client="x") for e in strata(a=8)[0]]]]
)
def test_another_list_of_files_gets_another_split(tmp_path, other):
    draw("toy", strata(a=8), OWN_SHARES, tmp_path)
    draw("toy", other, OWN_SHARES, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_stratum_of_several_classes_spreads_its_test_images_over_them(tmp_path):
    [one, two] = strata(a=20, b=10)
    drawn = draw("toy", [one + two], OWN_SHARES, tmp_path)
    assert [counts(drawn, name) for name in "ab"] == [[14, 0, 6], [7, 0, 3]]
    assert [e.path for e in drawn if e.part is Part.test and e.name == "a"] != [
        f"a/{number:02}.jpg" for number in range(6)
    ]


def test_damaged_kept_split_is_named(tmp_path):
    draw("toy", strata(a=8), OWN_SHARES, tmp_path)
    [kept] = tmp_path.iterdir()
    for text in ("{", '{"train": [], "val": [], "test": []}'):
        kept.write_text(text)
        with pytest.raises(ValueError, match="clip.cache_folder: .*damaged.*delete that file"):
            draw("toy", strata(a=8), OWN_SHARES, tmp_path)


def test_cache_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="clip.cache_folder: cannot write"):
        draw("toy", strata(a=8), OWN_SHARES, tmp_path / "file" / "splits")


def test_interrupted_write_leaves_no_file(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(split, "os", SimpleNamespace(**{**vars(split.os), "replace": full}))
    with pytest.raises(ValueError, match="No space left"):
        draw("toy", strata(a=8), OWN_SHARES, tmp_path / "splits")
    assert list((tmp_path / "splits").iterdir()) == []
