"""The published sets' own lists, as they come out of a spreadsheet, a Mac or another machine."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from pfedmma_dist.data.sets.domains import DOMAINNET, OFFICE_CALTECH

SHAPES = {
    "back": lambda path, root: path.replace("/", "\\"),
    "dots": lambda path, root: f".//{path}",
    "absolute": lambda path, root: f"{root}/{path}",
    "upper": lambda path, root: path.upper(),
}


@pytest.fixture(params=SHAPES)
def shape(request, tmp_path):
    """Return a function that spells a path below a folder of the data otherwise."""
    return lambda path, home="": SHAPES[request.param](path, (tmp_path / "data" / home))


def test_split_of_coop_finds_the_same_images(touch, read_from, shape):
    root = touch(*(f"dtd/images/{c}/{c}_{i}.jpg" for c in ("dotted", "lined") for i in range(4)))

    def write(spell) -> None:
        parts = {
            part: [
                [spell(f"{c}/{c}_{i}.jpg", "dtd/images"), label, c]
                for label, c in enumerate(("dotted", "lined"))
                for i in numbers
            ]
            for part, numbers in {"train": (0, 1), "val": (2,), "test": (3,)}.items()
        }
        (root / "dtd" / "split_zhou_DescribableTextures.json").write_text(json.dumps(parts))

    write(lambda path, home: path)
    exact = read_from("dtd")
    write(shape)
    assert read_from("dtd").store.paths == exact.store.paths


def test_lists_of_fedbn_find_the_same_images(touch, read_from, shape):
    home, classes = "office_caltech_10", ("bike", "mug")

    def write(spell) -> None:
        for domain in OFFICE_CALTECH:
            for part, numbers in (("train", (0, 1)), ("test", (2,))):
                paths = [f"{home}/{domain}/{c}/{i}.jpg" for i in numbers for c in classes]
                root = touch(*paths)
                pair = ([spell(path) for path in paths], [*classes] * len(numbers))
                (root / home / f"{domain}_{part}.pkl").write_bytes(pickle.dumps(pair, 4))

    write(str)
    exact = read_from("office_caltech10")
    write(shape)
    images = read_from("office_caltech10")
    assert images.store.paths == exact.store.paths
    assert np.array_equal(images.labels, exact.labels)


def test_lists_of_domainnet_find_the_same_images(touch, read_from, shape):
    def write(spell) -> None:
        for domain in DOMAINNET:
            for part, numbers in (("train", (0, 1)), ("test", (2,))):
                paths = [f"{domain}/{c}/{i}.jpg" for c in ("ant", "bee") for i in numbers]
                root = touch(*(f"DomainNet/{path}" for path in paths))
                label = {"ant": 0, "bee": 1}
                lines = [f"{spell(p, 'DomainNet')} {label[p.split('/')[1]]}" for p in paths]
                (root / "DomainNet" / f"{domain}_{part}.txt").write_text("\n".join(lines))

    write(lambda path, home: path)
    exact = read_from("domainnet345")
    write(shape)
    images = read_from("domainnet345")
    assert images.store.paths == exact.store.paths
    assert [name.lower() for name in images.class_names] == list(exact.class_names)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_official_lists_may_begin_with_a_mark_of_their_encoding(touch, read_from, encoding):
    root = touch(*(f"fgvc_aircraft/images/{i}.jpg" for i in range(6)))
    home = root / "fgvc_aircraft"
    (home / "variants.txt").write_text("707-320\n", encoding)
    for part, numbers in (("train", (0, 1)), ("val", (2, 3)), ("test", (4, 5))):
        lines = "\n".join(f"{i} 707-320" for i in numbers)
        (home / f"images_variant_{part}.txt").write_text(lines, encoding)
    assert read_from("fgvc_aircraft").class_names == ("707-320",)


def test_lists_of_sun397_and_ucf101_may_have_backslashes(tmp_path, touch, read_from):
    scenes = [f"a/apse/indoor/sun_{i}.jpg" for i in range(10)]
    touch(*(f"SUN397/SUN397/{path}" for path in scenes))
    videos = [f"YoYo/v_YoYo_g{i:02}_c01" for i in range(10)]
    touch(*(f"ucf101/UCF-101-midframes/Yo_Yo/{video[5:]}.jpg" for video in videos))
    lists = {
        "SUN397/ClassName": ["/a/apse/indoor"],
        "SUN397/Training_01": ["\\" + path.replace("/", "\\") for path in scenes[::2]],
        "SUN397/Testing_01": [f"/{path}" for path in scenes[1::2]],
        "ucf101/ucfTrainTestlist/classInd": ["1 YoYo"],
        "ucf101/ucfTrainTestlist/trainlist01": [f"{v[:4]}\\{v[5:]}.avi 1" for v in videos[::2]],
        "ucf101/ucfTrainTestlist/testlist01": [f"./{video}.avi" for video in videos[1::2]],
    }
    for name, lines in lists.items():
        file = tmp_path / "data" / f"{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(lines))
    for name, title, paths in (
        ("sun397", "indoor apse", scenes),
        ("ucf101", "Yo Yo", [f"Yo_Yo/{video[5:]}.jpg" for video in videos]),
    ):
        images = read_from(name)
        assert images.class_names == (title,)
        assert {images.store.paths[row] for row in images.test} == {*paths[1::2]}
        assert {images.store.paths[row] for row in images.train} < {*paths[::2]}


def test_folder_of_the_data_may_be_given_as_a_link(tmp_path, touch, read_from):
    root = touch("a/1.jpg", "a/2.jpg")
    (tmp_path / "link").symlink_to(root)
    file = Path(tmp_path / "list.csv")
    for given, written in (("link", "data"), ("data", "link"), ("x/../data", "data")):
        (tmp_path / "x").mkdir(exist_ok=True)
        rows = [f"{tmp_path}/{written}/a/{i}.jpg,cat,{p}" for i, p in ((1, "train"), (2, "test"))]
        file.write_text("\n".join(["path,class,split", *rows]))
        images = read_from("folder", root=str(tmp_path / given), list=str(file))
        assert images.store.paths == ("a/1.jpg", "a/2.jpg")
