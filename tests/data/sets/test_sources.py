from pathlib import Path

import pytest

from pfedmma_dist.config import command_line
from pfedmma_dist.config.keys import DataConfig, Statistics
from pfedmma_dist.data.sets.registry import SOURCES, read
from pfedmma_dist.methods import METHODS


def test_unknown_name_lists_the_known_ones_and_the_nearest(read_from):
    known = "caltech101, cifar10, .*, ucf101"
    with pytest.raises(ValueError, match=f"data.name.*{known}; did you mean 'caltech101'"):
        read_from("caltech-101")


@pytest.mark.parametrize("name", sorted(SOURCES.keys() - {"glyphs"}))
def test_missing_folder_names_key_and_path(tmp_path, read_from, name):
    with pytest.raises(ValueError, match=f"data.root: .*{tmp_path}/data"):
        read_from(name)
    assert list(tmp_path.iterdir()) == []


def test_home_is_expanded_in_the_root(tmp_path, touch, monkeypatch):
    touch("train/a/1.jpg", "test/a/1.jpg")
    monkeypatch.setenv("HOME", str(tmp_path))
    cfg = DataConfig(name="folder", root="~/data")
    assert read(cfg, 0, Path("~/cache")).place == str(tmp_path / "data")


def test_set_without_statistics_of_its_own_is_refused(touch, read_from):
    touch("train/a/1.jpg", "test/a/1.jpg")
    with pytest.raises(ValueError, match="data.statistics: folder has no .*statistics=clip"):
        read_from("folder", statistics=Statistics.own)


@pytest.mark.parametrize(
    "name, keys, message",
    [
        ("pacs", {"list": "a.csv"}, "data.list: pacs makes no use of it; set data.name=folder"),
        ("glyphs", {"classes": ["plain fish"]}, "data.classes: glyphs makes no use"),
        ("glyphs", {"class_names": "a.csv"}, "data.class_names: glyphs makes no use"),
    ],
)
def test_key_that_would_have_no_effect_is_refused(read_from, name, keys, message):
    with pytest.raises(ValueError, match=message):
        read_from(name, **keys)


def template(*words: str) -> str:
    return command_line.read(words, methods=METHODS, sources=SOURCES).data.template


def test_coop_stands_for_the_prompt_of_the_data_set():
    assert template("data.name=dtd", "data.template=coop") == "{} texture."
    assert template("data.template=coop", "data.name=food101") == "a photo of {}, a type of food."
    assert template("data.name=dtd") == "a photo of a {}."


def test_set_without_a_prompt_names_those_that_have_one():
    with pytest.raises(ValueError, match="data.template: pacs has no prompt .*caltech101, dtd"):
        template("data.name=pacs", "data.template=coop")
