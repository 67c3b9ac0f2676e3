"""Every decoder takes photos of any shape at several input sides, whole or in tiles."""

import numpy as np
import pytest
import torch

from mambaad_demo.models import DECODERS, DetectorConfig, build_detector
from mambaad_demo.pipeline.inference import DetectorRunner, ModelInput

every_decoder = pytest.mark.parametrize("decoder", sorted(DECODERS))


def runner(decoder, side):
    torch.manual_seed(0)
    options = {"dims": (64, 32, 16, 8), "depths": (2, 2, 2, 2)}
    config = DetectorConfig(
        decoder=decoder, decoder_options=options, encoder_weights="random", input_side=side
    )
    return DetectorRunner(build_detector(config))


def photo(width, height):
    return np.random.default_rng(width * height).random((height, width, 3), dtype=np.float32)


@every_decoder
@pytest.mark.parametrize("side", [128, 256, 512])
@pytest.mark.parametrize(("width", "height"), [(400, 300), (90, 700)], ids=["wide", "very tall"])
def test_a_map_of_the_size_of_the_photo_comes_back(decoder, side, width, height):
    item = ModelInput.from_pixels(photo(width, height), side=side, resize="letterbox")
    (anomaly_map,) = runner(decoder, side)([item]).maps
    full = item.geometry.map_to_image(anomaly_map)
    assert full.shape == (height, width)
    assert np.isfinite(full).all()
    assert full.std() > 0


@every_decoder
def test_tiles_see_what_the_same_crops_see_alone(decoder):
    detect = runner(decoder, 128)
    item = ModelInput.from_pixels(photo(500, 300), side=128, resize="letterbox", tiles=3)
    (blended,) = detect([item]).maps
    alone = [detect([ModelInput.from_pixels(tile, side=128, resize="square")]).maps[0] for tile in item.tiles]
    np.testing.assert_allclose(blended, item.geometry.tiling.blend(alone), atol=1e-5)


@pytest.mark.parametrize(("decoder", "side"), [("pyramid_mamba", 192), ("pyramid_mamba", 320)])
def test_the_sweeping_decoder_takes_sides_that_are_no_powers_of_two(decoder, side):
    item = ModelInput.from_pixels(photo(40, 30), side=side, resize="letterbox")
    (anomaly_map,) = runner(decoder, side)([item]).maps
    assert anomaly_map.shape == (side, side)


@pytest.mark.parametrize("decoder", ["mambaad", "mambaad_v2"])
def test_a_side_that_the_path_does_not_allow_is_refused_when_the_network_is_built(decoder):
    with pytest.raises(ValueError, match="power of two"):
        runner(decoder, 192)
