"""How bright and how sharp a photo is: what drifts when lamps age and lenses move."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

_SIDE = 512  # photos are shrunk to this by whole steps, so that sharpness does not depend on the camera alone
_GRAY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_LEVEL = 1 / 255
_CLIPPED = 2.5 * _LEVEL  # this near to black or white nothing can be told apart any more
_ROUNDING = 2  # levels of 255 by which the channels of a gray JPEG may differ
_BLANK = 0.5 * _LEVEL  # less than the noise of any camera


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoQuality:
    """Figures of a photo; they are comparable among photos of one camera only."""

    brightness: float
    """Mean gray level, 0 (black) to 1 (white)."""
    sharpness: float
    """Variance of the Laplacian of the gray levels, times 1000; 0 for a plain surface. Blur lowers it."""
    black: float
    """Share of pixels too dark to show anything."""
    white: float
    """Share of pixels too bright to show anything."""
    is_gray: bool
    """Whether all channels are equal, as from a camera without color."""
    is_blank: bool
    """Whether it has one even color and so shows nothing."""


def photo_quality(image: np.ndarray) -> PhotoQuality:
    """Measure an upright photo, (H, W, 3) uint8."""
    step = max(1, max(image.shape[:2]) // _SIDE)
    color = image[::step, ::step]
    gray = (color.astype(np.float32) / 255) @ _GRAY
    red, green, blue = np.moveaxis(color.astype(np.int16), 2, 0)
    return PhotoQuality(
        brightness=float(gray.mean()),
        sharpness=1000 * float(ndimage.laplace(gray, mode="nearest").var()),
        black=float((gray < _CLIPPED).mean()),
        white=float((gray > 1 - _CLIPPED).mean()),
        is_gray=max(int(np.abs(red - green).max()), int(np.abs(green - blue).max())) <= _ROUNDING,
        is_blank=float(gray.std()) < _BLANK,
    )
