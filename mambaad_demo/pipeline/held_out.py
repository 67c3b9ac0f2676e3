"""How good a detector is, told from good parts alone: those it never learns from, as they are and with noise.

Where a patch of Gaussian noise is laid over the features of a good part, a detector that has learned what is
normal shows it; one that copies whatever it sees does not. How far map values under such patches stand out
from those of untouched parts says whether a state may be kept that rebuilds good parts better: no defect is
needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mambaad_demo.models.detector import Detector
from mambaad_demo.pipeline.encoded_images import EncodedImage
from mambaad_demo.pipeline.training import reconstruction_loss

_MOST_IMAGES = 24
_STRENGTH = 1.0
"""Standard deviation of the noise, in standard deviations of each channel."""
_RADIUS = 0.07
"""Of the noisy patch, as a share of the side."""
_CORE = 0.6
"""Weight of the noise from which a pixel counts as under it."""
_AT_ONCE = 8
_SMALLEST_VALUE = 1e-4
_SMALLEST_SPREAD = 0.02  # of logarithms; a few nearly equal photos must not make any difference look huge


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgment:
    """What held-out good parts say about a detector."""

    loss: float
    """Mean reconstruction loss; alone it also falls where defects are copied too."""
    separation: float
    """Distance between the mean log map values under the noise and of untouched parts, in their spread."""
    median_score: float
    """Of the untouched parts."""


class HeldOutParts:
    """Good parts, with the noise that is laid over them: the same for every detector and moment."""

    def __init__(self, images: Sequence[EncodedImage], *, seed: int = 0) -> None:
        """
        Args:
            images: at least one; of many, the first ones are used.
            seed: places and values of the noise.
        """
        chosen = [
            tuple(scale[len(scale) // 2] for scale in image.features) for image in images[:_MOST_IMAGES]
        ]
        self._features = [torch.stack(scale).float() for scale in zip(*chosen, strict=True)]
        generator = torch.Generator().manual_seed(seed)
        centers = 0.2 + 0.6 * torch.rand(len(chosen), 2, generator=generator)
        self._noise = [
            _STRENGTH
            * feature.std(dim=(0, 2, 3), keepdim=True)
            * _patches(centers, feature.shape[-1])
            * torch.randn(feature.shape, generator=generator)
            for feature in self._features
        ]
        self._centers = centers

    @torch.inference_mode()
    def judge(self, detector: Detector) -> Judgment:
        """Look at all parts twice, with noise and without; leaves the detector in evaluation mode."""
        detector.eval()
        device = next(iter(detector.state_dict().values())).device
        losses, clean, noisy = [], [], []
        for rows in torch.arange(len(self._features[0])).split(_AT_ONCE):
            plain = [feature[rows].to(device) for feature in self._features]
            targets = detector.standardized(plain)
            loss = reconstruction_loss(targets, detector.reconstruct(targets))
            losses.append(float(loss) * len(rows))
            disturbed = [
                feature + noise[rows].to(device) for feature, noise in zip(plain, self._noise, strict=True)
            ]
            clean.append(_maps(detector, targets))
            noisy.append(_maps(detector, detector.standardized(disturbed)))
        untouched, disturbed_maps = np.concatenate(clean), np.concatenate(noisy)
        under = _patches(self._centers, detector.side)[:, 0].numpy() > _CORE
        return Judgment(
            loss=sum(losses) / len(self._features[0]),
            separation=_separation(untouched, disturbed_maps[under]),
            median_score=float(np.median(untouched.max(axis=(1, 2)))),
        )


def _patches(centers: Tensor, side: int) -> Tensor:
    """Round patches with soft edges, (n, 1, side, side) in [0, 1].

    Args:
        centers: (n, 2) rows and columns as shares of the side.
    """
    cells = (torch.arange(side) + 0.5) / side
    rows = (cells[None, :, None] - centers[:, 0, None, None]) ** 2
    columns = (cells[None, None, :] - centers[:, 1, None, None]) ** 2
    return torch.exp(-(rows + columns) / (2 * _RADIUS**2))[:, None]


def _maps(detector: Detector, targets: Sequence[Tensor]) -> np.ndarray:
    """(B, S, S)."""
    return np.asarray(detector.maps_from_features(targets).cpu().numpy())


def _separation(untouched: np.ndarray, under_noise: np.ndarray) -> float:
    clean, noisy = (np.log(np.maximum(v, _SMALLEST_VALUE)) for v in (untouched, under_noise))
    spread = np.sqrt((clean.var(dtype=np.float64) + noisy.var(dtype=np.float64)) / 2)
    return float(
        (noisy.mean(dtype=np.float64) - clean.mean(dtype=np.float64)) / max(spread, _SMALLEST_SPREAD)
    )
