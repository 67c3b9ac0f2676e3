"""A detector whose answer is known beforehand: how far each pixel is from mid gray."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mambaad_demo.hub.checkpoints import Checkpoint
from mambaad_demo.hub.schemas import CalibrationFile, CheckpointConfig
from mambaad_demo.hub.self_test import SelfTest
from mambaad_demo.models.detector import DetectorConfig
from mambaad_demo.pipeline.calibration import calibrate
from mambaad_demo.pipeline.inference import ModelInput
from mambaad_demo.pipeline.predictor import Predictor


class GrayDetector(nn.Module):
    """Map: largest distance of a channel from 0.5. Embedding: the mean color."""

    def __init__(self, side: int = 64) -> None:
        super().__init__()
        self.side = side
        self.config = DetectorConfig(input_side=side, encoder_weights="random")
        self.register_buffer("anchor", torch.zeros(1))
        self.encoder = nn.Module()
        self.encoder.precision = "float32"

    def encode(self, images: Tensor) -> list[Tensor]:
        return [images]

    def maps_from_features(self, features: list[Tensor]) -> Tensor:
        return (features[0] - 0.5).abs().amax(dim=1)

    def embed(self, features: list[Tensor]) -> Tensor:
        return features[0].mean(dim=(2, 3))

    def resolved_kernel(self, device: torch.device | str) -> str:
        return "torch"


def gray_images(
    count: int, *, tint: tuple[float, float, float] = (0.0, 0.0, 0.0), seed: int = 0
) -> list[np.ndarray]:
    """Good parts: (80, 96, 3) float32, mid gray with a little noise and another brightness each."""
    generator = np.random.default_rng(seed)
    base = np.float32(0.5) + np.float32(tint)
    return [
        (base + generator.normal(0, 0.01, (80, 96, 3)) + generator.normal(0, 0.005)).astype(np.float32)
        for _ in range(count)
    ]


def stub_predictor(*, resize: str = "letterbox", calibrated: bool = True, tiles: int = 1) -> Predictor:
    """A predictor over `GrayDetector` that knows the categories gray and brown."""
    detector = GrayDetector()
    good = {"gray": gray_images(20), "brown": gray_images(20, tint=(0.06, 0.0, -0.06), seed=1)}
    inputs = {
        name: [ModelInput.from_pixels(pixels, side=64, resize=resize, tiles=tiles) for pixels in images]
        for name, images in good.items()
    }
    calibration = calibrate(detector, inputs) if calibrated else CalibrationFile()
    return Predictor(
        Checkpoint(
            name="stub",
            folder=Path("stub"),
            config=CheckpointConfig(
                name="stub",
                detector={},
                resize=resize,
                tiles=tiles,
                categories=tuple(good) if calibrated else (),
            ),
            detector=detector,
            calibration=calibration,
            sha256="ab" * 32,
            self_test=SelfTest(passed=True, largest_difference=0.0),
        )
    )


@pytest.fixture
def predictor() -> Predictor:
    """Calibrated, letterboxed."""
    return stub_predictor()


@pytest.fixture
def uncalibrated() -> Predictor:
    """Without any limits, as weights just imported are."""
    return stub_predictor(calibrated=False)


@pytest.fixture
def squared() -> Predictor:
    """Calibrated, stretched to the square."""
    return stub_predictor(resize="square")


@pytest.fixture
def good_part() -> np.ndarray:
    """(80, 96, 3) uint8 of the category gray."""
    return np.rint(gray_images(1, seed=7)[0] * 255).astype(np.uint8)


@pytest.fixture
def bad_part(good_part: np.ndarray) -> np.ndarray:
    """The same with a white square of 20 pixels at x 60, y 10."""
    part = good_part.copy()
    part[10:30, 60:80] = 255
    return part
