import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pfedmma_dist.config import DataConfig
from pfedmma_dist.data.images import Images
from pfedmma_dist.data.sources import read


def touch(root: Path, *paths: str) -> Path:
    """Make empty files: listing a data set must not open them."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def read_from(root: Path, name: str) -> Images:
    return read(DataConfig(name=name, root=str(root)), 0, root.parent / "cache")


@pytest.fixture
def caltech(tmp_path: Path) -> Path:
    """Return a root with Caltech's special folders, ten files each."""
    folders = ("Faces", "Faces_easy", "BACKGROUND_Google", "airplanes", "sea_horse", "Leopards")
    home = "caltech-101/101_ObjectCategories"
    return touch(
        tmp_path / "data",
        *(f"{home}/{folder}/image_{i:04}.jpg" for folder in folders for i in range(10)),
    )


def test_unknown_name_lists_the_known_ones_and_the_nearest(tmp_path):
    known = "caltech101, folder, glyphs"
    with pytest.raises(ValueError, match=f"data.name.*{known}; did you mean 'caltech101'"):
        read_from(tmp_path, "caltech-101")


@pytest.mark.parametrize("name", ["caltech101", "folder"])
def test_missing_folder_names_key_path_and_layout(tmp_path, name):
    with pytest.raises(ValueError, match=f"data.root: {tmp_path}/none.*{name} expects .*<class>/"):
        read_from(tmp_path / "none", name)


def test_caltech_drops_two_folders_and_renames_after_sorting(caltech):
    images = read_from(caltech, "caltech101")
    assert images.class_names == ("face", "leopard", "airplane", "sea horse")
    assert len(images.train) == 4 * 5
    assert len(images.test) == 4 * 3
    assert images.store.paths[0].startswith("Faces/")


def test_caltech_without_its_split_file_leaves_the_data_folder_as_it_was(caltech):
    before = sorted(caltech.rglob("*"))
    read_from(caltech, "caltech101")
    assert sorted(caltech.rglob("*")) == before
    assert len(list((caltech.parent / "cache" / "splits").iterdir())) == 1


def test_caltech_uses_the_published_split_where_present(caltech, caplog):
    entries = [["sea_horse/image_0001.jpg", 0, "sea_horse"], ["Faces/image_0001.jpg", 1, "face"]]
    others = [["sea_horse/image_0002.jpg", 0, "sea_horse"], ["Faces/image_0002.jpg", 1, "face"]]
    file = caltech / "caltech-101" / "split_zhou_Caltech101.json"
    file.write_text(json.dumps({"train": entries, "val": [], "test": others}))
    images = read_from(caltech, "caltech101")
    assert images.class_names == ("sea horse", "face")
    assert images.store.paths[0] == "sea_horse/image_0001.jpg"
    assert caplog.text == ""
    assert not (caltech.parent / "cache").exists()


def test_readers_at_the_same_time_agree_and_leave_one_file(caltech):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: read_from(caltech, "caltech101").store.paths, range(16)))
    assert len(set(found)) == 1
    assert len(list((caltech.parent / "cache" / "splits").iterdir())) == 1


def test_folder_ignores_hidden_and_foreign_files(tmp_path):
    root = touch(
        tmp_path / "data",
        *("train/b_c/2.JPG", "train/b_c/1.png", "train/a/1.webp", "test/a/1.jpg", "test/b_c/1.bmp"),
        *("train/a/.hidden.jpg", "train/a/._1.jpg", "train/a/notes.txt", "train/readme.jpg"),
        *("train/.cache/1.jpg", "train/a/deep/1.jpg"),
    )
    images = read_from(root, "folder")
    assert images.class_names == ("a", "b c")
    expected = ["train/a/1.webp", "train/b_c/1.png", "train/b_c/2.JPG"]
    assert [images.store.paths[row] for row in images.train] == expected
    assert [images.store.paths[row] for row in images.test] == ["test/a/1.jpg", "test/b_c/1.bmp"]
    assert images.labels.tolist() == [0, 1, 1, 0, 1]


@pytest.mark.parametrize("lonely, message", [("train", "in train but"), ("test", "in test but")])
def test_class_of_one_half_only_is_refused(tmp_path, lonely, message):
    root = touch(tmp_path / "data", "train/a/1.jpg", "test/a/1.jpg", f"{lonely}/b/1.jpg")
    with pytest.raises(ValueError, match=f"data.root: 1 classes .*'b', {message}"):
        read_from(root, "folder")


def test_class_without_images_is_refused(tmp_path):
    root = touch(tmp_path / "data", "train/a/1.txt", "test/a/1.jpg")
    with pytest.raises(ValueError, match="data.root: .*train/a holds no image; data.name=folder"):
        read_from(root, "folder")


def test_root_without_classes_is_refused(tmp_path):
    root = touch(tmp_path / "data", "train/1.jpg", "test/1.jpg")
    with pytest.raises(ValueError, match="data.root: .*train holds no class folder"):
        read_from(root, "folder")


def test_home_is_expanded_in_the_root(tmp_path, monkeypatch):
    touch(tmp_path, "sets/train/a/1.jpg", "sets/test/a/1.jpg")
    monkeypatch.setenv("HOME", str(tmp_path))
    cfg = DataConfig(name="folder", root="~/sets")
    assert read(cfg, 0, Path("~/cache")).place == str(tmp_path / "sets")
