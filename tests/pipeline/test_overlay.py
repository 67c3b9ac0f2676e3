"""Pictures of predictions: one fixed scale, cold good parts, files that open."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mambaad_demo.pipeline.overlay import (
    colour_levels,
    contour_paths,
    heat_png,
    map_npy,
    map_png16,
    mask_png,
    overlay_png,
    preview_jpeg,
)
from mambaad_demo.pipeline.prediction import Limits


@pytest.fixture
def bad(predictor, bad_part):
    return predictor.predict(bad_part, category="gray")


@pytest.fixture
def good(predictor, good_part):
    return predictor.predict(good_part, category="gray")


def opened(content):
    return Image.open(io.BytesIO(content))


def test_the_scale_is_fixed_by_the_good_median_and_the_reject_limit(bad):
    limits = Limits(check=0.2, reject=0.3)
    values = np.float32([[0.0, 0.1, 0.3, 0.5, 9.0]])

    levels = colour_levels(replace(bad, limits=limits, pixel_median=0.1, anomaly_map=values))

    assert levels.tolist() == [[0, 0, 128, 255, 255]]


def test_a_good_part_stays_cold_and_a_defect_is_hot(good, bad):
    assert np.mean(colour_levels(good) > 127) < 0.01
    assert colour_levels(bad)[20, 70] == 255


def test_levels_do_not_depend_on_the_rest_of_the_picture(good):
    hotter = good.anomaly_map.copy()
    hotter[0, 0] = 1.0

    before, after = colour_levels(good), colour_levels(replace(good, anomaly_map=hotter))

    np.testing.assert_array_equal(before.ravel()[1:], after.ravel()[1:])


def test_a_median_above_the_limit_does_not_turn_the_scale_over(bad):
    levels = colour_levels(replace(bad, pixel_median=1.0))

    assert levels.min() == 0
    assert np.isfinite(levels).all()


def test_an_uncalibrated_map_gets_a_fixed_scale_too(uncalibrated, bad_part):
    prediction = uncalibrated.predict(bad_part)

    assert prediction.color_range == (0.0, 0.5)
    assert colour_levels(prediction)[20, 70] == pytest.approx(127.5, abs=1)


def test_the_heat_map_is_transparent_where_cold(bad):
    heat = opened(heat_png(bad))
    alpha = np.asarray(heat.convert("RGBA"))[..., 3]

    assert (heat.mode, heat.size) == ("P", (96, 80))
    assert alpha[70, 5] == 0
    assert alpha[20, 70] == 255


@pytest.mark.parametrize("render", [heat_png, preview_jpeg])
def test_previews_are_bounded_and_keep_their_shape(render, bad):
    picture = opened(render(bad, max_side=48))

    assert picture.size == (48, 40)


def test_a_small_picture_is_not_enlarged(bad):
    assert opened(preview_jpeg(bad)).size == (96, 80)


def test_the_overlay_changes_the_defect_and_not_the_rest(bad):
    overlay = np.asarray(opened(overlay_png(bad, 1.0, outlines=False))).astype(int)

    assert overlay.shape == bad.image.shape
    assert np.abs(overlay[20, 70] - bad.image[20, 70]).max() > 20
    np.testing.assert_array_equal(overlay[60:, :40], bad.image[60:, :40])
    np.testing.assert_array_equal(np.asarray(opened(overlay_png(bad, 0.0, outlines=False))), bad.image)


def test_outlines_are_drawn_around_the_regions(bad):
    plain, outlined = (np.asarray(opened(overlay_png(bad, outlines=outlines))) for outlines in (False, True))
    rows, columns = np.nonzero((plain != outlined).any(axis=2))

    assert (columns.min(), columns.max()) == pytest.approx((60, 80), abs=3)
    assert (rows.min(), rows.max()) == pytest.approx((10, 30), abs=3)


@pytest.mark.parametrize("opacity", [-0.1, 1.1])
def test_an_opacity_outside_its_range_is_a_mistake(bad, opacity):
    with pytest.raises(ValueError, match="opacity"):
        overlay_png(bad, opacity)


def test_contours_become_closed_svg_paths(bad):
    (path,) = contour_paths(bad)

    assert path.startswith("M")
    assert path.endswith("Z")
    assert "nan" not in path


def test_downloads_hold_the_raw_numbers(bad):
    np.testing.assert_array_equal(np.load(io.BytesIO(map_npy(bad)), allow_pickle=False), bad.anomaly_map)
    sixteen = np.asarray(opened(map_png16(bad)))
    np.testing.assert_allclose(sixteen / 65535 * 2, bad.anomaly_map, atol=2e-5)
    mask = opened(mask_png(bad))
    assert mask.mode == "1"
    np.testing.assert_array_equal(np.asarray(mask), bad.anomaly_mask)


def test_pictures_carry_no_metadata(bad):
    assert opened(preview_jpeg(bad)).getexif() == {}
