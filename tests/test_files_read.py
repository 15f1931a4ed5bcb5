"""Files that a run names by its keys: a changed one is told by its key, also once all is done."""

import json
from pathlib import Path

import pytest
import torch
from runs import Lab, call, make_lab

from pfedmma_dist import export
from pfedmma_dist.clip.load import untrained


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return make_lab(tmp_path_factory.mktemp("files"))


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was told, each line broken as the terminal likes."""
    return " ".join(capsys.readouterr().err.split())


def texts(file: Path, word: str) -> Path:
    """Write attributes of all classes."""
    file.write_text(json.dumps({f"class {label}": [f"{word} {label}"] for label in range(8)}))
    return file


def test_changed_attributes_are_named_by_whoever_reads_the_run(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = texts(tmp_path / "attributes.json", "a photo of")
    words = lab.words("own", method__name="fedmvp", method__attributes=file, federation__rounds=2)
    words += ["method.heads=2", "run.checkpoint_every=1"]
    assert call([*words, "run.pause_after=1"]) == 75
    texts(file, "a drawing of")
    assert call(words) == 2
    assert f"error: method.attributes: {file} has changed since" in said(capsys)
    texts(file, "a photo of")
    assert call(words) == 0
    assert "has changed" not in said(capsys)
    texts(file, "a drawing of")
    assert call(words) == 0
    told = said(capsys)
    assert f"method.attributes: {file} has changed since the finished run read it" in told
    assert "set run.folder to a new folder to train with it" in told
    to = str(tmp_path / "home")
    assert export.main([str(lab.folder("own")), "--client", "0", "--to", to]) == 2
    assert f"error: method.attributes: {file} has changed since" in said(capsys)
    file.write_text(json.dumps(json.loads(texts(file, "a photo of").read_text()), indent=1))
    assert export.main([str(lab.folder("own")), "--client", "0", "--to", to]) == 0  # as it reads


def weights_of(lab: Lab, place: Path) -> Path:
    """Write a file of weights."""
    torch.save(untrained(str(lab.path / "clip.json"), 1).state_dict(), place)
    return place


def test_every_file_of_a_finished_run_is_looked_at(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = tmp_path / "names.json"
    names.write_text(json.dumps({"class_0": "cat"}))
    profiles = tmp_path / "profiles.csv"
    head = "client,flops_per_second,up_bits_per_second,down_bits_per_second\n"
    profiles.write_text(head + "".join(f"{client},1e12,1e6,1e7\n" for client in range(4)))
    weights = weights_of(lab, tmp_path / "weights.pt")
    words = lab.words(
        "whole", method__name="promptfl", data__class_names=names, clip__pretrained=weights,
        system__fleet="file", system__profiles=profiles, federation__rounds=1,
    )  # fmt: skip
    assert call(words) == 0
    read = json.loads((lab.folder("whole") / "result.json").read_text())["read"]
    named = {"data.class_names", "clip.pretrained", "system.profiles", "clip.model"}
    assert read.keys() == named
    files = (names, profiles, weights, lab.path / "clip.json")
    for file in files:
        file.write_bytes(file.read_bytes() + b"\n")
    capsys.readouterr()
    assert call(words) == 0
    told = said(capsys)
    assert [key for key in sorted(named) if f"{key}: " in told] == sorted(named)
    assert told.count("has changed since the finished run read it") == 4
    weights.unlink()  # as people do once a run is done
    assert call(words) == 0
    assert said(capsys).count("has changed since the finished run read it") == 3
