"""Named configurations: which network, how it is trained. Change a number here and it changes in one
place."""

from mambaad_demo.models.detector import DetectorConfig
from mambaad_demo.models.encoder import PACKAGED_ENCODER


def default_detector(decoder: str, encoder: str = PACKAGED_ENCODER) -> DetectorConfig:
    """The network for two CPU cores: narrow stages, two directions, standardised targets, noise on the
    fused map.

    The packaged encoder needs no download; any other comes from the Hub with its pretrained weights.
    """
    return DetectorConfig(
        decoder=decoder,
        decoder_options={"dims": (256, 128, 64, 32), "depths": (2, 2, 2, 2), "directions": 2},
        encoder=encoder,
        encoder_weights="package" if encoder == PACKAGED_ENCODER else "hub",
        standardize=True,
        anchor=0.7,
        noise_std=0.2,
    )
