"""The anomaly map in float64, one output pixel at a time, with SciPy's own Gaussian. Slow; for tests only."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def anomaly_map(
    encoded: Sequence[NDArray[np.floating]],
    decoded: Sequence[NDArray[np.floating]],
    size: tuple[int, int],
    sigma: float,
) -> NDArray[np.float64]:
    """(B, C, H, W) features of each scale → (B, *size)."""
    maps = np.zeros((len(encoded[0]), *size))
    for e_scale, d_scale in zip(encoded, decoded, strict=True):
        for image, (e, d) in enumerate(zip(e_scale, d_scale, strict=True)):
            maps[image] += bilinear(cosine_distance(e, d), size) / len(encoded)
    return np.stack([ndimage.gaussian_filter(one, sigma) if sigma else one for one in maps])


def cosine_distance(e: NDArray[np.floating], d: NDArray[np.floating]) -> NDArray[np.float64]:
    """(C, H, W) twice → (H, W)."""
    distance = np.empty(e.shape[1:])
    for row, column in np.ndindex(*distance.shape):
        a, b = e[:, row, column].astype(np.float64), d[:, row, column].astype(np.float64)
        distance[row, column] = 1 - a @ b / max(np.sqrt((a @ a) * (b @ b)), 1e-8)
    return distance


def bilinear(values: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Resize (h, w) so that the centers of the corner pixels stay where they are."""
    result = np.empty(size)
    for row, column in np.ndindex(*size):
        y = row * (values.shape[0] - 1) / max(size[0] - 1, 1)
        x = column * (values.shape[1] - 1) / max(size[1] - 1, 1)
        top, left = int(y), int(x)
        bottom, right = min(top + 1, values.shape[0] - 1), min(left + 1, values.shape[1] - 1)
        upper = values[top, left] * (1 - x + left) + values[top, right] * (x - left)
        lower = values[bottom, left] * (1 - x + left) + values[bottom, right] * (x - left)
        result[row, column] = upper * (1 - y + top) + lower * (y - top)
    return result
