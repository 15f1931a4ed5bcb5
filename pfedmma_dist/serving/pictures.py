"""Pictures: images from anybody, looked at before they are decoded as the run's own are."""

import io
from dataclasses import dataclass

from PIL import ExifTags, Image

from pfedmma_dist.data.images.files import BROKEN, FORMATS, NUM_TOLD, reason, to_rgb
from pfedmma_dist.serving.limits import Limits

UPRIGHT = 1
"""EXIF orientation of an image that is stored as it is seen."""

START_OF_SCAN = b"\xff\xda"

TURNED = "its EXIF orientation is ignored, as in training: it was classified as it is stored"

MEGA = 1_000_000


class Unreadable(ValueError):
    """Say in words for its sender why an image is not classified."""


@dataclass(frozen=True)
class Picture:
    """A decoded image, and what its sender should know of how it was read."""

    image: Image.Image  # RGB
    note: str


def read(content: bytes, limits: Limits | None = None) -> Picture:
    """Decode an image as training does; Unreadable for what is none, or beyond the limits.

    limits: of what strangers send; None for files of one's own.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if limits is not None:
                _check(image, content, limits)
            note = TURNED if _is_turned(image) else ""
            return Picture(to_rgb(image), note)
    except Unreadable:
        raise
    except BROKEN as error:
        raise Unreadable(reason(error, content[:NUM_TOLD])) from error


def _is_turned(image: Image.Image) -> bool:
    """Say whether a viewer would turn or mirror it. Without `getexif`, which decodes some formats;
    an EXIF block that is broken turns nothing, and breaks nothing."""
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif") or b"")
        orientation = exif.get(ExifTags.Base.Orientation, UPRIGHT)
    except BROKEN:
        return False
    return orientation in range(UPRIGHT + 1, 9)


def _check(image: Image.Image, content: bytes, limits: Limits) -> None:
    """Refuse by its header alone what would take too much memory or time to decode."""
    width, height = image.size
    if width * height > limits.pixels:
        raise Unreadable(
            f"it has {width:,} x {height:,} pixels, {width * height / MEGA:,.0f} million, and "
            f"{limits.pixels / MEGA:,.0f} million are the most; scale it down"
        )
    if image.format == "JPEG" and content.count(START_OF_SCAN) > limits.scans:
        raise Unreadable(f"it is a JPEG of more than {limits.scans} scans; save it anew")
