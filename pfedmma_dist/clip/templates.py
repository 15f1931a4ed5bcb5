"""Templates: the prompts for ImageNet that were published with CLIP, to be averaged.

Radford et al., ICML 2021: 80 of them, and the 7 that a search among these found to be enough.
"""

from collections.abc import Sequence

CLIP7 = (
    *("itap of a {}.", "a bad photo of the {}.", "a origami {}.", "a photo of the large {}."),
    *("a {} in a video game.", "art of the {}.", "a photo of the small {}."),
)
CLIP80 = (
    *("a bad photo of a {}.", "a photo of many {}.", "a sculpture of a {}."),
    *("a photo of the hard to see {}.", "a low resolution photo of the {}."),
    *("a rendering of a {}.", "graffiti of a {}.", "a bad photo of the {}."),
    *("a cropped photo of the {}.", "a tattoo of a {}.", "the embroidered {}."),
    *("a photo of a hard to see {}.", "a bright photo of a {}.", "a photo of a clean {}."),
    *("a photo of a dirty {}.", "a dark photo of the {}.", "a drawing of a {}."),
    *("a photo of my {}.", "the plastic {}.", "a photo of the cool {}."),
    *("a close-up photo of a {}.", "a black and white photo of the {}.", "a painting of the {}."),
    *("a painting of a {}.", "a pixelated photo of the {}.", "a sculpture of the {}."),
    *("a bright photo of the {}.", "a cropped photo of a {}.", "a plastic {}."),
    *("a photo of the dirty {}.", "a jpeg corrupted photo of a {}.", "a blurry photo of the {}."),
    *("a photo of the {}.", "a good photo of the {}.", "a rendering of the {}."),
    *("a {} in a video game.", "a photo of one {}.", "a doodle of a {}."),
    *("a close-up photo of the {}.", "a photo of a {}.", "the origami {}."),
    *("the {} in a video game.", "a sketch of a {}.", "a doodle of the {}.", "a origami {}."),
    *("a low resolution photo of a {}.", "the toy {}.", "a rendition of the {}."),
    *("a photo of the clean {}.", "a photo of a large {}.", "a rendition of a {}."),
    *("a photo of a nice {}.", "a photo of a weird {}.", "a blurry photo of a {}."),
    *("a cartoon {}.", "art of a {}.", "a sketch of the {}.", "a embroidered {}."),
    *("a pixelated photo of a {}.", "itap of the {}.", "a jpeg corrupted photo of the {}."),
    *("a good photo of a {}.", "a plushie {}.", "a photo of the nice {}."),
    *("a photo of the small {}.", "a photo of the weird {}.", "the cartoon {}.", "art of the {}."),
    *("a drawing of the {}.", "a photo of the large {}.", "a black and white photo of a {}."),
    *("the plushie {}.", "a dark photo of a {}.", "itap of a {}.", "graffiti of the {}."),
    *("a toy {}.", "itap of my {}.", "a photo of a cool {}.", "a photo of a small {}."),
    "a tattoo of the {}.",
)
PROMPTSRC60 = CLIP80[:60]
"""Those of PromptSRC (Khattak et al., ICCV 2023), which lists "a photo of a {}." first."""
PUBLISHED = {"clip7": CLIP7, "clip80": CLIP80, "promptsrc60": PROMPTSRC60}


def spelled_out(templates: Sequence[str]) -> tuple[str, ...]:
    """Return templates with the names of published sets replaced by what is in them."""
    return tuple(text for name in templates for text in PUBLISHED.get(name, (name,)))
