"""The golden self-test: two stored inputs go through the live network and must give the stored maps.

It catches what no hash can: another kernel, device or library version that computes something else.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from mambaad_demo.errors import CheckpointCorruptError
from mambaad_demo.hub.weights import read_tensors
from mambaad_demo.models.detector import Detector

TOLERANCE = 1e-3
"""Largest accepted difference of a map value, which lies in 0 to 2 and is usually judged against limits near
0.1. Kernels and devices in float32 differ by about 1e-5, convolutions in TF32 by a few 1e-4."""

GOLDEN_IMAGES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """How far the live network is from the stored one."""

    passed: bool
    largest_difference: float
    tolerance: float = TOLERANCE


def golden_file(detector: Detector, images: np.ndarray) -> bytes:
    """The content of `golden.safetensors`: images and the maps this detector makes of them now.

    Args:
        detector: with its final weights.
        images: (2, S, S, 3) uint8.
    """
    expected = (GOLDEN_IMAGES, detector.side, detector.side, 3)
    if images.shape != expected or images.dtype != np.uint8:
        raise ValueError(f"golden images must be {expected} uint8, got {images.shape} {images.dtype}")
    stored = torch.from_numpy(np.ascontiguousarray(images))
    return save({"images": stored, "maps": _maps(detector, stored)})


def run_self_test(detector: Detector, path: Path) -> SelfTest:
    """Replay the golden images on the detector's own device and kernel.

    Raises:
        CheckpointCorruptError, CheckpointMismatchError: the file is damaged or made for another input size.
    """
    side = detector.side
    golden = read_tensors(
        path,
        {
            "images": torch.empty((GOLDEN_IMAGES, side, side, 3), dtype=torch.uint8, device="meta"),
            "maps": torch.empty((GOLDEN_IMAGES, side, side), device="meta"),
        },
        owner=f"inputs of side {side}",
    )
    difference = float((_maps(detector, golden["images"]) - golden["maps"]).abs().max())
    return SelfTest(passed=difference <= TOLERANCE, largest_difference=difference)  # a NaN does not pass


def require_passed(result: SelfTest, *, checkpoint: str, device: str, kernel: str) -> None:
    """Refuse a network that computes something else than the one that was saved.

    Raises:
        CheckpointCorruptError: with the difference and the ways out.
    """
    if not result.passed:
        raise CheckpointCorruptError(
            f"The self-test of checkpoint {checkpoint!r} failed on {device} with kernel {kernel!r}: a map "
            "differs by "
            f"{result.largest_difference:.3g}, at most {result.tolerance:g} is accepted. Set "
            "MAMBAAD_KERNEL=torch, MAMBAAD_PRECISION=float32 or MAMBAAD_DEVICE=cpu, or fetch the checkpoint "
            "again."
        )


def pattern_images(side: int, *, seed: int = 0) -> np.ndarray:
    """Two smooth, colored, repeatable pictures, (2, S, S, 3) uint8, for checkpoints that come without
    images."""
    generator = np.random.default_rng(seed)
    images = []
    for cells in (4, 16):
        grid = Image.fromarray(generator.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        images.append(np.asarray(grid.resize((side, side), Image.Resampling.BICUBIC)))
    return np.stack(images)


def _maps(detector: Detector, images: Tensor) -> Tensor:
    """(2, S, S, 3) uint8 → (2, S, S) float32 on the CPU."""
    device = next(iter(detector.state_dict().values())).device
    with torch.inference_mode():
        inputs = images.to(device).permute(0, 3, 1, 2).float() / 255
        return detector.eval().anomaly_maps(inputs).float().cpu()
