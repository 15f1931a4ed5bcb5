"""Shapes of the embedded world: 24 outlines as signed distances, drawn once into an atlas.

An outline is a function of points (x right, y up, about one unit in each direction) that is
positive inside; its size is the distance to the edge.
"""

from collections.abc import Callable
from functools import cache

import numpy as np

Array = np.ndarray
Outline = Callable[[Array, Array], Array]

REACH = 1.3
"""The atlas covers -REACH .. REACH in both directions."""

RESOLUTION = 104
"""Atlas cells per side; 40 px images show an object with about 30."""

STEPS = 256
"""Distances are rounded to 1 / STEPS, so that no CPU's sine can reach an image."""


def _disc(cx: float, cy: float, radius: float) -> Outline:
    return lambda x, y: radius - np.sqrt((x - cx) ** 2 + (y - cy) ** 2)


def _box(cx: float, cy: float, half_width: float, half_height: float) -> Outline:
    def outline(x: Array, y: Array) -> Array:
        dx, dy = abs(x - cx) - half_width, abs(y - cy) - half_height
        outside = np.sqrt(np.maximum(dx, 0) ** 2 + np.maximum(dy, 0) ** 2)
        return -(outside + np.minimum(np.maximum(dx, dy), 0))

    return outline


def _polygon(*points: tuple[float, float]) -> Outline:
    def outline(x: Array, y: Array) -> Array:
        nearest, inside = np.full(x.shape, np.inf), np.zeros(x.shape, bool)
        for (ax, ay), (bx, by) in zip(points, (*points[1:], points[0]), strict=True):
            ex, ey = bx - ax, by - ay
            along = ((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey)
            along = np.clip(along, 0, 1)
            gap = (x - ax - along * ex) ** 2 + (y - ay - along * ey) ** 2
            nearest = np.minimum(nearest, gap)
            if ey != 0:
                inside ^= ((ay > y) != (by > y)) & (x < ax + (y - ay) / ey * ex)
        return np.where(inside, 1, -1) * np.sqrt(nearest)

    return outline


def _ring_of(count: int, radius: float, start: float = 90.0) -> list[tuple[float, float]]:
    """Return points on a circle, counted from `start` degrees."""
    angles = np.radians(start + 360.0 * np.arange(count) / count)
    return [(radius * float(np.cos(a)), radius * float(np.sin(a))) for a in angles]


def _star(points: int, outer: float, inner: float) -> Outline:
    tips = _ring_of(points, outer)
    notches = _ring_of(points, inner, 90 + 180 / points)
    return _polygon(*(corner for pair in zip(tips, notches, strict=True) for corner in pair))


def _join(*outlines: Outline) -> Outline:
    return lambda x, y: np.maximum.reduce([outline(x, y) for outline in outlines])


def _both(*outlines: Outline) -> Outline:
    return lambda x, y: np.minimum.reduce([outline(x, y) for outline in outlines])


def _cut(outline: Outline, hole: Outline) -> Outline:
    return lambda x, y: np.minimum(outline(x, y), -hole(x, y))


def _turned_boxes(count: int, distance: float, half: float) -> Outline:
    """Return square teeth around the centre."""
    corners = [(-half, -half), (half, -half), (half, half), (-half, half)]
    teeth = []
    for cx, cy in _ring_of(count, 1.0):
        teeth.append(
            _polygon(
                *(((distance + a) * cx - b * cy, (distance + a) * cy + b * cx) for a, b in corners)
            )
        )
    return _join(*teeth)


def _outlines() -> dict[str, Outline]:
    """Return name -> outline, in the order that numbers them."""
    lens = _both(_disc(0, -0.62, 1.08), _disc(0, 0.62, 1.08))
    return {
        "circle": _disc(0, 0, 0.85),
        "square": _box(0, 0, 0.74, 0.74),
        "triangle": _polygon((0, 0.92), (-0.92, -0.7), (0.92, -0.7)),
        "star": _star(5, 1.0, 0.42),
        "heart": _join(
            _disc(-0.42, 0.3, 0.47),
            _disc(0.42, 0.3, 0.47),
            _polygon((-0.83, 0.08), (0, 0.45), (0.83, 0.08), (0, -0.9)),
        ),
        "cross": _join(_box(0, 0, 0.3, 0.88), _box(0, 0, 0.88, 0.3)),
        "ring": _cut(_disc(0, 0, 0.9), _disc(0, 0, 0.42)),
        "crescent": _cut(_disc(0, 0, 0.9), _disc(0.42, 0.16, 0.66)),
        "hexagon": _polygon(*_ring_of(6, 0.92, 0)),
        "diamond": _polygon((0, 0.98), (0.62, 0), (0, -0.98), (-0.62, 0)),
        "arrow": _polygon(
            (0.98, 0), (0.2, 0.72), (0.2, 0.3), (-0.9, 0.3), (-0.9, -0.3), (0.2, -0.3), (0.2, -0.72)
        ),
        "flower": _join(_disc(0, 0, 0.42), *(_disc(a, b, 0.34) for a, b in _ring_of(5, 0.58))),
        "gear": _cut(_join(_disc(0, 0, 0.68), _turned_boxes(8, 0.74, 0.15)), _disc(0, 0, 0.24)),
        "drop": _join(_disc(0, -0.3, 0.6), _polygon((0, 0.98), (-0.55, -0.05), (0.55, -0.05))),
        "house": _join(
            _box(0, -0.4, 0.62, 0.48),
            _polygon((0, 0.92), (-0.88, 0.06), (0.88, 0.06)),
            _box(0.48, 0.6, 0.12, 0.3),
        ),
        "fish": _join(
            lambda x, y: lens(x + 0.2, y),
            _polygon((0.4, 0), (0.98, 0.55), (0.84, 0), (0.98, -0.55)),
        ),
        "leaf": _join(
            lambda x, y: _both(_disc(-0.72, 0, 1.2), _disc(0.72, 0, 1.2))(x, y - 0.06),
            _box(0, -0.9, 0.07, 0.22),
        ),
        "bolt": _polygon(
            (0.3, 0.98), (-0.6, -0.1), (-0.08, -0.1), (-0.35, -0.98), (0.6, 0.2), (0.06, 0.2)
        ),
        "key": _join(
            _cut(_disc(-0.56, 0, 0.42), _disc(-0.56, 0, 0.16)),
            _box(0.36, 0, 0.6, 0.13),
            _box(0.82, -0.24, 0.11, 0.22),
            _box(0.46, -0.2, 0.1, 0.18),
        ),
        "mushroom": _join(
            _both(_disc(0, 0.02, 0.9), _box(0, 0.5, 1.0, 0.48)), _box(0, -0.45, 0.27, 0.5)
        ),
        "cup": _join(
            _polygon((-0.82, 0.75), (0.5, 0.75), (0.36, -0.82), (-0.68, -0.82)),
            _cut(_disc(0.52, 0.08, 0.44), _disc(0.52, 0.08, 0.22)),
        ),
        "tree": _join(
            _polygon((0, 1.0), (-0.55, 0.3), (0.55, 0.3)),
            _polygon((0, 0.62), (-0.7, -0.2), (0.7, -0.2)),
            _polygon((0, 0.15), (-0.86, -0.66), (0.86, -0.66)),
            _box(0, -0.8, 0.16, 0.2),
        ),
        "boat": _join(
            _polygon((-0.95, -0.3), (0.95, -0.3), (0.6, -0.85), (-0.6, -0.85)),
            _box(0.02, 0.2, 0.06, 0.6),
            _polygon((0.12, 0.95), (0.12, -0.14), (0.8, -0.14)),
            _polygon((-0.1, 0.7), (-0.1, -0.14), (-0.68, -0.14)),
        ),
        "crown": _polygon(
            (-0.8, -0.7), (0.8, -0.7), (0.95, 0.7), (0.42, 0.05), (0, 0.85), (-0.42, 0.05),
            (-0.95, 0.7),
        ),
    }  # fmt: skip


SHAPES = tuple(_outlines())
"""Names of the shapes."""


@cache
def atlas() -> Array:
    """Return the distances of all shapes, [24, RESOLUTION, RESOLUTION] float32, rows from the top.

    Cell (0, 0) is the point (-REACH, REACH), the last one (REACH, -REACH).
    """
    line = np.linspace(-REACH, REACH, RESOLUTION)
    x, y = np.meshgrid(line, -line)
    distances = np.stack([outline(x, y) for outline in _outlines().values()])
    return (np.round(distances * STEPS) / STEPS).astype(np.float32)
