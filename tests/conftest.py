"""Fixtures for all tests: a tiny detector and checkpoint, images, seeds, and a network that stops at this
machine."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before triton is imported: kernels then run on the CPU

from mambaad_demo.hub.checkpoints import save_checkpoint
from mambaad_demo.hub.schemas import CheckpointConfig
from mambaad_demo.hub.self_test import pattern_images
from mambaad_demo.models.detector import Detector, DetectorConfig, build_detector
from mambaad_demo.pipeline.calibration import calibrate
from mambaad_demo.pipeline.inference import ModelInput

TINY = DetectorConfig(
    decoder_options={"dims": (16, 8, 4, 2), "depths": (2, 2, 2, 2), "directions": 2, "state_dim": 2},
    encoder="test_efficientnet",
    encoder_weights="checkpoint",
    fusion_blocks=1,
    input_side=64,
)
"""The smallest network of the full shape: about 20 ms an image on one core, no downloaded weights."""

ImageFactory = Callable[..., np.ndarray]


@pytest.fixture(scope="session")
def golden() -> Path:
    """Outputs of the published code, recorded once."""
    return Path(__file__).resolve().parent / "golden"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves this machine."""
    connect = socket.socket.connect

    def connect_locally(self: socket.socket, address: object) -> None:
        host = str(address[0]) if isinstance(address, tuple) else ""  # a string is a Unix socket
        if isinstance(address, tuple) and host not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to connect to {host}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", connect_locally)


@pytest.fixture
def generator() -> torch.Generator:
    """A torch generator that starts the same in every test."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def make_image() -> ImageFactory:
    """The factory `textured`: (H, W, 3) uint8 pictures."""
    return textured


def textured(
    width: int = 96, height: int = 80, *, seed: int = 0, defect: tuple[int, int, int] | None = None
) -> np.ndarray:
    """A soft gray texture, with a bright square at (x, y) of some side where a defect is asked for."""
    noise = np.random.default_rng(seed).normal(0.0, 6.0, (height, width, 1))
    ramp = np.linspace(90.0, 130.0, width)[None, :, None]
    pixels = np.repeat(np.clip(ramp + noise, 0, 255).astype(np.uint8), 3, axis=2)
    if defect is not None:
        x, y, side = defect
        pixels[y : y + side, x : x + side] = (250, 240, 20)
    return pixels


@pytest.fixture
def tiny_detector() -> Detector:
    """A tiny MambaAD detector with repeatable random weights, kernel `torch`."""
    return _tiny_detector()


@pytest.fixture
def tiny_checkpoint(tmp_path: Path, _saved_tiny_checkpoint: Path) -> Path:
    """An own copy of a calibrated checkpoint folder, `checkpoints/tiny`, that knows plate and tile."""
    return shutil.copytree(_saved_tiny_checkpoint, tmp_path / "checkpoints" / "tiny")


@pytest.fixture(scope="session")
def _saved_tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "tiny"
    detector = _tiny_detector()
    calibration = calibrate(detector, {"plate": _held_out(tinted=False), "tile": _held_out(tinted=True)})
    config = CheckpointConfig(name="tiny", detector={}, categories=("plate", "tile"), training={"seed": 0})
    save_checkpoint(folder, detector, config, calibration, pattern_images(TINY.input_side))
    return folder


def _tiny_detector() -> Detector:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        detector = build_detector(TINY)
    detector.kernel = "torch"
    return detector


def _held_out(*, tinted: bool) -> Iterator[ModelInput]:
    for seed in range(5):
        pixels = textured(seed=seed).astype(np.float32) / 255
        if tinted:
            pixels = pixels.transpose(1, 0, 2) * np.float32([0.1, 0.4, 1.0])
        yield ModelInput.from_pixels(np.ascontiguousarray(pixels), side=TINY.input_side, resize="letterbox")
