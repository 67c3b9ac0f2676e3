"""Photos of a good set that are less sharp, darker or brighter than the others.

Nothing is judged by itself: a plain part has little to be sharp, and a dark one is dark. A photo is named if
it is both far from the others by their own spread and clearly different to the eye.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from mambaad_demo.pipeline.good_set_photos import Photo

FEWEST = 5
"""Photos from which on one can differ from the others."""

_BLUR_Z = -3.5
_BLUR_RATIO = 0.35  # a Gaussian blur of one pixel leaves a quarter, good circuit boards reach 0.37
_EXPOSURE_Z = 4.0
_EXPOSURE_SHIFT = 0.65  # of the log odds of the mean gray level: half a stop in the middle of the range
_USUALLY_CLIPPED = 0.01  # share of pixels; where more is usual, black or white is the part or the background
_CLIPPED = 0.05
_TINY = 1e-6


class Finding(NamedTuple):
    """A photo that stands out."""

    name: str
    value: float
    """The figure by which it does."""
    words: str


def robust_z(values: np.ndarray, *, least_spread: float) -> np.ndarray:
    """How many standard deviations each value is from the median, by the median absolute deviation.

    Args:
        values: (n,).
        least_spread: standard deviation of a set whose values hardly differ.
    """
    middle = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - middle))  # of a normal distribution, the standard deviation
    return np.asarray((values - middle) / max(float(spread), least_spread))


def blurred(photos: Sequence[Photo]) -> list[Finding]:
    """The least sharp photos, the worst first; the value is sharpness as a share of what is usual.

    Light is taken out of it: half the light leaves a quarter of the variance, and as sharp a picture.
    """
    if len(photos) < FEWEST:
        return []
    logs = np.log([max(p.quality.sharpness, _TINY) / max(p.quality.brightness, _TINY) ** 2 for p in photos])
    ratios = np.exp(logs - np.median(logs))
    are_blurred = (robust_z(logs, least_spread=0.05) < _BLUR_Z) & (ratios < _BLUR_RATIO)
    return [
        Finding(photos[i].name, float(ratios[i]), f"{100 * ratios[i]:.0f} % of the usual sharpness")
        for i in np.argsort(ratios, kind="stable")
        if are_blurred[i]
    ]


def badly_exposed(photos: Sequence[Photo]) -> list[Finding]:
    """Photos darker or brighter than the others, the most different first; the value is the mean gray level,
    0 to 1."""
    if len(photos) < FEWEST:
        return []
    levels = np.array([photo.quality.brightness for photo in photos])
    odds = np.log((levels + _TINY) / (1 - levels + _TINY))
    shifts = odds - np.median(odds)
    are_far = (np.abs(robust_z(odds, least_spread=0.05)) > _EXPOSURE_Z) & (np.abs(shifts) > _EXPOSURE_SHIFT)
    usual = float(np.median(levels))
    words = np.where(shifts > 0, "brighter", "darker")
    found = [
        Finding(
            photos[i].name,
            float(levels[i]),
            f"{words[i]}: mean gray level {levels[i]:.2f}, usually {usual:.2f}",
        )
        for i in np.argsort(-np.abs(shifts), kind="stable")
        if are_far[i]
    ]
    others = [photo for photo, is_far in zip(photos, are_far, strict=True) if not is_far]
    return found + _clipped(others, "black") + _clipped(others, "white")


def _clipped(photos: Sequence[Photo], tone: Literal["black", "white"]) -> list[Finding]:
    """Photos parts of which show nothing, where that is unusual; the most clipped first."""
    shares = [getattr(photo.quality, tone) for photo in photos]
    if not shares or np.median(shares) > _USUALLY_CLIPPED:
        return []
    return [
        Finding(
            photos[i].name, photos[i].quality.brightness, f"{100 * shares[i]:.0f} % of it is plain {tone}"
        )
        for i in np.argsort(shares)[::-1]
        if shares[i] > _CLIPPED
    ]
