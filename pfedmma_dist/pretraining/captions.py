"""Captions of pretraining, as varied as the prompts that users will write.

`vocabulary` names every word that occurs in them: the text tower knows these words and no others.
"""

import numpy as np

from pfedmma_dist.data.glyphs.glyphs import COLOURS, DOMAINS, PATTERNS, SHAPES, class_name

COLOURED, STYLED, DESCRIBED, LONG = 0.15, 0.15, 0.25, 0.15
"""Shares of captions with the image's colour, its domain, an adjective; of batches with fillers."""

PLAIN = (
    *("{}", "{}.", "a {}.", "the {}.", "one {}.", "my {}.", "this is a {}.", "itap of a {}."),
    *("a photo of a {}.", "a photo of a {}.", "a photo of a {}.", "a photo of the {}."),
    *("a photo of one {}.", "a picture of a {}.", "a picture of the {}.", "an image of a {}."),
    *("an image of the {}.", "a drawing of a {}.", "a painting of a {}.", "a sketch of a {}."),
    *("a photo of a {}", "a picture of a {}", "an image of a {}", "a photo of my {}."),
    *("a rendering of a {}.", "art of a {}.", "a doodle of a {}.", "a cartoon {}.", "a toy {}."),
    *("a close-up photo of a {}.", "itap of my {}.", "{}, a type of shape.", "{}: an object."),
    *("a {} in the image.", "there is a {}.", "{} on a background.", "a black and white {}."),
    *("a {} in a video game.", "hard to see {}.", "{} texture.", "an example of a {}."),
    *("low resolution photo of a {}.", "jpeg corrupted {}.", "an icon of a {}.", "a {} symbol."),
)
STYLES = (
    *("a {style} of a {}.", "a {style} of the {}.", "a {style} drawing of a {}.", "a {style} {}."),
    *("{style} of a {}", "an image of a {} in {style} style.", "a {} in the style of a {style}."),
    *("an {style} with a {}.", "a {style} picture of a {}.", "{style}: a {}.", "{style}, {}."),
)
ADJECTIVES = (
    *("good", "bad", "blurry", "clean", "dirty", "bright", "dark", "nice", "weird", "cool"),
    *("small", "large", "big", "little", "centred", "centered", "cropped", "pixelated", "simple"),
    *("plastic", "embroidered", "origami", "plushie"),
)
DEPICTIONS = (
    *("photo", "picture", "image", "drawing", "painting", "sketch", "rendering", "rendition"),
    *("illustration", "sculpture", "tattoo", "graffiti", "glyph"),
)
FILLERS = (
    *("x", "a", "an", "the", "photo", "picture", "image", "of", "drawing", "painting", "sketch"),
    *("with", "in", "on", "this", "is", "style", "art", "my", "one", "there", "good", "bad"),
    *(".", ",", ":"),
)
"""Words of one token each, which stand where trained context will stand."""
FILLED = (4, 25)
"""Fewest and most fillers before a name: the last brings its EOT to the last of 32 positions."""


def captions(
    generator: np.random.Generator,
    combos: np.ndarray,  # [N]
    colours: np.ndarray,  # [N]
    domains: np.ndarray,  # [N]
) -> list[str]:
    """Return one caption per image of a batch."""
    say = _filled if generator.random() < LONG else _sentence
    facts = zip(combos.tolist(), colours.tolist(), domains.tolist(), strict=True)
    return [say(generator, class_name(k), COLOURS[c], DOMAINS[d]) for k, c, d in facts]


def vocabulary() -> list[str]:
    """Return texts that hold every word of every caption."""
    words = [*PATTERNS, *SHAPES, *COLOURS, *DOMAINS, *ADJECTIVES, *DEPICTIONS, *FILLERS]
    return words + [text.format("", style="") for text in (*PLAIN, *STYLES)]


def _sentence(generator: np.random.Generator, name: str, colour: str, domain: str) -> str:
    if generator.random() < COLOURED:
        name = f"{colour} {name}"
    kind = generator.random()
    if kind < STYLED:
        return _pick(generator, STYLES).format(name, style=domain)
    if kind < STYLED + DESCRIBED:
        adjective, depiction = _pick(generator, ADJECTIVES), _pick(generator, DEPICTIONS)
        return f"a {adjective} {depiction} of a {name}."
    return _pick(generator, PLAIN).format(name)


def _filled(generator: np.random.Generator, name: str, colour: str, domain: str) -> str:
    num, repeated = generator.integers(FILLED[0], FILLED[1] + 1), generator.random() < 0.5
    fillers = ["x"] * num if repeated else generator.choice(FILLERS, num).tolist()
    return f"{' '.join(fillers)} {name}."


def _pick(generator: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[generator.integers(len(choices))]
