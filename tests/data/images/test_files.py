import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pfedmma_dist.data.images import files
from pfedmma_dist.data.images.files import Files


def decoded(root: Path, path: str) -> Image.Image:
    [image] = Files(root, (path,)).open(np.array([0]))
    return image


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "LAB"])
def test_every_mode_is_opened_as_the_published_code_opens_it(tmp_path, save_image, mode):
    suffix = {"CMYK": "jpg", "YCbCr": "tif", "LAB": "tif"}.get(mode, "png")
    path = save_image(tmp_path / f"a.{suffix}", mode=mode)
    image = decoded(tmp_path, path.name)
    assert image.mode == "RGB"
    assert np.array_equal(image, Image.open(path).convert("RGB"))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("transparency", [0, b"\x00\x80"], ids=["one colour", "by colour"])
def test_transparent_pixels_show_the_colour_that_lies_under_them(tmp_path, transparency):
    hidden = np.full((2, 2, 4), (200, 10, 30, 0), np.uint8)
    Image.fromarray(hidden).save(tmp_path / "rgba.png")
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([200, 10, 30, 0, 0, 0])
    palette.save(tmp_path / "p.png", transparency=transparency)
    for name in ("rgba.png", "p.png"):
        assert np.array_equal(decoded(tmp_path, name), hidden[..., :3])


@pytest.mark.parametrize("name", ["grey.png", "grey.tif", "grey.pgm"])
def test_16_bit_grey_keeps_its_high_byte_and_is_not_white(tmp_path, name):
    levels = np.array([[0, 255, 256, 0x1234], [0x7FFF, 0x8000, 0xFEFF, 0xFFFF]], np.uint16)
    if name.endswith("pgm"):
        (tmp_path / name).write_bytes(b"P5 4 2 65535\n" + levels.astype(">u2").tobytes())
    else:
        Image.fromarray(levels).save(tmp_path / name)
    grey = np.array([[0, 0, 1, 0x12], [0x7F, 0x80, 0xFE, 0xFF]], np.uint8)
    assert np.array_equal(decoded(tmp_path, name), np.stack([grey] * 3, axis=2))


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_grey_without_a_white_is_refused(tmp_path, kind):
    Image.fromarray(np.ones((2, 2), kind)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif .* no agreed white, save it with 8 bits"):
        decoded(tmp_path, "a.tif")


def test_large_image_is_decoded_with_a_warning_and_one_twice_as_large_refused(
    tmp_path, save_image, monkeypatch
):
    save_image(tmp_path / "large.png", 10, 10)
    save_image(tmp_path / "huge.png", 10, 20)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 99)
    with pytest.warns(Image.DecompressionBombWarning):
        assert decoded(tmp_path, "large.png").size == (10, 10)
    with pytest.raises(ValueError, match=r"huge\.png .* \(200 pixels\) exceeds limit"):
        decoded(tmp_path, "huge.png")


@pytest.mark.filterwarnings("error")
def test_large_image_is_refused_where_warnings_are_errors(tmp_path, save_image, monkeypatch):
    save_image(tmp_path / "large.png", 10, 10)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 99)
    with pytest.raises(ValueError, match=r"large\.png .* \(100 pixels\) exceeds limit"):
        decoded(tmp_path, "large.png")


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


def test_inspection_lists_broken_rows_in_order_across_spans(tmp_path, save_image):
    save_image(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"")
    paths = ["good.png"] * 150
    paths[3] = paths[70] = paths[149] = "bad.png"
    found = Files(tmp_path, tuple(paths)).inspect(np.arange(1, 150)).unreadable
    assert found == [(row, "the file is empty") for row in (3, 70, 149)]


def test_inspection_keeps_a_bounded_number_of_tasks_waiting(tmp_path, monkeypatch):
    (tmp_path / "bad.png").write_bytes(b"")
    monkeypatch.setattr(files, "CHECK_SPAN", 2)
    monkeypatch.setattr(files, "CHECK_SPANS", 3)
    given = []
    through = files.ThreadPoolExecutor.map

    def counted(pool, check, spans):
        given.append([len(span) for span in spans])
        return through(pool, check, spans)

    monkeypatch.setattr(files.ThreadPoolExecutor, "map", counted)
    found = Files(tmp_path, ("bad.png",) * 9).inspect(np.arange(9)).unreadable
    assert given == [[2, 2, 2], [2, 1]]
    assert [row for row, _ in found] == list(range(9))


def test_rgb_image_is_opened_without_a_copy(tmp_path, save_image, monkeypatch):
    path = save_image(tmp_path / "a.jpg")
    expected = Image.open(path).convert("RGB")
    monkeypatch.setattr(Image.Image, "copy", lambda image: pytest.fail("copied"))
    assert np.array_equal(decoded(tmp_path, "a.jpg"), expected)


def test_content_is_that_of_the_bytes_wherever_and_whenever_they_were_written(tmp_path, save_image):
    here, there = tmp_path / "here", tmp_path / "there"
    for root in (here, there):
        for name in ("a.png", "b.png"):
            save_image(root / name)
    (here / "c.png").write_bytes(b"no image")
    os.utime(here / "b.png", ns=(10**18, 10**18))
    before = Files(here, ("a.png", "b.png", "c.png")).inspect(np.arange(3)).content
    assert np.array_equal(
        Files(there, ("a.png", "b.png")).inspect(np.arange(2)).content, before[:2]
    )
    assert before[2].tolist() == [0, 0]
    kept = (here / "b.png").stat()
    data = bytearray((here / "b.png").read_bytes())
    data += b"!"  # behind the end of the image, where no decoder looks
    (here / "b.png").write_bytes(data)
    os.utime(here / "b.png", ns=(kept.st_atime_ns, kept.st_mtime_ns))
    after = Files(here, ("a.png", "b.png")).inspect(np.arange(2)).content
    assert (after == before[:2]).all(axis=1).tolist() == [True, False]


def test_label_names_a_file_wherever_the_folder_lies_and_whatever_its_bytes(tmp_path):
    assert Files(tmp_path, ("dog/1.png",)).labels(np.arange(1)) == ["dog/1.png"]
    assert Files(tmp_path, (os.fsdecode(b"caf\xe9.png"),)).labels([0]) == ["caf\\xe9.png"]


def test_pointer_of_git_lfs_in_place_of_an_image_is_recognised(tmp_path):
    (tmp_path / "a.jpg").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(ValueError, match=r"a\.jpg .* a pointer of Git LFS .* git lfs pull fetches"):
        Files(tmp_path, ("a.jpg",)).open(np.arange(1))


def test_photo_of_a_phone_in_disguise_is_recognised(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    with pytest.raises(ValueError, match=r"a\.jpg .* HEIC by its content, .* pillow-heif"):
        decoded(tmp_path, "a.jpg")


def test_name_of_a_file_is_written_on_one_line(tmp_path):
    path = os.fsdecode(b"caf\xe9\n.jpg")
    (tmp_path / path).touch()
    with pytest.raises(ValueError, match=r"data.root: .*/caf\\xe9\\n\.jpg cannot be read"):
        decoded(tmp_path, path)
    assert Files(tmp_path, (path,)).name(0) == rf"{tmp_path}/caf\xe9\n.jpg"
