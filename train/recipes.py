"""Named configurations: which network, how it is trained. Change a number here and it changes in one
place."""

from collections.abc import Mapping
from typing import Any

from mambaad_demo.models.detector import DetectorConfig
from mambaad_demo.models.encoder import PACKAGED_ENCODER

_OWN_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "mambaad": {"directions": 2},
    "pyramid_mamba": {"pyramid_levels": 1},
    "mambaad_v2": {"directions": (2, 2, 2, 4)},
}


def default_detector(decoder: str, encoder: str = PACKAGED_ENCODER) -> DetectorConfig:
    """The network for two CPU cores: narrow stages, few directions, standardised targets, noise on the fused
    map.

    The packaged encoder needs no download; any other comes from the Hub with its pretrained weights.
    """
    return DetectorConfig(
        decoder=decoder,
        decoder_options={"dims": (256, 128, 64, 32), "depths": (2, 2, 2, 2), **_OWN_OPTIONS[decoder]},
        encoder=encoder,
        encoder_weights="package" if encoder == PACKAGED_ENCODER else "hub",
        standardize=True,
        anchor=0.7,
        noise_std=0.2,
    )
