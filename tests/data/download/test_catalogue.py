"""The table of origins agrees with torchvision, and no data set that lies in files lacks one."""

import inspect
from pathlib import Path

import pytest
from torchvision import datasets

from pfedmma_dist.data.download.catalogue import ORIGINS
from pfedmma_dist.data.download.parts import guide
from pfedmma_dist.data.sets.registry import SOURCES

THEIRS = {
    "caltech101": datasets.Caltech101,
    "oxford_pets": datasets.OxfordIIITPet,
    "oxford_flowers": datasets.Flowers102,
    "food101": datasets.Food101,
    "dtd": datasets.DTD,
    "sun397": datasets.SUN397,
    "eurosat": datasets.EuroSAT,
    "fgvc_aircraft": datasets.FGVCAircraft,
    "cifar10": datasets.CIFAR10,
    "cifar100": datasets.CIFAR100,
}
OWN = {"folder", "glyphs"}
"""Sources of images that nobody publishes."""


def test_every_published_data_set_has_an_origin() -> None:
    assert SOURCES.keys() - OWN <= ORIGINS.keys()


def test_what_torchvision_downloads_is_what_we_download() -> None:
    assert {name for name, origin in ORIGINS.items() if origin.archives} == THEIRS.keys()


def test_each_of_fedbns_lists_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "DomainNet").mkdir()
    (tmp_path / "DomainNet" / "real_train.pkl").touch()
    told = guide(tmp_path, "domainnet", ORIGINS["domainnet"])
    assert "  MISSING  DomainNet/: clipart_train.pkl, clipart_test.pkl" in told
    assert "  there    DomainNet/real_train.pkl" in told


@pytest.mark.parametrize("name", THEIRS)
def test_archives_and_checksums_are_torchvisions(name: str) -> None:
    source = inspect.getsource(THEIRS[name])
    for archive in ORIGINS[name].archives:
        assert archive.name in source
        assert archive.md5 is None or archive.md5 in source


def test_every_piece_has_one_place_below_the_root() -> None:
    for origin in ORIGINS.values():
        places = [place for archive in origin.archives for place in archive.moves.values()]
        places += [piece.place for piece in (*origin.pieces, *filter(None, [origin.split]))]
        assert len(set(places)) == len(places)
        assert not any(place.startswith(("/", ".")) for place in places)
