import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from pfedmma_dist.build import assemble, attach_features
from pfedmma_dist.clip.model import FINAL
from pfedmma_dist.config.command_line import read
from pfedmma_dist.config.keys import Statistics
from pfedmma_dist.data.sets.cifar import CIFAR10, CIFAR100, Cifar
from pfedmma_dist.data.sets.registry import SOURCES
from pfedmma_dist.methods import METHODS
from pfedmma_dist.world import World

PER_FILE = 12
TINY_CLIP = Path(__file__).parents[2] / "tiny_clip.json"


def make(folder: Path, kind: Cifar, num_classes: int) -> np.ndarray:
    """Write tiny files of a CIFAR's form; return all pixels as [n, 32, 32, 3]."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    pixels = []
    for file in (*kind.train, *kind.test):
        own = draw.integers(0, 256, (PER_FILE, 32, 32, 3), dtype=np.uint8)
        pixels.append(own)
        labels = [i % num_classes for i in range(PER_FILE)]
        content = {"data": own.transpose(0, 3, 1, 2).reshape(PER_FILE, -1), kind.labels: labels}
        if kind.superclasses:
            content[kind.superclasses] = [label // 2 for label in labels]
        (folder / file).write_bytes(pickle.dumps(content, 2))
    names = {kind.names: [f"kind_{i}" for i in range(num_classes)]}
    (folder / kind.meta).write_bytes(pickle.dumps(names, 2))
    return np.concatenate(pixels)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_cifar10_rows_are_the_files_in_their_order(root, read_from):
    pixels = make(root / CIFAR10.home / CIFAR10.folder, CIFAR10, 4)
    images = read_from("cifar10")
    assert images.class_names == ("kind 0", "kind 1", "kind 2", "kind 3")
    assert images.train.tolist() == list(range(5 * PER_FILE))
    assert images.test.tolist() == list(range(5 * PER_FILE, 6 * PER_FILE))
    assert images.labels.tolist() == [i % 4 for i in range(6 * PER_FILE)]
    rows = np.array([61, 3])
    for image, row in zip(images.store.open(rows), rows, strict=True):
        assert np.array_equal(image, pixels[row])
    assert images.superclasses is images.scaling is None


def test_cifar100_has_superclasses_and_may_lie_in_the_root_itself(root, read_from):
    make(root / CIFAR100.folder, CIFAR100, 6)
    images = read_from("cifar100")
    assert images.superclasses.tolist() == [0, 0, 1, 1, 2, 2]
    assert (len(images.train), len(images.test)) == (PER_FILE, PER_FILE)


def test_chosen_classes_leave_other_rows_out(root, read_from):
    make(root / CIFAR100.folder, CIFAR100, 6)
    images = read_from("cifar100", classes=["kind_1", "kind_4"])
    assert images.class_names == ("kind 1", "kind 4")
    assert images.superclasses.tolist() == [0, 1]
    assert images.train.tolist() == [1, 4, 7, 10]
    assert images.labels[images.train].tolist() == [0, 1, 0, 1]
    assert images.test.tolist() == [13, 16, 19, 22]


def test_statistics_of_its_own_replace_clips(root, read_from):
    make(root / CIFAR10.folder, CIFAR10, 4)
    images = read_from("cifar10", statistics=Statistics.own)
    assert images.scaling.mean == (0.4914, 0.4822, 0.4465)


@contextmanager
def silent(title: str, total: int) -> Iterator[Callable[[int], None]]:
    yield lambda done: None


def test_statistics_of_its_own_reach_the_features_past_those_kept_for_clips(root, tmp_path):
    make(root / CIFAR10.folder, CIFAR10, 4)

    def features(*words: str) -> torch.Tensor:
        words = (
            *("data.name=cifar10", f"data.root={root}", "data.task=label_shift", "clip.cache=disk"),
            *(f"clip.model={TINY_CLIP}", "clip.pretrained=null", f"clip.cache_folder={tmp_path}"),
            *("data.num_clients=2", "method.name=zero_shot", *words),
        )
        cfg = read(words, methods=METHODS, sources=SOURCES)
        cfg.federation.cohort_size, cfg.federation.num_shards = 1, 8
        cfg.federation.first_round_all = False
        federation = assemble(cfg, World.alone())
        attach_features(federation, silent, training=False)
        rows = federation.task.images.test[:3]
        return federation.sources.test.rows(FINAL, (rows, np.zeros_like(rows)))

    clips = features()
    assert torch.equal(features(), clips)
    assert not torch.allclose(features("data.statistics=own"), clips, atol=1e-3)


def test_content_follows_the_pixels_of_the_rows(root, read_from):
    make(root / CIFAR10.folder, CIFAR10, 4)
    store, other = read_from("cifar10").store, read_from("cifar10").store
    rows = np.arange(5)
    before = store.inspect(rows)
    assert before.unreadable == []
    assert np.array_equal(other.inspect(rows[::-1]).content, before.content[::-1])
    other.pixels[4, 0, 0, 0] ^= 1
    same = (other.inspect(rows).content == before.content).all(axis=1)
    assert same.tolist() == [True, True, True, True, False]
    assert store.name(3) == f"image 3 of {root / CIFAR10.folder}"


def drop_bytes(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def change(**keys: object):
    def edit(file: Path) -> None:
        file.write_bytes(pickle.dumps({**pickle.loads(file.read_bytes()), **keys}))

    return edit


BAD = {
    "cut": ("data_batch_3", drop_bytes, "data_batch_3 is truncated or no pickle"),
    "empty": ("test_batch", lambda file: file.write_bytes(b""), "test_batch is truncated"),
    "gone": ("data_batch_2", Path.unlink, "cannot read .*data_batch_2: No such file"),
    "names": ("batches.meta", change(label_names=3), "batches.meta has no list 'label_names'"),
    "few labels": ("data_batch_1", change(labels=[1]), "data_batch_1 does not hold 3072 bytes"),
    "label": ("data_batch_1", change(labels=[9] * PER_FILE), "one label .'labels', 0 to 3"),
    "huge label": ("data_batch_1", change(labels=[2**70] * PER_FILE), "a number of 71 bits"),
    "no data": ("data_batch_1", change(data="x"), "data_batch_1 does not hold 3072 bytes"),
    "floats": ("data_batch_1", change(data=np.zeros((PER_FILE, 3072))), "does not hold"),
    "no batch": ("test_batch", lambda file: file.write_bytes(pickle.dumps([1])), "no CIFAR batch"),
}


@pytest.mark.parametrize("file, damage, message", BAD.values(), ids=BAD)
def test_damaged_file_is_named(root, read_from, file, damage, message):
    make(root / CIFAR10.folder, CIFAR10, 4)
    damage(root / CIFAR10.folder / file)
    with pytest.raises(ValueError, match=f"data.root: .*{message}"):
        read_from("cifar10")


def test_missing_folder_says_where_it_is_looked_for(root, read_from):
    with pytest.raises(ValueError, match="cifar-10/cifar-10-batches-py nor .*what torchvision"):
        read_from("cifar10")
