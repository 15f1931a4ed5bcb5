"""The example that draws images for the tutorial tells where it cannot write."""

import sys
from pathlib import Path

import pytest

from examples import draw_images


@pytest.mark.parametrize("place", ["file", "file/photos"])
def test_file_in_the_way_is_told_in_a_line(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["draw_images.py", str(tmp_path / place), "--images", "1"])
    assert draw_images.main() == 2
    assert f"cannot write to {tmp_path}/file" in capsys.readouterr().err
