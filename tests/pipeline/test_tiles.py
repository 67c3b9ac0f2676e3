"""A large photo in tiles: small defects are found, wherever they lie, and limits belong to tiles."""

import numpy as np
import pytest
import torch

from mambaad_demo.errors import InputError
from mambaad_demo.hub.schemas import MOST_TILES
from mambaad_demo.ops.anomaly_map import gaussian_smooth
from mambaad_demo.pipeline.inference import DetectorRunner, ModelInput
from mambaad_demo.pipeline.prediction import Verdict
from tests.pipeline.conftest import GrayDetector, stub_predictor


class SmoothingDetector(GrayDetector):
    """As real maps are: smoothed, each tile by itself, so that tiles know nothing beyond their borders."""

    def maps_from_features(self, features):
        return gaussian_smooth(super().maps_from_features(features), 2.0)


def photo(width=512, height=384, *, spots=()):
    """Mid gray with bright spots of 3 × 3 pixels; (H, W, 3) float32."""
    pixels = np.full((height, width, 3), 0.5, np.float32)
    for x, y in spots:
        pixels[y - 1 : y + 2, x - 1 : x + 2] = 0.9
    return pixels


def map_of(pixels, tiles, detector=None):
    runner = DetectorRunner(detector or SmoothingDetector())
    item = ModelInput.from_pixels(pixels, side=64, resize="letterbox", tiles=tiles)
    (blended,) = runner([item]).maps
    return item.geometry.map_to_image(blended)


def seams(length, side, tiles):
    """Where tiles begin and end along one axis, and between, in pixels of a photo shown at full size."""
    corners = ModelInput.from_pixels(photo(length, length), side=side, resize="square", tiles=tiles)
    starts = sorted({left for _, left in corners.geometry.tiling.corners})
    overlap = side - (starts[1] - starts[0])
    return [place for start in starts[1:] for place in (start, start + overlap // 2, start + overlap)]


CANVAS = 64 + 9 * 48  # ten tiles of 64 with a quarter in common


@pytest.mark.parametrize("seam", seams(CANVAS, 64, 10))
@pytest.mark.parametrize("axis", ["across", "down", "both"])
def test_a_defect_on_a_seam_is_as_anomalous_as_one_inside_a_tile(seam, axis):
    inside = 24  # far from all seams of the first tile
    spot = {"across": (seam, inside), "down": (inside, seam), "both": (seam, seam)}[axis]
    x, y = (int(np.clip(place, 6, CANVAS - 7)) for place in spot)
    found = map_of(photo(CANVAS, CANVAS, spots=[(x, y)]), 10)
    alone = map_of(photo(CANVAS, CANVAS, spots=[(inside, inside)]), 10)

    row, column = np.unravel_index(found.argmax(), found.shape)
    assert abs(column - x) <= 1
    assert abs(row - y) <= 1
    assert found.max() == pytest.approx(alone.max(), rel=0.02)


def test_a_smooth_picture_has_no_seams_in_its_map():
    ramp = np.linspace(0.3, 0.9, CANVAS, dtype=np.float32)
    pixels = np.repeat(np.repeat(ramp[None, :, None], CANVAS, 0), 3, 2)
    blended = map_of(pixels, 10, GrayDetector())
    np.testing.assert_allclose(blended, np.abs(pixels[..., 0] - 0.5), atol=1e-5)


def test_tiles_find_a_spot_that_the_whole_picture_loses():
    tiled, whole = (stub_predictor(tiles=tiles) for tiles in (8, 1))
    spotted = (photo(512, 384, spots=[(301, 77)]) * 255).round().astype(np.uint8)

    found = tiled.predict(spotted, category="gray")
    assert found.verdict is Verdict.REJECT
    assert abs(found.regions[0].peak_x - 301) <= 2
    assert abs(found.regions[0].peak_y - 77) <= 2
    assert whole.predict(spotted, category="gray").image_score < 0.5 * found.image_score


def test_the_prediction_says_how_many_tiles_there_were_and_shows_them():
    prediction = stub_predictor(tiles=8).predict(np.full((384, 512, 3), 128, np.uint8))
    assert prediction.tiles == 8 * 6
    assert prediction.to_json()["tiles"] == 48
    assert prediction.model_input.shape == (300, 400, 3)
    assert prediction.anomaly_map.shape == (384, 512)


def test_limits_are_those_of_the_checkpoints_own_number_of_tiles():
    predictor = stub_predictor(tiles=2)
    assert predictor.predict(np.full((80, 96, 3), 128, np.uint8), category="gray").verdict is Verdict.ACCEPT

    other = predictor.tiled(4).predict(np.full((80, 96, 3), 128, np.uint8), category="gray")
    assert other.verdict is Verdict.CHECK
    assert other.limits.reject is None
    assert other.percentile is None
    assert "for 2 tiles along the longer side, not for 4 tiles" in other.notes[0]
    assert predictor.tiled(4).tiled(2).limits("gray") == predictor.limits("gray")


@pytest.mark.parametrize("tiles", [0, -1, MOST_TILES + 1])
def test_too_many_tiles_or_none_are_refused(tiles):
    with pytest.raises(InputError, match=f"1 to {MOST_TILES} tiles"):
        stub_predictor().tiled(tiles)


def test_pictures_of_different_shapes_share_a_batch_and_keep_their_own_maps():
    runner = DetectorRunner(GrayDetector())
    generator = np.random.default_rng(0)
    inputs = [
        ModelInput.from_pixels(
            generator.random((height, width, 3), dtype=np.float32), side=64, resize="letterbox", tiles=3
        )
        for width, height in ((300, 200), (90, 300), (128, 128))
    ]
    together = runner(inputs)
    for number, item in enumerate(inputs):
        (alone,) = runner([item]).maps
        np.testing.assert_array_equal(together.maps[number], alone)
        assert alone.shape == item.pixels.shape[:2]
        tiles = torch.from_numpy(np.stack(item.tiles))
        np.testing.assert_allclose(together.embeddings[number], tiles.mean(dim=(0, 1, 2)), atol=1e-6)
