"""Shapes: outlines as distances."""

import numpy as np

from pfedmma_dist.data.glyphs.shapes import REACH, RESOLUTION, SHAPES, STEPS, atlas

LINE = np.linspace(-REACH, REACH, RESOLUTION)


def test_distances_of_a_circle_are_those_on_paper():
    x, y = np.meshgrid(LINE, -LINE)
    expected = 0.85 - np.hypot(x, y)
    assert abs(atlas()[SHAPES.index("circle")] - expected).max() <= 0.5 / STEPS + 1e-6


def test_every_shape_lies_whole_within_the_atlas_and_is_neither_dust_nor_full():
    inside = atlas() > 0
    border = inside[:, [0, -1]].any() or inside[:, :, [0, -1]].any()
    assert not border
    share = inside.mean(axis=(1, 2))
    assert share.min() > 0.05
    assert share.max() < 0.5


def test_no_distance_changes_faster_than_the_place():
    cell = 2 * REACH / (RESOLUTION - 1)
    for axis in (1, 2):
        assert abs(np.diff(atlas(), axis=axis)).max() <= cell + 1 / STEPS


def test_any_two_shapes_differ_in_a_twentieth_of_their_area():
    inside = (atlas() > 0).reshape(len(SHAPES), -1)
    for a in range(len(SHAPES)):
        for b in range(a):
            joint = (inside[a] | inside[b]).sum()
            assert (inside[a] ^ inside[b]).sum() > 0.05 * joint, (SHAPES[a], SHAPES[b])


def test_distances_are_multiples_of_a_step_so_that_every_cpu_has_the_same():
    scaled = atlas() * STEPS
    assert np.array_equal(scaled, np.round(scaled))


def test_up_is_up():
    house = atlas()[SHAPES.index("house")] > 0
    top, bottom = house[: RESOLUTION // 3].sum(), house[-RESOLUTION // 3 :].sum()
    assert bottom > 1.5 * top
