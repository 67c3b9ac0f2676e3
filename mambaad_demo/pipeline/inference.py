"""The one place where images meet the detector: prepared images in, maps and embeddings out, one call at a
time.

Predictor, calibration and evaluation share it, so all three see exactly the same numbers. Reading files is
`data.uploads`' business, judging scores the predictor's.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from mambaad_demo.data.geometry import Geometry
from mambaad_demo.errors import NonFiniteMapError
from mambaad_demo.hub.schemas import Resize
from mambaad_demo.models.detector import Detector
from mambaad_demo.pipeline.cuda_graphs import GraphedPass

_TILES_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInput:
    """An image as the detector takes it, and the way back."""

    pixels: np.ndarray
    """(M, N, 3) float32 in [0, 1]: the square model input, or the canvas of several tiles."""
    geometry: Geometry

    @classmethod
    def from_pixels(cls, pixels: np.ndarray, *, side: int, resize: Resize, tiles: int = 1) -> "ModelInput":
        """Fit an upright image, (H, W, 3) float32 in [0, 1], onto the canvas; see `Geometry.fit`."""
        height, width = pixels.shape[:2]
        geometry = Geometry.fit(width, height, side, resize, tiles)
        return cls(pixels=geometry.to_model(pixels), geometry=geometry)

    @property
    def tiles(self) -> list[np.ndarray]:
        """The square model inputs, (S, S, 3) views."""
        return [self.geometry.tiling.cut(self.pixels, number) for number in range(len(self.geometry.tiling))]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOutput:
    """What the detector computes for a batch of images."""

    maps: list[np.ndarray]
    """One float32 anomaly map per image, (M, N) as its canvas."""
    embeddings: np.ndarray
    """(B, E) float32 encoder embeddings, the mean over an image's tiles."""
    milliseconds: float
    """Wall time of the call, waiting for the device included, waiting for the lock not."""
    device: str
    """`cpu` or `cuda`."""
    kernel: str
    """The selective-scan backend that ran."""
    notes: tuple[str, ...] = ()
    """What a person should know about how this was computed."""

    def with_note(self, note: str) -> "ModelOutput":
        return replace(self, notes=(*self.notes, note))


class DetectorRunner:
    """Runs one detector, whose weights and kernel stay as they are; safe to share between threads, which take
    turns."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector.eval()
        self.device = next(iter(detector.state_dict().values())).device
        self._pass = GraphedPass(self._compute) if self.device.type == "cuda" else self._compute
        self._lock = threading.Lock()

    @property
    def kernel(self) -> str:
        """The selective-scan backend that runs on this device."""
        return self.detector.resolved_kernel(self.device)

    def __call__(self, inputs: Sequence[ModelInput]) -> ModelOutput:
        """Map and embed a batch of at least one image.

        Raises:
            NonFiniteMapError: the network gave something no verdict can rest on.
        """
        tiles = [tile for item in inputs for tile in item.tiles]
        with self._lock, torch.inference_mode():
            start = time.perf_counter()
            batches = [
                tiles[first : first + _TILES_AT_ONCE] for first in range(0, len(tiles), _TILES_AT_ONCE)
            ]
            results = np.concatenate([self._run(np.stack(batch)) for batch in batches])
            milliseconds = (time.perf_counter() - start) * 1000
        if not np.isfinite(results).all():
            raise NonFiniteMapError(
                f"The network returned NaN or infinite values ({self.kernel} kernel, {self.device.type}). "
                "No verdict was given; try MAMBAAD_KERNEL=torch and MAMBAAD_PRECISION=float32, and run "
                "'python -m mambaad_demo doctor'."
            )
        side = self.detector.side
        ends = np.cumsum([len(item.geometry.tiling) for item in inputs])
        parts = np.split(results, ends[:-1])
        return ModelOutput(
            maps=[
                item.geometry.tiling.blend(list(part[:, : side**2].reshape(-1, side, side)))
                for item, part in zip(inputs, parts, strict=True)
            ],
            embeddings=np.stack([part[:, side**2 :].mean(axis=0) for part in parts]),
            milliseconds=milliseconds,
            device=self.device.type,
            kernel=self.kernel,
        )

    def _run(self, stacked: np.ndarray) -> np.ndarray:
        """(B, S, S, 3) → (B, S² + E)."""
        images = torch.from_numpy(stacked)
        if self.device.type == "cuda":
            images = images.pin_memory().to(self.device, non_blocking=True)
        results: np.ndarray = self._pass(images.permute(0, 3, 1, 2)).cpu().numpy()  # the one copy back
        return results

    def _compute(self, images: torch.Tensor) -> torch.Tensor:
        """images (B, 3, S, S) → (B, S² + E): maps and embeddings side by side."""
        features = self.detector.encode(images)
        maps = self.detector.maps_from_features(features)
        return torch.cat([maps.flatten(1), self.detector.embed(features)], dim=1)


def content_of(anomaly_map: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The part of a model-resolution map (M, N) that is image, not padding."""
    return anomaly_map[geometry.content.rows, geometry.content.columns]


def image_score(anomaly_map: np.ndarray, geometry: Geometry) -> float:
    """Maximum of a model-resolution map (M, N) over the image."""
    return float(content_of(anomaly_map, geometry).max())
