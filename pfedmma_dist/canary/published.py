"""Published: what zero-shot CLIP ViT-B/16 reaches on the test images of known data sets."""

from typing import NamedTuple

SOURCE = "CoCoOp (Zhou et al., CVPR 2022), table of base-to-new generalisation"

BAND = 0.5
"""Points that arithmetic in another width, and another decoder of JPEG, may move an accuracy by."""


class Halves(NamedTuple):
    """Percent of the first half of a set's classes among themselves, and of the other half."""

    base: float
    novel: float


ZERO_SHOT = {
    "imagenet": Halves(72.43, 68.14),
    "caltech101": Halves(96.84, 94.00),
    "oxford_pets": Halves(91.17, 97.26),
    "stanford_cars": Halves(63.37, 74.89),
    "oxford_flowers": Halves(72.08, 77.80),
    "food101": Halves(90.10, 91.22),
    "fgvc_aircraft": Halves(27.19, 36.29),
    "sun397": Halves(69.36, 75.35),
    "dtd": Halves(53.24, 59.90),
    "eurosat": Halves(56.48, 64.05),
    "ucf101": Halves(70.53, 77.50),
}
"""Data set -> what `SOURCE` has, with each set's own prompt and CoOp's split."""
