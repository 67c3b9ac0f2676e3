"""Pixels to the model and back, for every shape of picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mambaad_demo.data.geometry import Geometry

sizes = st.integers(1, 6000)
sides = st.sampled_from([32, 224, 256, 512])
rules = st.sampled_from(["letterbox", "square"])


@settings(derandomize=True, max_examples=200, deadline=None)
@given(sizes, sizes, sides, rules)
def test_corners_come_back_to_where_they_were(width, height, side, rule):
    geometry = Geometry.fit(width, height, side, rule)
    for x in (0, width):
        for y in (0, height):
            assert geometry.point_to_image(*geometry.point_to_model(x, y)) == pytest.approx((x, y), abs=1e-6)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(sizes, sizes, sides, rules)
def test_corners_of_the_image_are_corners_of_the_content(width, height, side, rule):
    geometry = Geometry.fit(width, height, side, rule)
    top, left, tall, wide = geometry.content
    assert geometry.point_to_model(0, 0) == (left, top)
    assert geometry.point_to_model(width, height) == (left + wide, top + tall)
    assert 0 <= top <= top + tall <= side
    assert 0 <= left <= left + wide <= side


@settings(derandomize=True, max_examples=200, deadline=None)
@given(sizes, sizes, sides)
def test_letterbox_keeps_the_aspect_ratio_to_a_pixel_and_centers(width, height, side):
    top, left, tall, wide = Geometry.fit(width, height, side, "letterbox").content
    assert max(tall, wide) == side
    assert tall == max(1, round(side * height / max(width, height)))
    assert wide == max(1, round(side * width / max(width, height)))
    assert abs(2 * top + tall - side) <= 1
    assert abs(2 * left + wide - side) <= 1


def test_square_rule_fills_the_whole_input():
    assert Geometry.fit(300, 100, 64, "square").content == (0, 0, 64, 64)


@settings(derandomize=True, max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([32, 64]), rules)
def test_arrays_have_the_promised_shapes(width, height, side, rule):
    geometry = Geometry.fit(width, height, side, rule)
    pixels = geometry.to_model(np.full((height, width, 3), 0.25, np.float32))
    assert pixels.shape == (side, side, 3)
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels, 0.25, atol=1e-6)  # a flat picture stays flat, padding included
    back = geometry.map_to_image(np.ones((side, side), np.float32))
    assert back.shape == (height, width)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, 1, atol=1e-6)
    assert geometry.mask_to_model(np.ones((height, width), bool)).shape == (side, side)


@pytest.mark.parametrize("rule", ["letterbox", "square"])
@pytest.mark.parametrize(("width", "height"), [(400, 300), (90, 300), (50, 40)])
def test_a_spot_of_the_map_returns_to_its_place_in_the_image(width, height, rule):
    geometry = Geometry.fit(width, height, 64, rule)
    image = np.zeros((height, width, 3), np.float32)
    x, y = int(width * 0.7), int(height * 0.3)
    image[y - 8 : y + 9, x - 8 : x + 9] = 1
    returned = geometry.map_to_image(geometry.to_model(image).mean(axis=2))
    rows, columns = np.nonzero(returned > 0.5 * returned.max())
    tolerance = max(width, height) / 64  # one model pixel
    assert abs(rows.mean() - y) < tolerance
    assert abs(columns.mean() - x) < tolerance


def test_shrinking_does_not_alias():
    fine = np.zeros((1024, 1024, 3), np.float32)
    fine[:, ::2] = 1  # far too fine for 64 pixels: must become gray
    np.testing.assert_allclose(Geometry.fit(1024, 1024, 64, "square").to_model(fine), 0.5, atol=0.01)


def test_resize_agrees_with_pillow():
    pixels = np.random.default_rng(0).random((90, 120, 3), dtype=np.float32)
    ours = Geometry.fit(120, 90, 40, "square").to_model(pixels)
    for channel in range(3):
        theirs = Image.fromarray(pixels[..., channel]).resize((40, 40), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(ours[..., channel], np.asarray(theirs), atol=1e-5)


def test_letterbox_padding_repeats_the_edge():
    wide = np.zeros((32, 128, 3), np.float32)
    wide[:16] = 0.2
    wide[16:] = 0.9
    model = Geometry.fit(128, 32, 64, "letterbox").to_model(wide)
    np.testing.assert_allclose(model[:24], 0.2, atol=1e-6)
    np.testing.assert_allclose(model[40:], 0.9, atol=1e-6)


def test_mask_is_resized_then_halved_and_padding_is_never_defect():
    mask = np.ones((32, 128), bool)
    model = Geometry.fit(128, 32, 64, "letterbox").mask_to_model(mask)
    assert model[24:40].all()
    assert not model[:24].any()
    assert not model[40:].any()


def test_mask_agrees_with_the_reference_resize():
    mask = np.zeros((300, 200), bool)
    mask[40:133, 20:171] = True
    theirs = Image.fromarray(mask.astype(np.float32)).resize((64, 64), Image.Resampling.BILINEAR)
    ours = Geometry.fit(200, 300, 64, "square").mask_to_model(mask)
    np.testing.assert_array_equal(ours, np.asarray(theirs) > 0.5)


def test_read_only_and_turned_arrays_are_welcome():
    pixels = np.random.default_rng(0).random((40, 60, 3), dtype=np.float32)
    pixels.flags.writeable = False
    model = Geometry.fit(60, 40, 32, "square").to_model(pixels[::-1])
    np.testing.assert_allclose(model, Geometry.fit(60, 40, 32, "square").to_model(pixels)[::-1], atol=1e-6)


@pytest.mark.parametrize(("width", "height", "side"), [(0, 5, 32), (5, -1, 32), (5, 5, 0)])
def test_sizes_below_one_pixel_are_refused(width, height, side):
    with pytest.raises(ValueError, match="positive"):
        Geometry.fit(width, height, side, "letterbox")


def test_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="'crop'"):
        Geometry.fit(10, 10, 32, "crop")


def test_image_of_another_size_is_refused():
    geometry = Geometry.fit(60, 40, 32, "square")
    with pytest.raises(ValueError, match="40 × 60"):
        geometry.to_model(np.zeros((60, 40, 3), np.float32))
    with pytest.raises(ValueError, match="32 × 32"):
        geometry.map_to_image(np.zeros((64, 64), np.float32))
