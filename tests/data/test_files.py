import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pfedmma_dist.data.files import Files


def decoded(root: Path, path: str) -> Image.Image:
    [image] = Files(root, (path,)).open(np.array([0]))
    return image


@pytest.mark.parametrize("mode", ["L", "P", "CMYK"])
def test_every_mode_is_opened_as_rgb(tmp_path, save_image, mode):
    path = save_image(tmp_path / ("a.jpg" if mode == "CMYK" else "a.png"), mode=mode)
    image = decoded(tmp_path, path.name)
    assert image.mode == "RGB"
    assert np.array_equal(image, Image.open(path).convert("RGB"))


def test_format_is_told_by_content_and_not_by_suffix(tmp_path, save_image):
    save_image(tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert decoded(tmp_path, "a.jpg").size == (8, 8)


BROKEN = {
    "empty": (lambda good: b"", "the file is empty"),
    "text": (lambda good: b"<html>404</html>", "not an image"),
    "truncated": (lambda good: good[: len(good) // 2], "truncated"),
    "postscript": (lambda good: b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image"),
    "bomb": (lambda good: b"P6 60000 60000 255\n", "exceeds limit"),
}


@pytest.mark.parametrize("damage, reason", BROKEN.values(), ids=BROKEN)
def test_broken_file_is_refused_with_path_and_reason(tmp_path, save_image, damage, reason):
    path = save_image(tmp_path / "a.jpg", 64, 64)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="data.skip_corrupt") as caught:
        decoded(tmp_path, "a.jpg")
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)


def test_vanished_file_is_refused_with_its_path(tmp_path):
    with pytest.raises(ValueError, match=r"gone\.jpg .*No such file"):
        decoded(tmp_path, "gone.jpg")


def test_cut_or_altered_files_raise_nothing_but_value_error(tmp_path, save_image):
    draw = np.random.default_rng(0)
    for suffix in ("jpg", "png", "webp", "gif", "bmp"):
        path = save_image(tmp_path / f"a.{suffix}", 16, 16)
        good = path.read_bytes()
        for _ in range(60):
            bad = bytearray(good[: draw.integers(1, len(good) + 1)])
            bad[draw.integers(len(bad))] = draw.integers(256)
            path.write_bytes(bad)
            try:
                decoded(tmp_path, path.name)
            except ValueError as error:
                assert str(path) in str(error)


def test_unreadable_lists_broken_rows_in_order_across_spans(tmp_path, save_image):
    save_image(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"")
    paths = ["good.png"] * 150
    paths[3] = paths[70] = paths[149] = "bad.png"
    found = Files(tmp_path, tuple(paths)).unreadable(np.arange(1, 150))
    assert found == [(row, "the file is empty") for row in (3, 70, 149)]


def test_identity_depends_on_order_size_and_time_but_not_on_the_root(tmp_path, save_image):
    here, there = tmp_path / "here", tmp_path / "there"
    for root in (here, there):
        for name in ("a.png", "b.png"):
            os.utime(save_image(root / name), ns=(10**18, 10**18))
    names, rows = ("a.png", "b.png"), np.arange(2)
    files = Files(here, names)
    before = files.identity(rows)
    assert Files(there, names).identity(rows) == before
    assert files.identity(rows[::-1]) != before
    assert files.identity(rows[:1]) != before
    os.utime(here / "b.png", ns=(10**18, 10**18 + 1))
    assert files.identity(rows) != before
    assert files.identity(rows[:1]) == Files(there, names).identity(rows[:1])
