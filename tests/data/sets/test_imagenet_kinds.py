import numpy as np
import pytest

from pfedmma_dist.config.keys import Config, DataConfig
from pfedmma_dist.data.sets.imagenet_kinds import KINDS
from pfedmma_dist.divided import divide

FOLDERS = ("n01440764", "n01443537", "n01484850")
TITLES = ("tench", "goldfish", "great white shark")
NAMES = "".join(f"{folder} {title}\n" for folder, title in zip(FOLDERS, TITLES, strict=True))


def made(touch, name, folders):
    kind = KINDS[name]
    data = touch(
        *(f"{kind.home}/{kind.images}/{folder}/{n}.JPEG" for folder in folders for n in "ab")
    )
    (data / kind.home / "classnames.txt").write_text(NAMES)


@pytest.mark.parametrize("name", KINDS)
def test_classes_have_imagenets_names_and_order_and_images_for_testing_alone(
    touch, read_from, name
):
    made(touch, name, ("0", "1", "2") if KINDS[name].numbered else FOLDERS)
    images = read_from(name)
    assert images.class_names == TITLES
    assert (len(images.train), images.labels[images.test].tolist()) == (0, [0, 0, 1, 1, 2, 2])


def test_kind_of_some_classes_has_these(touch, read_from):
    made(touch, "imagenet_a", FOLDERS[1:])
    assert read_from("imagenet_a").class_names == TITLES[1:]


def test_folder_without_a_name_is_refused(touch, read_from):
    made(touch, "imagenet_v2", ("0", "3"))
    with pytest.raises(ValueError, match="classnames.txt has no name for 3, a folder of"):
        read_from("imagenet_v2")


def test_nobody_can_train_on_them(touch, read_from):
    made(touch, "imagenet_r", FOLDERS)
    with pytest.raises(
        ValueError, match="data.name: imagenet_r has no training image in .*evaluate"
    ):
        divide(Config(data=DataConfig(name="imagenet_r")), [read_from("imagenet_r")])


def test_numbers_of_classes_are_places_in_the_list(touch, read_from):
    made(touch, "imagenet_v2", ("2", "0"))
    images = read_from("imagenet_v2")
    assert images.class_names == ("tench", "great white shark")
    paths = [images.store.paths[row].split("/")[0] for row in images.test]
    assert np.array_equal(paths, ["0", "0", "2", "2"])
