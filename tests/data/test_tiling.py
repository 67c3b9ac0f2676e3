"""Tiles cover a picture, and their maps join without seams."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mambaad_demo.data.geometry import Geometry
from mambaad_demo.data.tiling import OVERLAP, Tiling, length_of

SIDE = 32
lengths = st.integers(SIDE, 400)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(lengths, lengths)
def test_tiles_lie_inside_reach_the_borders_and_overlap_enough(height, width):
    corners = Tiling(height=height, width=width, side=SIDE).corners
    for starts, length in (({top for top, _ in corners}, height), ({left for _, left in corners}, width)):
        ordered = sorted(starts)
        assert ordered[0] == 0
        assert ordered[-1] == length - SIDE
        steps = np.diff(ordered)
        assert (steps <= SIDE - round(OVERLAP * SIDE) + 1).all()


@settings(derandomize=True, max_examples=50, deadline=None)
@given(lengths, lengths)
def test_what_tiles_agree_on_is_blended_unchanged(height, width):
    tiling = Tiling(height=height, width=width, side=SIDE)
    whole = np.random.default_rng(height * 1000 + width).random((height, width))
    blended = tiling.blend([tiling.cut(whole, number) for number in range(len(tiling))])
    np.testing.assert_allclose(blended, whole, atol=1e-6)
    assert blended.dtype == np.float32


def test_tiles_that_disagree_meet_without_a_step():
    """Neighbours 0 and 1: the map climbs over the overlap and shows no edge of a tile."""
    tiling = Tiling(height=SIDE, width=length_of(3, SIDE), side=SIDE)
    blended = tiling.blend([np.full((SIDE, SIDE), value, np.float32) for value in (0.0, 1.0, 0.0)])
    overlap = OVERLAP * SIDE
    assert np.abs(np.diff(blended, axis=1)).max() < 2 / overlap  # a step would be 1
    np.testing.assert_allclose(np.diff(blended, axis=0), 0, atol=1e-7)
    assert blended.min() == 0
    assert blended.max() == 1


def test_a_picture_of_one_tile_is_that_tile():
    tile = np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32)
    tiling = Tiling(height=SIDE, width=SIDE, side=SIDE)
    assert len(tiling) == 1
    np.testing.assert_array_equal(tiling.blend([tile]), tile)


@pytest.mark.parametrize("tiles", [1, 2, 3, 8])
@pytest.mark.parametrize(("width", "height"), [(2048, 1536), (1536, 2048), (1000, 1000), (4000, 90)])
@pytest.mark.parametrize("rule", ["letterbox", "square"])
def test_the_longer_side_of_an_image_gets_as_many_tiles_as_asked_for(tiles, width, height, rule):
    tiling = Geometry.fit(width, height, SIDE, rule, tiles).tiling
    rows, columns = (len(set(starts)) for starts in zip(*tiling.corners, strict=True))
    assert max(rows, columns) == tiles
    assert min(tiling.height, tiling.width) >= SIDE


def test_a_narrow_image_is_padded_to_the_height_of_a_tile():
    geometry = Geometry.fit(4000, 90, SIDE, "letterbox", 4)
    assert geometry.tiling.height == SIDE
    assert geometry.content.height < SIDE
    canvas = geometry.to_model(np.full((90, 4000, 3), 0.25, np.float32))
    np.testing.assert_allclose(canvas, 0.25, atol=1e-6)


def test_tiles_show_what_one_input_blurs_away():
    """A bright dot of 12 pixels in 2048 keeps its contrast in tiles and loses it in one input."""
    image = np.zeros((1536, 2048, 3), np.float32)
    image[700:712, 900:912] = 1
    whole, tiled = (
        Geometry.fit(2048, 1536, 256, "letterbox", tiles).to_model(image).max() for tiles in (1, 8)
    )
    assert whole < 0.8
    assert tiled > 0.99


@settings(derandomize=True, max_examples=100, deadline=None)
@given(
    st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 6), st.sampled_from(["letterbox", "square"])
)
def test_corners_come_back_to_where_they_were_in_tiles_too(width, height, tiles, rule):
    geometry = Geometry.fit(width, height, SIDE, rule, tiles)
    top, left, tall, wide = geometry.content
    assert 0 <= top <= top + tall <= geometry.tiling.height
    assert 0 <= left <= left + wide <= geometry.tiling.width
    for x in (0, width):
        for y in (0, height):
            assert geometry.point_to_image(*geometry.point_to_model(x, y)) == pytest.approx((x, y), abs=1e-6)


def test_fewer_maps_than_tiles_are_refused():
    with pytest.raises(ValueError, match="3 maps make the picture, got 1"):
        Tiling(height=SIDE, width=length_of(3, SIDE), side=SIDE).blend([np.zeros((SIDE, SIDE))])


@pytest.mark.parametrize(("height", "width", "side"), [(31, 64, 32), (64, 31, 32), (64, 64, 0)])
def test_tiles_larger_than_the_picture_or_empty_are_refused(height, width, side):
    with pytest.raises(ValueError, match="do not fit"):
        Tiling(height=height, width=width, side=side)
