"""What the detector says about one image: plain values, and the JSON they become.

How the values come about is the predictor's business, how they look the overlay's.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

UNKNOWN_CATEGORY = "unknown"
"""The category of a prediction when the checkpoint knows none to suggest."""

UNCALIBRATED_COLOR_LIMIT = 0.5
"""Map value at colour level 1 while a checkpoint has no limits; a map holds `1 - cos`, so 0 to 2."""


class Verdict(StrEnum):
    """What to do with the part."""

    ACCEPT = "accept"
    CHECK = "check"
    REJECT = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Image scores from which a part is checked, and rejected; both None until the checkpoint is
    calibrated."""

    check: float | None = None
    reject: float | None = None

    def __post_init__(self) -> None:
        if (self.check is None) != (self.reject is None):
            raise ValueError(f"limits come in pairs, got check={self.check} and reject={self.reject}")
        if self.check is not None and self.reject is not None and not self.check <= self.reject:
            raise ValueError(f"check limit {self.check} lies above the reject limit {self.reject}")

    def verdict(self, image_score: float) -> Verdict:
        """Judge an image score; without limits a person has to look, hence `check`."""
        if self.check is None or self.reject is None:
            return Verdict.CHECK
        if image_score >= self.reject:
            return Verdict.REJECT
        return Verdict.CHECK if image_score >= self.check else Verdict.ACCEPT


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One connected anomalous area, in pixels of the upright original image."""

    x: int
    """Left column of the bounding box."""
    y: int
    """Top row of the bounding box."""
    width: int
    height: int
    area: int
    """Pixels inside the region."""
    peak: float
    """Largest map value inside the region."""
    peak_x: int
    peak_y: int
    contour: tuple[tuple[float, float], ...] = ()
    """Closed outline as (x, y) points; (0, 0) is the top left corner of the first pixel."""

    def to_json(self) -> dict[str, int | float]:
        """The region without its contour, as the contract of `inspect` lists it."""
        return {
            "x": self.x,
            "y": self.y,
            "width": self.width,
            "height": self.height,
            "area": self.area,
            "peak": round(self.peak, 6),
            "peak_x": self.peak_x,
            "peak_y": self.peak_y,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What one checkpoint says about one image."""

    image: np.ndarray
    """(H, W, 3) uint8, upright, for display."""
    anomaly_map: np.ndarray
    """(H, W) float32 at the size of the image; higher is more anomalous; not normalized."""
    model_map: np.ndarray
    """(M, N) float32: the map at model resolution, padding included; `anomaly_map` is made of it."""
    model_input: np.ndarray
    """(M, N, 3) uint8: what the model saw, whole or in overlapping tiles."""
    file: str | None
    """Name of the file the image came from, without its folders; None for arrays and bytes."""
    sha256: str
    """Of the bytes of the file, or of the pixels where there was none."""
    width: int
    height: int
    checkpoint: str
    checkpoint_sha256: str
    decoder: str
    encoder: str
    category: str
    """Given by the caller, or the nearest one; `UNKNOWN_CATEGORY` where the checkpoint knows none."""
    category_source: str
    """`given` or `suggested`."""
    category_margin: float
    """How much nearer the image is to this category than to the next, 0 (a tie) to 1; 1 if there is no
    other."""
    embedding_distance: float | None
    """From the centroid of the category's calibration images; about 1 for pictures like them."""
    image_score: float
    """Maximum of the smoothed map at model resolution, over the part of the input that is image."""
    percentile: float | None
    """Share of held-out good images with a lower score, 0 to 100, never more than n good images can show."""
    limits: Limits
    pixel_median: float
    """Median map value of good pixels: level 0 of the colour scale."""
    verdict: Verdict
    regions: tuple[Region, ...]
    """Sorted by peak, highest first; empty for accepted images and without limits."""
    timings_ms: dict[str, float]
    """Milliseconds for `decode`, `preprocess`, `model`, `map` and their sum, `total`."""
    kernel: str
    device: str
    precision: str
    version: str
    tiles: int = 1
    """How many overlapping model inputs the image was looked at in."""
    notes: tuple[str, ...] = ()
    """What a person should know: how the file was read, what the result does not rest on."""

    @property
    def color_range(self) -> tuple[float, float]:
        """See the function of this name."""
        return color_range(self.limits, self.pixel_median)

    @property
    def region_threshold(self) -> float | None:
        """Map value that bounds the regions, or None where none are drawn.

        It is the check limit, lowered to the map's own maximum where resizing smoothed a borderline peak
        away.
        """
        if self.limits.check is None or self.verdict is Verdict.ACCEPT:
            return None
        return min(self.limits.check, float(self.anomaly_map.max()))

    @property
    def anomaly_mask(self) -> np.ndarray:
        """(H, W) bool: pixels at or above `region_threshold`; all False for accepted images."""
        threshold = self.region_threshold
        return self.anomaly_map >= (math.inf if threshold is None else threshold)

    def to_json(self) -> dict[str, Any]:
        """The result of `inspect`: only JSON types, no arrays."""
        return {
            "file": self.file,
            "sha256": self.sha256,
            "width": self.width,
            "height": self.height,
            "checkpoint": self.checkpoint,
            "checkpoint_sha256": self.checkpoint_sha256,
            "decoder": self.decoder,
            "encoder": self.encoder,
            "category": self.category,
            "category_source": self.category_source,
            "category_margin": round(self.category_margin, 4),
            "image_score": round(self.image_score, 6),
            "percentile": None if self.percentile is None else round(self.percentile, 2),
            "limits": {"check": self.limits.check, "reject": self.limits.reject},
            "verdict": self.verdict.value,
            "regions": [region.to_json() for region in self.regions],
            "timings_ms": {name: round(value, 2) for name, value in self.timings_ms.items()},
            "kernel": self.kernel,
            "device": self.device,
            "precision": self.precision,
            "version": self.version,
            "tiles": self.tiles,
            "notes": list(self.notes),
        }


def color_range(limits: Limits, pixel_median: float) -> tuple[float, float]:
    """Map values at levels 0 and 1 of the colour scale: the good median and the reject limit.

    The same for every image of a category. Where the limit does not lie above the median, or there is none, a
    fixed range stands in.
    """
    reject = limits.reject
    if reject is None:
        return 0.0, UNCALIBRATED_COLOR_LIMIT
    return pixel_median, reject if reject > pixel_median else pixel_median + 1e-6
