"""Runs on the embedded world: nothing to download, nothing to decode, the same from any cache."""

from pathlib import Path

import pytest
from runs import call, make_lab, outcome

from pfedmma_dist.data.glyphs import glyphs

SMALL = {
    "data__name": "glyphs",
    "data__root": "nowhere",
    "data__shots": 2,
    "data__train_per_class": 3,
    "data__test_per_class": 1,
    "federation__rounds": 1,
}


def test_run_from_disk_equals_the_run_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = make_lab(tmp_path, train_images=())
    assert call(lab.words("ram", clip__cache="ram", **SMALL)) == 0
    assert call(lab.words("written", clip__cache="disk", **SMALL)) == 0
    monkeypatch.delattr(glyphs, "draw")
    assert call(lab.words("found", clip__cache="disk", **SMALL)) == 0
    assert "found on disk" in capsys.readouterr().err
    for name in ("written", "found"):
        assert outcome(lab.folder(name)) == outcome(lab.folder("ram"))
