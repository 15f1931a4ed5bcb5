"""Painters: the six styles of the embedded world, each a way to colour a scene.

Per pixel only correctly rounded operations are used, see glyphs.py.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pfedmma_dist.data.glyphs.scene import RGB, SIZE, Array, Chance, Scene, cover

NUM_CLUTTER = 8
MARGIN = 0.2  # clutter of an infographic keeps to this share of the picture, along its edges


@dataclass(frozen=True)
class Style:
    """A domain: how its objects are bent and sized, and how they are painted."""

    paint: Callable[[Scene, Chance, float], Array]  # (scene, chance, difficulty) -> [N, S, S, 3]
    wobble: float = 0.0  # units of the object
    scale: float = 1.0
    ink: str | None = None  # the only colour of a colourless style


def photo(scene: Scene, chance: Chance, difficulty: float) -> Array:
    """Paint a lit object with a shadow on a textured ground, slightly out of focus."""
    texture = np.stack([chance.smooth(3), chance.smooth(4), chance.smooth(5)], axis=-1)
    ground = _rgb(scene.ground) * _f(0.85) + texture * _f(0.12 + 0.1 * difficulty)
    inside = scene.inside
    shadow = np.roll(inside, (2, 2), axis=(1, 2))
    ground = ground * (1 - _f(0.45) * shadow[..., None])
    light = 1 + chance.scalar(10, -0.3, 0.3) * _ramp(1) + chance.scalar(11, -0.3, 0.3) * _ramp(2)
    picture = _blend(ground, _coloured(scene) * light[..., None], inside)
    return _blur(picture) + chance.grain * _f(0.05 + 0.2 * difficulty)


def clipart(scene: Scene, chance: Chance, difficulty: float) -> Array:
    """Paint flat colours with a black outline on a light ground."""
    picture = _blend(_pale(scene.ground, 0.7), _coloured(scene), scene.inside)
    return _blend(picture, RGB[10], cover(_f(1.0) - abs(scene.depth)))


def sketch(scene: Scene, chance: Chance, difficulty: float) -> Array:
    """Draw grey pencil lines, the marks hatched, on rough paper."""
    hatch = (np.arange(SIZE)[:, None] + np.arange(SIZE)[None, :]) % 3 == 0
    marks = cover(scene.mark) * (_f(0.25) + _f(0.4) * hatch.astype(np.float32))
    edge = cover(_f(0.4) - abs(scene.mark)) * _f(0.7)
    lines = np.maximum(marks, edge) * scene.inside
    lines = np.maximum(lines, cover(_f(0.7) - abs(scene.depth)))
    pressure = _f(0.75) + _f(0.25) * chance.smooth(3)
    paper = _f(0.9) + chance.grain[..., 0] * _f(0.04 + 0.15 * difficulty)
    return _grey(paper - lines * pressure * _f(0.7))


def quickdraw(scene: Scene, chance: Chance, difficulty: float) -> Array:
    """Draw shaky black strokes, broken here and there, on white."""
    edge = cover(_f(0.3) - abs(scene.mark))
    lines = np.maximum(cover(scene.mark) * _f(0.3), edge) * scene.inside
    lines = np.maximum(lines, cover(_f(0.9) - abs(scene.depth)))
    broken = chance.smooth(3) > _f(0.75 - 0.3 * difficulty)
    return _grey(1 - lines * np.where(broken, _f(0.25), _f(1)))


def painting(scene: Scene, chance: Chance, difficulty: float) -> Array:
    """Paint muted colours, soft edges, brush strokes and the weave of a canvas."""
    ochre = np.array([0.55, 0.45, 0.3], np.float32)
    brush = _f(0.14) * chance.smooth(3)[..., None] + _f(0.1) * chance.smooth(4)[..., None]
    picture = _blend(_rgb(scene.ground) * _f(0.8), _coloured(scene), scene.inside)
    picture = _blur(picture * _f(0.75) + ochre * _f(0.25)) + brush
    weave = ((np.arange(SIZE)[:, None] + np.arange(SIZE)[None, :]) % 2).astype(np.float32)
    canvas = weave[..., None] * _f(0.05) + chance.grain * _f(0.04 + 0.15 * difficulty)
    return picture + canvas


def infograph(scene: Scene, chance: Chance, difficulty: float) -> Array:
    """Paint a smaller flat object among the bars and discs of a chart."""
    picture = np.broadcast_to(_pale(scene.ground, 0.85), (*scene.depth.shape, 3))
    spot = (np.arange(SIZE, dtype=np.float32) + _f(0.5)) * _f(1 / SIZE)
    for item in range(NUM_CLUTTER):
        column = 12 + 3 * item
        along, across = chance.scalar(column), chance.scalar(column + 1)
        colour = (chance.uniform[:, column + 2] * 12).astype(np.int64)
        near = across * _f(MARGIN)
        near = near if item % 2 else 1 - near
        x, y = (along, near) if item % 4 < 2 else (near, along)
        dx, dy = abs(spot[None, None, :] - x), abs(spot[None, :, None] - y)
        if item % 3:
            size = _f(0.04), _f(0.14)
            away = np.maximum(dx - size[item % 2], dy - size[1 - item % 2])
        else:
            away = np.sqrt(dx * dx + dy * dy) - _f(0.09)
        shown = chance.scalar(column + 1) < _f(0.35 + 0.6 * difficulty)
        picture = _blend(picture, _rgb(colour), cover(-away * SIZE) * shown)
    picture = _blend(picture, _coloured(scene), scene.inside)
    return _blend(picture, RGB[10], cover(_f(0.6) - abs(scene.depth)))


PAINTERS = {
    "photo": Style(photo),
    "clipart": Style(clipart),
    "sketch": Style(sketch, wobble=0.03, ink="grey"),
    "quickdraw": Style(quickdraw, wobble=0.1, ink="black"),
    "painting": Style(painting, wobble=0.06),
    "infograph": Style(infograph, scale=0.85),
}


def _f(number: float) -> np.float32:
    return np.float32(number)


def _rgb(colour: Array) -> Array:
    """Return [N, 1, 1, 3] of colours [N]."""
    return RGB[colour][:, None, None]


def _pale(colour: Array, share: float) -> Array:
    """Mix colours with a share of white."""
    return _rgb(colour) * _f(1 - share) + _f(share)


def _coloured(scene: Scene) -> Array:
    """Return the object's own colours, pattern included, [N, S, S, 3]."""
    return _blend(_rgb(scene.first), _rgb(scene.second), cover(scene.mark))


def _blend(below: Array, above: Array, share: Array) -> Array:
    """Lay `above` over `below` where `share` [N, S, S] says so."""
    share = share[..., None]
    return below * (1 - share) + above * share


def _ramp(axis: int) -> Array:
    """Return -1 .. 1 along an axis of the picture, [1, S, 1] or [1, 1, S]."""
    line = np.linspace(-1, 1, SIZE, dtype=np.float32)
    return line[None, :, None] if axis == 1 else line[None, None, :]


def _grey(light: Array) -> Array:
    return np.repeat(light[..., None], 3, axis=-1)


def _blur(picture: Array) -> Array:
    """Smooth [N, S, S, 3] with 1 2 1 in both directions; the border repeats."""
    for axis in (1, 2):
        first = picture.take([0], axis)
        last = picture.take([-1], axis)
        before = np.concatenate([first, picture.take(range(SIZE - 1), axis)], axis)
        after = np.concatenate([picture.take(range(1, SIZE), axis), last], axis)
        picture = (before + after) * _f(0.25) + picture * _f(0.5)
    return picture
