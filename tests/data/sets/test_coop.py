import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.io import savemat

from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets.coop import SETS


def in_test(images: Images) -> set[str]:
    return {images.store.paths[row] for row in images.test}


def names_of(images: Images) -> dict[str, str]:
    """Return the class name of each image by path."""
    names = (images.class_names[label] for label in images.labels)
    return dict(zip(images.store.paths, names, strict=True))


@pytest.fixture
def lists(tmp_path, touch):
    """Return a function that writes official lists below the data root."""

    def write(home: str, **texts: str) -> None:
        for name, text in texts.items():
            file = tmp_path / "data" / home / f"{name}.txt"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    return write


@pytest.mark.parametrize("name", SETS)
def test_published_split_is_used_in_every_spelling_of_the_folder(tmp_path, touch, read_from, name):
    kind = SETS[name]
    for home in kind.homes:
        for path in ("x/1.jpg", "x/2.jpg", "y/1.jpg", "y/2.jpg"):
            touch(f"{home}/{kind.images}/{path}")
        halves = {
            part: [[f"{folder}/{i}.jpg", 1 - (folder == "y"), folder] for folder in "xy"]
            for part, i in (("train", 1), ("test", 2))
        }
        file = tmp_path / "data" / home / f"split_zhou_{kind.split}.json"
        file.write_text(json.dumps(halves))
        images = read_from(name)
        assert images.class_names == ("y", "x")
        assert images.place == str(tmp_path / "data" / home / kind.images)
        assert in_test(images) == {"x/2.jpg", "y/2.jpg"}
        file.unlink()
        (tmp_path / "data" / home).rename(tmp_path / "away")
        (tmp_path / "away").rename(tmp_path / f"was {home}")


@pytest.fixture
def caltech(touch):
    """Return a root with Caltech's special folders, ten files each."""
    folders = ("Faces", "Faces_easy", "BACKGROUND_Google", "airplanes", "sea_horse", "Leopards")
    home = "caltech-101/101_ObjectCategories"
    return touch(*(f"{home}/{name}/image_{i:04}.jpg" for name in folders for i in range(10)))


def test_caltech_drops_two_folders_and_renames_after_sorting(caltech, read_from):
    images = read_from("caltech101")
    assert images.class_names == ("face", "leopard", "airplane", "sea horse")
    assert len(images.train) == 4 * 5
    assert len(images.test) == 4 * 3
    assert images.store.paths[0].startswith("Faces/")


def test_set_without_its_split_file_leaves_the_data_folder_as_it_was(caltech, read_from, caplog):
    before = sorted(caltech.rglob("*"))
    read_from("caltech101")
    assert sorted(caltech.rglob("*")) == before
    assert len(list((caltech.parent / "cache" / "splits").iterdir())) == 1
    assert "caltech101: found no split, neither published nor in folders" in caplog.text


def test_readers_at_the_same_time_agree_and_leave_one_file(caltech, read_from):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: read_from("caltech101").store.paths, range(16)))
    assert len(set(found)) == 1
    assert len(list((caltech.parent / "cache" / "splits").iterdir())) == 1


@pytest.mark.parametrize(
    "name, folder, title",
    [
        ("eurosat", "eurosat/2750/SeaLake", "Sea or Lake"),
        ("eurosat", "eurosat/2750/Forest", "Forest"),
        ("dtd", "dtd/images/banded", "banded"),
        ("food101", "food-101/images/apple_pie", "apple pie"),
    ],
)
def test_class_folders_become_names(touch, read_from, name, folder, title):
    touch(*(f"{folder}/{i}.jpg" for i in range(10)))
    images = read_from(name)
    assert images.class_names == (title,)
    assert (len(images.train), len(images.test)) == (5, 3)


def test_pets_come_from_their_annotations(touch, lists, read_from):
    cats, dogs = ([f"{name}_{i}" for i in range(1, 11)] for name in ("Sphynx", "english_setter"))
    touch(*(f"oxford_pets/images/{name}.jpg" for name in cats + dogs))
    trainval = "".join(f"{name} 1 1 1\n" for name in cats[:5] + dogs[:5])
    test = "# a comment\n" + "".join(f"{name} 1 1 1\n" for name in cats[5:] + dogs[5:])
    lists("oxford_pets/annotations", trainval=trainval, test=test)
    images = read_from("oxford_pets")
    assert images.class_names == ("english setter", "sphynx")
    assert in_test(images) == {f"{name}.jpg" for name in cats[5:] + dogs[5:]}
    assert np.bincount(images.labels[images.train]).tolist() == [4, 4]


def test_sun397_comes_from_its_lists_with_the_innermost_word_first(touch, lists, read_from):
    scenes = ("a/abbey", "a/apse/indoor")
    paths = [f"{scene}/sun_{i}.jpg" for scene in scenes for i in range(10)]
    touch(*(f"SUN397/SUN397/{path}" for path in paths))
    lists(
        "SUN397",
        ClassName="/a/abbey\n/a/apse/indoor\n",
        Training_01="".join(f"/{path}\n" for path in paths[::2]),
        Testing_01="".join(f"/{path}\n" for path in paths[1::2]),
    )
    images = read_from("sun397")
    assert images.class_names == ("abbey", "indoor apse")
    assert in_test(images) == set(paths[1::2])
    assert len(images.train) == 8
    assert names_of(images)["a/apse/indoor/sun_1.jpg"] == "indoor apse"


def test_ucf101_comes_from_its_lists_of_videos(touch, lists, read_from):
    actions = {"YoYo": "Yo_Yo", "HandstandPushups": "Handstand_Pushups"}
    videos = [f"{action}/v_{action}_g{i:02}_c01" for action in actions for i in range(10)]
    for video in videos:
        action, _, stem = video.partition("/")
        touch(f"ucf101/UCF-101-midframes/{actions[action]}/{stem}.jpg")
    lists(
        "ucf101/ucfTrainTestlist",
        classInd="1 YoYo\n2 HandStandPushups\n",
        trainlist01="".join(f"{video}.avi 1\n" for video in videos[::2]),
        testlist01="".join(f"{video}.avi\n" for video in videos[1::2]),
    )
    images = read_from("ucf101")
    assert images.class_names == ("Yo Yo", "Handstand Pushups")
    assert len(images.train) == 8
    assert "Yo_Yo/v_YoYo_g01_c01.jpg" in in_test(images)


def test_aircraft_has_an_official_split_and_warns_of_none(touch, lists, read_from, caplog):
    touch(*(f"fgvc_aircraft/images/{i}.jpg" for i in range(6)))
    lists(
        "fgvc_aircraft",
        variants="707-320\nF/A-18\n",
        images_variant_train="0 707-320\n1 F/A-18\n",
        images_variant_val="2 707-320\n3 F/A-18\n",
        images_variant_test="4 707-320\n5 F/A-18\n",
    )
    images = read_from("fgvc_aircraft")
    assert images.class_names == ("707-320", "F/A-18")
    assert images.store.paths == ("0.jpg", "1.jpg", "4.jpg", "5.jpg")
    assert caplog.text == ""


@pytest.fixture
def flowers(tmp_path, touch):
    """Twenty flowers of two kinds, the second kind first."""
    touch(*(f"oxford_flowers/jpg/image_{place:05}.jpg" for place in range(1, 21)))
    home = tmp_path / "data" / "oxford_flowers"
    savemat(home / "imagelabels.mat", {"labels": np.array([[2, 1] * 10], np.uint8)})
    (home / "cat_to_name.json").write_text('{"2": "sword lily", "1": "pink primrose"}')
    return home


def test_flowers_are_split_by_the_labels_of_the_matlab_file(flowers, read_from, caplog):
    images = read_from("oxford_flowers")
    assert images.class_names == ("pink primrose", "sword lily")
    found = names_of(images)
    odd = {found[path] for path in found if int(path[6:11]) % 2}
    assert odd == {"sword lily"}
    assert np.bincount(images.labels[images.train]).tolist() == [5, 5]
    assert np.bincount(images.labels[images.test]).tolist() == [3, 3]
    assert "found no split" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("imagelabels.mat", None, "neither .*split_zhou_OxfordFlowers.json.*imagelabels.mat can"),
        ("imagelabels.mat", b"not of MATLAB", "imagelabels.mat holds no 'labels' that can be read"),
        ("cat_to_name.json", b'{"1": "pink primrose"}', "image_00001.jpg is of class 2, not in"),
        ("cat_to_name.json", b"[" * 100_000, "no JSON of numbers and names .nested too deep"),
        ("cat_to_name.json", b"[1]", "cat_to_name.json is no JSON of numbers and names"),
        ("jpg/image_00020.jpg", None, "1 are not in .*image_00020.jpg"),
    ],
)
def test_faulty_labels_of_flowers_are_told(flowers, read_from, name, content, told):
    (flowers / name).unlink()
    if content is not None:
        (flowers / name).write_bytes(content)
    with pytest.raises(ValueError, match=told):
        read_from("oxford_flowers")


def test_flowers_without_scipy_say_what_to_install(flowers, read_from, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(ValueError, match="pip install scipy, or put the split file"):
        read_from("oxford_flowers")


@pytest.mark.parametrize("name", ["stanford_cars"])
def test_set_that_needs_its_split_file_says_which_and_where(tmp_path, touch, read_from, name):
    kind = SETS[name]
    touch(f"{kind.homes[0]}/{kind.images}/1.jpg")
    path = tmp_path / "data" / kind.homes[0] / f"split_zhou_{kind.split}.json"
    with pytest.raises(ValueError, match=f"data.root: {path} is missing; .*DATASETS.md"):
        read_from(name)


FAULTY = {
    "short line": ("Sphynx_2 1\n", "trainval.txt, line 1: 'Sphynx_2 1' is too short"),
    "no image": ("Sphynx_2 1 1 1\nSphynx_3 1 1 1\n", "1 are not in .*Sphynx_3.jpg .*line 2"),
    "escape": ("../../x_1 1 1 1\n", "trainval.txt, line 1: .* leads out"),
    "leak": ("Sphynx_1 1 1 1\n", "Sphynx_1.jpg is listed twice, at .*trainval.txt, line 1"),
    "class": ("other_1 1 1 1\n", "test.txt, line 1: Sphynx_1.jpg is of no known class"),
}


@pytest.mark.parametrize("text, message", FAULTY.values(), ids=FAULTY)
def test_faulty_official_list_is_refused_with_its_line(touch, lists, read_from, text, message):
    root = touch(*(f"oxford_pets/images/{name}_1.jpg" for name in ("Sphynx", "other")))
    touch("oxford_pets/images/Sphynx_2.jpg")
    lists("oxford_pets/annotations", trainval=text, test="Sphynx_1 1 1 1\n")
    with pytest.raises(ValueError, match=f"data.root: .*{message}"):
        read_from("oxford_pets")
    assert not (root.parent / "cache").exists()


def test_missing_official_list_names_it_and_the_split_file(touch, read_from):
    touch("oxford_pets/images/Abyssinian_1.jpg")
    with pytest.raises(ValueError, match="split_zhou_OxfordPets.json.*annotations/trainval.txt"):
        read_from("oxford_pets")
