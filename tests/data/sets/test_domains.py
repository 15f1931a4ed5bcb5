import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pfedmma_dist.data.images.images import Images
from pfedmma_dist.data.sets.domains import DOMAINNET, OFFICE_CALTECH

CLASSES = ("whale", "bird", "ice_cream")  # on purpose not sorted
Edit = Callable[[list[str], list[str]], object]


def assert_paired(images: Images) -> None:
    """Every row's domain and class are those in its path."""
    for row, path in enumerate(images.store.paths):
        domain, name = path.split("/")[-3:-1]
        assert images.domain_names[images.domains[row]] == domain
        assert images.class_names[images.labels[row]] == name.replace("_", " ")


@pytest.fixture
def fedbn(touch):
    """Return a function that makes a set in FedBN's layout; `edit` changes the last list."""

    def make(home: str, domains: tuple[str, ...], edit: Edit = lambda *pair: pair) -> Path:
        for domain in domains:
            for part, numbers in (("train", (0, 1, 2)), ("test", (3,))):
                paths = [f"{home}/{domain}/{c}/{i}.jpg" for i in numbers for c in CLASSES]
                names = [c for _ in numbers for c in CLASSES]
                root = touch(*paths)
                pair = (np.array(paths, object), np.array(names))
                if (domain, part) == (domains[-1], "test"):
                    pair = edit(paths, names)
                (root / home / f"{domain}_{part}.pkl").write_bytes(pickle.dumps(pair, 4))
        return root

    return make


@pytest.mark.parametrize(
    "name, home, domains",
    [
        ("domainnet", "DomainNet", DOMAINNET),
        ("office_caltech10", "office_caltech_10", OFFICE_CALTECH),
    ],
)
def test_fedbn_lists_keep_labels_with_their_images(fedbn, read_from, name, home, domains):
    fedbn(home, domains)
    images = read_from(name)
    assert images.class_names == ("bird", "ice cream", "whale")
    assert images.domain_names == domains
    assert len(images.train) == 9 * len(domains)
    assert len(images.test) == 3 * len(domains)
    assert_paired(images)


class Attack:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (self.command,)


def test_malicious_list_is_refused_before_it_runs(tmp_path, fedbn, read_from):
    mark = tmp_path / "mark"
    fedbn("DomainNet", DOMAINNET, lambda p, c: (p, [Attack(f"touch {mark}")]))
    with pytest.raises(ValueError, match="sketch_test.pkl asks to run posix.system"):
        read_from("domainnet")
    assert not mark.exists()


BAD = {
    "no pair": (lambda p, c: (p,), "sketch_test.pkl is not a pair"),
    "number": (lambda p, c: 3, "sketch_test.pkl is not a pair"),
    "lengths": (lambda p, c: (p, c[1:]), "sketch_test.pkl has 3 paths for 2 class names"),
    "no text": (lambda p, c: (p, [1, *c[1:]]), "item 0 is .* of class 1, not two texts"),
    "missing": (lambda p, c: (["x/y.jpg", *p[1:]], c), "1 are not in .*x/y.jpg .*sketch_test.pkl"),
    "escape": (lambda p, c: (["../y.jpg", *p[1:]], c), "sketch_test.pkl: .* leads out"),
    "twice": (lambda p, c: ([p[1], *p[1:]], c), "is listed twice, at .*sketch_test.pkl"),
}


@pytest.mark.parametrize("edit, message", BAD.values(), ids=BAD)
def test_faulty_fedbn_list_is_refused(fedbn, read_from, edit, message):
    fedbn("DomainNet", DOMAINNET, edit)
    with pytest.raises(ValueError, match=f"data.root: .*{message}"):
        read_from("domainnet")


def test_missing_fedbn_list_points_to_the_official_ones(touch, read_from):
    touch("DomainNet/clipart/bird/1.jpg")
    with pytest.raises(ValueError, match="clipart_train.pkl is missing; .*name=domainnet345"):
        read_from("domainnet")


@pytest.fixture
def official(touch):
    """Return a function that makes DomainNet with its own lists; `extra` ends the last one."""

    def make(extra: str = "") -> None:
        for domain in DOMAINNET:
            for part in ("train", "test"):
                paths = [f"{domain}/{c}/{domain}_{i}_{part}.jpg" for c in CLASSES for i in range(2)]
                root = touch(*(f"DomainNet/{path}" for path in paths))
                lines = [f"{path} {CLASSES.index(path.split('/')[1])}\n" for path in paths]
                (root / "DomainNet" / f"{domain}_{part}.txt").write_text("".join(lines))
        with open(root / "DomainNet" / "sketch_test.txt", "a") as file:
            file.write(extra)

    return make


def test_official_lists_give_all_classes_or_the_chosen(official, read_from):
    official("\n")
    images = read_from("domainnet345")
    assert images.class_names == ("bird", "ice cream", "whale")
    assert (len(images.train), len(images.test)) == (36, 36)
    assert_paired(images)
    chosen = read_from("domainnet345", classes=["whale", "bird"])
    assert chosen.class_names == ("bird", "whale")
    assert len(chosen) == 48
    assert_paired(chosen)


OFFICIAL = {
    "form": ("sketch/bird.jpg 0\n", "line 7: .* is not `sketch/<class>/<file> label`"),
    "domain": ("real/bird/1.jpg 1\n", "line 7: .* is not `sketch/<class>/<file> label`"),
    "label": ("sketch/bird/9.jpg 0\n", "line 7: sketch/bird/9.jpg has label 0, .*'bird' have 1"),
    "no label": ("sketch/bird/9.jpg\n", "line 7: .* is not"),
    "missing": ("sketch/bird/9.jpg 1\n", "1 are not in .*sketch/bird/9.jpg .*_test.txt, line 7"),
    "twice": ("sketch/bird/sketch_0_train.jpg 1\n", "listed twice, at .*train.txt, line 3 as"),
}


@pytest.mark.parametrize("extra, message", OFFICIAL.values(), ids=OFFICIAL)
def test_faulty_official_list_is_refused_with_its_line(official, read_from, extra, message):
    official(extra)
    with pytest.raises(ValueError, match=f"data.root: .*{message}"):
        read_from("domainnet345")


@pytest.mark.parametrize(
    "name, home, domains, last",
    [
        ("pacs", "PACS", ("art_painting", "cartoon", "photo", "sketch"), "sketch"),
        ("office_home", "OfficeHome", ("Art", "Clipart", "Product", "RealWorld"), "Real World"),
    ],
)
def test_domain_folders_are_split_by_a_seed(touch, read_from, name, home, domains, last):
    touch(*(f"{home}/{d}/{c}/{i}.jpg" for d in domains for c in CLASSES for i in range(10)))
    touch(f"{home}/splits/readme/1.txt")
    images = read_from(name)
    assert images.domain_names == (*domains[:-1], last)
    assert images.class_names == ("bird", "ice cream", "whale")
    pairs = images.domains * 3 + images.labels
    assert np.bincount(pairs[images.train]).tolist() == [7] * 12
    assert np.bincount(pairs[images.test]).tolist() == [3] * 12


def test_missing_domain_folder_is_named(touch, read_from):
    touch("pacs/photo/dog/1.jpg")
    with pytest.raises(ValueError, match="pacs/art_painting is not a folder; data.name=pacs exp"):
        read_from("pacs")
