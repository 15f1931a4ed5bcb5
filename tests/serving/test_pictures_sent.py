"""Pictures from strangers: what is refused before it is decoded, and what is told."""

import io
import struct
import zlib

import pytest
from PIL import Image
from stand_in import PIXELS, picture

from pfedmma_dist.serving.limits import Limits
from pfedmma_dist.serving.pictures import START_OF_SCAN, Unreadable, read

LIMITS = Limits(pixels=10_000, scans=20)


def chunk(kind: bytes, content: bytes) -> bytes:
    whole = kind + content
    return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))


def bomb(width: int, height: int) -> bytes:
    """Return a PNG of so many pixels without one of them."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_image_of_every_kind_is_read(kind: str) -> None:
    found = read(picture("blue", kind), LIMITS)
    assert found.image.mode == "RGB" and found.image.size == (8, 6) and not found.note
    assert max(range(3), key=found.image.getpixel((0, 0)).__getitem__) == 2


def test_bomb_is_refused_by_its_header() -> None:
    with pytest.raises(Unreadable, match="5,000 x 4,000 pixels, 20 million"):
        read(bomb(5000, 4000), LIMITS)


def test_bomb_that_pillow_refuses_is_told() -> None:
    with pytest.raises(Unreadable, match="exceeds limit"):
        read(bomb(60_000, 60_000), LIMITS)


def test_jpeg_of_scans_without_end_is_refused() -> None:
    whole = picture("red", "JPEG", progressive=True)
    read(whole, LIMITS)
    begin = whole.rindex(START_OF_SCAN)
    with pytest.raises(Unreadable, match="more than 20 scans"):
        read(whole[:begin] + 30 * whole[begin:-2] + whole[-2:], LIMITS)


def test_limits_are_for_strangers_alone() -> None:
    assert read(picture("red", size=(200, 200))).image.size == (200, 200)
    with pytest.raises(Unreadable, match="200 x 200"):
        read(picture("red", size=(200, 200)), LIMITS)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"hello", "not an image in one of JPEG, PNG"),
        (b"\0\0\0\x18ftypheic\0\0", "HEIC"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (picture("red")[:-30], "truncated"),
        (picture("red", "JPEG")[:200], "."),
    ],
)
def test_what_is_no_image_is_told_in_words(content: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        read(content, LIMITS)


def test_orientation_is_ignored_as_in_training_and_told() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = read(picture("red", "JPEG", exif=exif), LIMITS)
    assert found.image.size == (8, 6) and "orientation is ignored" in found.note
    exif[0x0112] = 1
    assert not read(picture("red", "JPEG", exif=exif), LIMITS).note


def test_broken_exif_breaks_no_image() -> None:
    found = read(picture("red", "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"), LIMITS)
    assert found.image.size == (8, 6) and not found.note


def test_transparency_and_palettes_become_rgb() -> None:
    file = io.BytesIO()
    Image.new("RGBA", (3, 3), (*PIXELS["red"], 0)).save(file, "PNG")
    assert read(file.getvalue(), LIMITS).image.getpixel((1, 1)) == PIXELS["red"]
