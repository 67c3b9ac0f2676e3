"""From encoder and decoder features to one smoothed anomaly map per image.

Holds the arithmetic of the published map — cosine distance, up-sampling, smoothing — and leaves image scores,
thresholds, colors and the way back to the size of the upload to the pipeline.

Legend: `B` batch · `C` channels · `H W` height, width.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def anomaly_map(
    encoded: Sequence[Tensor], decoded: Sequence[Tensor], size: int | tuple[int, int], sigma: float = 4.0
) -> Tensor:
    """Measure at each pixel how far the decoder's features turned away from the encoder's.

        A = smooth( 1/J · Σ_j up( 1 - cos(e_j, d_j) ) )        (MambaAD, inference)

    The reference code divides the sum by J twice; the plain mean is kept here, so a map reads as a cosine
    distance whatever the number of scales.

    Args:
        encoded: J tensors (B, C_j, H_j, W_j), any resolutions.
        decoded: J tensors of the same shapes.
        size: height and width of the result in pixels; one number means a square.
        sigma: standard deviation of the smoothing in result pixels; 0 leaves the map as it is.

    Returns:
        (B, H, W) in [0, 2], higher is more anomalous, on the device and in the dtype of the inputs, computed
        in float32 or wider.

    Raises:
        ValueError: no scales, unequal numbers of them, or a pair whose shapes differ.
    """
    if not encoded or len(encoded) != len(decoded):
        raise ValueError(
            f"Got {len(encoded)} encoder and {len(decoded)} decoder scales; they must pair up, one or more."
        )
    height_width = (size, size) if isinstance(size, int) else size
    distance = torch.stack([_distance(e, d, height_width) for e, d in zip(encoded, decoded, strict=True)])
    return gaussian_smooth(distance.mean(dim=0), sigma).to(encoded[0].dtype)


def gaussian_smooth(maps: Tensor, sigma: float) -> Tensor:
    """Blur each map as `scipy.ndimage.gaussian_filter` does by default.

    The kernel ends at 4 σ and the border repeats the edge pixel (d c b a | a b c d | d c b a), over and over
    where the map is smaller than the kernel.

    Args:
        maps: (B, H, W) floating point.
        sigma: standard deviation in pixels, 0 or more; 0 changes nothing.

    Returns:
        (B, H, W) on the device and in the dtype of `maps`, computed in float32 or wider.

    Raises:
        ValueError: `sigma` is negative or not finite.
    """
    if not (math.isfinite(sigma) and sigma >= 0):
        raise ValueError(f"sigma is {sigma}; it must be a finite number of pixels, 0 or more.")
    if sigma == 0:
        return maps
    weights = _half_kernel(sigma)
    smooth = _blur_axis(maps.to(torch.promote_types(maps.dtype, torch.float32)), weights, dim=-2)
    return _blur_axis(smooth, weights, dim=-1).to(maps.dtype)


def _distance(encoded: Tensor, decoded: Tensor, size: tuple[int, int]) -> Tensor:
    """1 - cosine over channels, resized to (B, H, W)."""
    if encoded.shape != decoded.shape:
        raise ValueError(
            f"Encoder features {tuple(encoded.shape)} and decoder features {tuple(decoded.shape)} "
            "differ in shape."
        )
    wide = torch.promote_types(encoded.dtype, torch.float32)
    distance = 1 - F.cosine_similarity(encoded.to(wide), decoded.to(wide), dim=1, eps=1e-8)
    # Rounding leaves equal features at ±1e-7; a distance is never negative.
    distance = distance.clamp(0, 2)[:, None]
    return F.interpolate(distance, size, mode="bilinear", align_corners=True)[:, 0]


def _half_kernel(sigma: float) -> list[float]:
    """Weights at distance 0, 1, … up to 4 σ, normalised so that the whole symmetric kernel sums to 1."""
    radius = int(4.0 * sigma + 0.5)
    weights = [math.exp(-0.5 * (distance / sigma) ** 2) for distance in range(radius + 1)]
    total = 2 * sum(weights) - weights[0]
    return [weight / total for weight in weights]


def _blur_axis(maps: Tensor, weights: list[float], dim: int) -> Tensor:
    """Convolve one axis with a symmetric kernel.

    A sum of shifted views rather than a convolution or a matrix product: those two lose digits under TF32 and
    autocast, and are no faster for a single channel on a CPU.
    """
    length, radius = maps.shape[dim], len(weights) - 1
    cells = torch.arange(-radius, length + radius, device=maps.device) % (2 * length)
    padded = maps.index_select(dim, torch.minimum(cells, 2 * length - 1 - cells))
    blurred = maps * weights[0]
    for shift in range(1, radius + 1):
        before = padded.narrow(dim, radius - shift, length)
        after = padded.narrow(dim, radius + shift, length)
        blurred = blurred.add_(before + after, alpha=weights[shift])
    return blurred
