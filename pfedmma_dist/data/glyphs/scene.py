"""Scene: where the object of each glyph lies, what is on it and in which colours; not yet painted.

Per pixel only correctly rounded operations are used, see glyphs.py.
"""

from dataclasses import dataclass

import numpy as np

from pfedmma_dist.data.glyphs.shapes import REACH, RESOLUTION, SHAPES, atlas

Array = np.ndarray

SIZE = 40
"""Pixels per side."""

PATTERNS = (
    "plain", "striped", "dotted", "checkered", "zigzag",
    "ringed", "hollow", "halved", "bordered", "speckled",
)  # fmt: skip

PALETTE = {
    "red": (0.85, 0.15, 0.15),
    "orange": (0.95, 0.55, 0.10),
    "yellow": (0.95, 0.88, 0.20),
    "green": (0.20, 0.65, 0.25),
    "cyan": (0.20, 0.78, 0.82),
    "blue": (0.18, 0.32, 0.85),
    "purple": (0.55, 0.25, 0.75),
    "pink": (0.95, 0.50, 0.72),
    "brown": (0.50, 0.32, 0.18),
    "grey": (0.52, 0.52, 0.52),
    "black": (0.08, 0.08, 0.10),
    "white": (0.96, 0.96, 0.96),
}
COLOURS = tuple(PALETTE)
RGB = np.array(list(PALETTE.values()), np.float32)  # [12, 3]

CONTRAST = 0.5
"""Least distance in RGB of a glyph's second colour, and of the ground, from its first."""

TILT = 32.0
"""Degrees by which the clients' camera leans at style gap 1; in pretraining it is upright."""

NUM_DRAWS = 40  # uniform numbers per image
NUM_LATTICES = 8
LATTICE = 8  # cells per side of smooth noise
NUM_WORDS = NUM_DRAWS + (NUM_LATTICES * LATTICE**2 + 3 * SIZE**2) // 8  # 64 random bits each
GRID = 4096  # entries of a rotation are multiples of 1 / GRID: no CPU's sine reaches a pixel


@dataclass(frozen=True, eq=False)
class Chance:
    """All that is random in N images."""

    uniform: Array  # [N, NUM_DRAWS] float32 in [0, 1)
    lattices: Array  # [N, NUM_LATTICES, LATTICE, LATTICE] float32 in [-1, 1]
    grain: Array  # [N, SIZE, SIZE, 3] float32 in [-1, 1]

    @classmethod
    def of(cls, words: Array) -> "Chance":
        """Turn random words [N, NUM_WORDS] uint64 into numbers."""
        uniform = (words[:, :NUM_DRAWS] >> np.uint64(40)).astype(np.float32) / np.float32(2**24)
        octets = words[:, NUM_DRAWS:].astype("<u8").view(np.uint8)
        rest = octets.astype(np.float32) / np.float32(127.5) - np.float32(1)
        cut = NUM_LATTICES * LATTICE**2
        return cls(
            uniform,
            rest[:, :cut].reshape(-1, NUM_LATTICES, LATTICE, LATTICE),
            rest[:, cut:].reshape(-1, SIZE, SIZE, 3),
        )

    def scalar(self, column: int, low: float = 0.0, high: float = 1.0) -> Array:
        """Return one uniform number per image, [N, 1, 1]."""
        return (low + (high - low) * self.uniform[:, column, None, None]).astype(np.float32)

    def smooth(self, index: int) -> Array:
        """Return smooth noise over the picture, [N, SIZE, SIZE] in [-1, 1]."""
        at = np.linspace(0, LATTICE - 1, SIZE, dtype=np.float32)
        y, x = np.broadcast_arrays(at[None, :, None], at[None, None, :])
        return _bilinear(self.lattices[:, index], np.arange(len(self.uniform)), x, y)


@dataclass(frozen=True, eq=False)
class Scene:
    """N objects over their pictures."""

    depth: Array  # [N, SIZE, SIZE] pixels to the outline, positive inside
    mark: Array  # [N, SIZE, SIZE] pixels to the edge of the pattern, positive in the second colour
    first: Array  # [N] int64 positions in COLOURS, as are the next two
    second: Array
    ground: Array

    @property
    def inside(self) -> Array:
        """Return the share of each pixel that the object covers."""
        return cover(self.depth)


def cover(distance: Array) -> Array:
    """Return the covered share of pixels at a distance from an edge."""
    return np.clip(distance + np.float32(0.5), 0, 1)


def compose(
    chance: Chance,
    combos: Array,  # [N] int64
    wobble: float,  # waviness of the outline, in units of the object
    scale: float,  # size, 1 for the usual one
    difficulty: float,
    gap: float,
) -> Scene:
    """Place the objects of N images and choose their colours."""
    pattern, shape = np.divmod(combos, len(SHAPES))
    half = chance.scalar(0, 0.82 - 0.32 * difficulty, 0.9) * np.float32(scale)
    x, y = _object_frame(chance, half, difficulty, gap)
    if wobble:
        x = x + chance.smooth(0) * np.float32(wobble)
        y = y + chance.smooth(1) * np.float32(wobble)
    pixels = half * np.float32(SIZE / 2)  # of one unit of the object
    to_cell = np.float32((RESOLUTION - 1) / (2 * REACH))
    reach = np.float32(REACH)
    depth = _bilinear(atlas(), shape, (x + reach) * to_cell, (reach - y) * to_cell)
    mark = np.empty_like(depth)
    for index in np.unique(pattern).tolist():
        mine = np.flatnonzero(pattern == index)
        mark[mine] = _pattern(PATTERNS[index], x[mine], y[mine], depth[mine], chance, mine)
    hollow = pattern == PATTERNS.index("hollow")
    depth[hollow] = np.minimum(depth[hollow], np.float32(0.24) - depth[hollow])
    apart = np.sqrt(((RGB[:, None] - RGB) ** 2).sum(axis=2)) >= CONTRAST
    fits = [np.flatnonzero(row) for row in apart]
    first = (chance.uniform[:, 1] * len(COLOURS)).astype(np.int64)
    second, ground = (
        np.array([fits[c][int(u * len(fits[c]))] for c, u in zip(first, column, strict=True)])
        for column in chance.uniform[:, 2:4].T
    )
    return Scene(depth * pixels, mark * pixels, first, second, ground)


def _object_frame(
    chance: Chance, half: Array, difficulty: float, gap: float
) -> tuple[Array, Array]:
    """Return the place of every pixel in units of its object, x right and y up, [N, SIZE, SIZE]."""
    turn = chance.uniform[:, 4].astype(np.float64) * 2 - 1
    angle = np.radians(turn * (6 + 35 * difficulty) + TILT * gap)
    cos, sin = (
        (np.round(f(angle) * GRID) / GRID).astype(np.float32)[:, None, None]
        for f in (np.cos, np.sin)
    )
    stretch = 0.05 + 0.25 * difficulty
    shift = 0.04 + 0.12 * difficulty
    wide, high = chance.scalar(5, 1 - stretch, 1), chance.scalar(6, 1 - stretch, 1)
    centre = (np.arange(SIZE, dtype=np.float32) + np.float32(0.5)) * np.float32(2 / SIZE) - 1
    x = centre[None, None, :] - chance.scalar(7, -shift, shift)
    y = chance.scalar(8, -shift, shift) - centre[None, :, None]
    return (cos * x + sin * y) / (half * wide), (cos * y - sin * x) / (half * high)


def _pattern(name: str, x: Array, y: Array, depth: Array, chance: Chance, mine: Array) -> Array:
    """Return the distance to the pattern's edge in units of the object, above 0 on its marks."""
    phase = chance.scalar(9)[mine]
    match name:
        case "striped":
            return _wave(y / np.float32(0.52) + phase) * np.float32(0.26)
        case "dotted":
            u, v = (_saw(axis / np.float32(0.5) + phase) for axis in (x, y))
            return np.float32(0.17) - np.sqrt(u * u + v * v) * np.float32(0.5)
        case "checkered":
            u, v = (_wave(axis / np.float32(0.8) + phase) * np.float32(0.4) for axis in (x, y))
            return np.where((u > 0) == (v > 0), 1, -1) * np.minimum(abs(u), abs(v))
        case "zigzag":
            bent = y + np.float32(0.45) * abs(_saw(x / np.float32(0.62)))
            return _wave(bent / np.float32(0.5) + phase) * np.float32(0.25)
        case "ringed":
            return _wave(np.sqrt(x * x + y * y) / np.float32(0.5)) * np.float32(0.25)
        case "halved":
            return y + np.float32(0)
        case "bordered":
            return np.float32(0.24) - depth
        case "speckled":
            cell = np.float32((LATTICE - 1) / 2.2)
            reach = np.float32(1.1)
            blobs = _bilinear(chance.lattices[:, 2], mine, (x + reach) * cell, (y + reach) * cell)
            return (blobs - np.float32(0.2)) * np.float32(0.25)
    return np.full_like(x, -9)  # plain and hollow


def _saw(t: Array) -> Array:
    """Return the position within a period, -0.5 .. 0.5."""
    return t - np.floor(t) - np.float32(0.5)


def _wave(t: Array) -> Array:
    """Return a triangle wave of period 1 and slope 2, -0.5 .. 0.5."""
    return np.float32(0.5) - 2 * abs(_saw(t))


def _bilinear(tables: Array, table: Array, x: Array, y: Array) -> Array:
    """Sample tables [M, R, R] at columns x and rows y, [N, SIZE, SIZE]; table: [N] which one."""
    side = tables.shape[1]
    limit = np.float32(side - 1)
    x, y = np.clip(x, 0, limit), np.clip(y, 0, limit)
    left = np.minimum(x.astype(np.int32), side - 2)
    top = np.minimum(y.astype(np.int32), side - 2)
    fx, fy = x - left, y - top
    flat = np.ascontiguousarray(tables).reshape(-1)
    place = table.astype(np.int32)[:, None, None] * (side * side) + top * side + left
    upper = flat[place] * (1 - fx) + flat[place + 1] * fx
    lower = flat[place + side] * (1 - fx) + flat[place + side + 1] * fx
    return upper * (1 - fy) + lower * fy
