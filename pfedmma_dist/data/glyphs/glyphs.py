"""Glyphs: the embedded world. A class is a pattern on a shape ("striped fish"), in six styles.

An image is a function of (seed, split, class, index) and of how it is asked for, never of the batch
or the thread that draws it: all that is computed per pixel uses only operations which IEEE 754
rounds correctly (+ - * / and square roots, no sine, no matrix product), in a fixed order.
"""

import numpy as np

from pfedmma_dist import rng
from pfedmma_dist.data.glyphs.painters import PAINTERS
from pfedmma_dist.data.glyphs.scene import (
    COLOURS,
    NUM_WORDS,
    PATTERNS,
    SIZE,
    Array,
    Chance,
    compose,
)
from pfedmma_dist.data.glyphs.shapes import SHAPES

VERSION = 1
"""Goes up when any pixel changes: features cached from another version are not used."""

DOMAINS = tuple(PAINTERS)
"""Six styles, named after DomainNet's domains."""

NUM_BASE = 50
"""Base classes; as many novel ones follow them."""

WORLD_SEED = 0
"""Seed of the world itself: its classes, and the combinations kept from pretraining."""

HELD_OUT_SHARE = 0.3


def class_name(combo: int) -> str:
    """Return "striped fish" for a combination, pattern_index * 24 + shape_index."""
    pattern, shape = divmod(int(combo), len(SHAPES))
    return f"{PATTERNS[pattern]} {SHAPES[shape]}"


def _classes() -> Array:
    """Return 100 combinations, ten of each pattern: half of each pattern is base, half novel."""
    generator = rng.generator(WORLD_SEED, "glyph classes")
    picks = [_shuffled(generator, len(SHAPES))[:10] for _ in PATTERNS]
    halves = [[p * len(SHAPES) + s for s in pick] for p, pick in enumerate(picks)]
    base = [combo for half in halves for combo in half[:5]]
    novel = [combo for half in halves for combo in half[5:]]
    return np.array(base + novel, np.int64)


def _held_out() -> Array:
    """Return the combinations that pretraining never draws, ascending."""
    num = len(PATTERNS) * len(SHAPES)
    order = _shuffled(rng.generator(WORLD_SEED, "glyph held out"), num)
    return np.sort(np.array(order[: int(num * HELD_OUT_SHARE)], np.int64))


def _shuffled(generator: np.random.Generator, num: int) -> list[int]:
    """Order 0 .. num-1 by raw bits, whose stream no version of numpy may change."""
    return np.argsort(generator.bit_generator.random_raw(num), kind="stable").tolist()


CLASSES = _classes()
CLASS_NAMES = tuple(map(class_name, CLASSES))
HELD_OUT = _held_out()


def draw(
    seed: int,
    split: str,
    combos: Array,  # [N] int64
    domains: Array,  # [N] int64 positions in DOMAINS
    indices: Array,  # [N] int64
    difficulty: float,
    gap: float = 0.0,
) -> tuple[Array, Array]:
    """Return N images, [N, SIZE, SIZE, 3] uint8, and their first colours, [N] int64 in COLOURS.

    difficulty: 0 .. 1, more turning, shrinking, stretching, noise and clutter. gap: strength of the
    clients' style. (seed, split, combo, index) is the key of an image: the same object in another
    domain is that object painted otherwise.
    """
    words = np.empty((len(combos), NUM_WORDS), np.uint64)
    for place, (combo, index) in enumerate(zip(combos.tolist(), indices.tolist(), strict=True)):
        generator = rng.generator(seed, f"glyph {split}", combo, index)
        words[place] = generator.bit_generator.random_raw(NUM_WORDS)
    pixels = np.empty((len(combos), SIZE, SIZE, 3), np.uint8)
    colours = np.empty(len(combos), np.int64)
    for domain in np.unique(domains).tolist():
        mine = np.flatnonzero(domains == domain)
        style = PAINTERS[DOMAINS[domain]]
        chance = Chance.of(words[mine])
        scene = compose(chance, combos[mine], style.wobble, style.scale, difficulty, gap)
        painted = np.clip(style.paint(scene, chance, difficulty), 0, 1)
        pixels[mine] = np.rint(painted * np.float32(255))
        colours[mine] = scene.first if style.ink is None else COLOURS.index(style.ink)
    return pixels, colours
