"""How bright and how sharp a photo is: what drifts when lamps age and lenses move."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

_SIDE = 512  # photos are shrunk to this by whole steps, so that sharpness does not depend on the camera alone
_GRAY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoQuality:
    """Two figures of a photo; both are comparable among photos of one camera only."""

    brightness: float
    """Mean gray level, 0 (black) to 1 (white)."""
    sharpness: float
    """Variance of the Laplacian of the gray levels, times 1000; 0 for a plain surface. Blur lowers it."""


def photo_quality(image: np.ndarray) -> PhotoQuality:
    """Measure an upright photo, (H, W, 3) uint8."""
    step = max(1, max(image.shape[:2]) // _SIDE)
    gray = (image[::step, ::step].astype(np.float32) / 255) @ _GRAY
    return PhotoQuality(
        brightness=float(gray.mean()), sharpness=1000 * float(ndimage.laplace(gray, mode="nearest").var())
    )
