"""Mild changes of a picture, each named and bounded: what a fixture, a lamp and a camera vary by themselves.

They stand in for more shots of a part where there is only one. Edges are filled by reflection.

`H W` height and width in pixels.
"""

import io
import math
from collections.abc import Collection
from enum import StrEnum

import numpy as np
from PIL import Image


class Variation(StrEnum):
    """One thing that differs from shot to shot."""

    SHIFT = "shift"
    ROTATION = "rotation"
    BRIGHTNESS = "brightness"
    CONTRAST = "contrast"
    NOISE = "sensor noise"
    JPEG = "JPEG quality"


MOST_SHIFT = 0.005
"""Of the longer side, to each side."""
MOST_DEGREES = 1.0
MOST_GAIN = 0.03
"""Relative change of brightness, and of contrast about the mean gray level."""
NOISE_LEVELS = (0.5, 2.0)
"""Standard deviation of the noise, in gray levels of 255."""
JPEG_QUALITY = (85, 95)

BOUNDS = {
    Variation.SHIFT: f"up to {100 * MOST_SHIFT:g} % of the longer side, in x and in y",
    Variation.ROTATION: f"up to {MOST_DEGREES:g} degree either way",
    Variation.BRIGHTNESS: f"up to {100 * MOST_GAIN:g} % brighter or darker",
    Variation.CONTRAST: f"up to {100 * MOST_GAIN:g} % more or less, about the mean",
    Variation.NOISE: "Gaussian, standard deviation {:g} to {:g} of 255 levels".format(*NOISE_LEVELS),
    Variation.JPEG: "saved once more with quality {} to {}".format(*JPEG_QUALITY),
}
"""How far each of them goes, in words."""


def vary(pixels: np.ndarray, variations: Collection[Variation], generator: np.random.Generator) -> np.ndarray:
    """A new shot of a picture: (H, W, 3) uint8 to the same, all these variations at once, each drawn evenly
    between its bounds."""
    if Variation.SHIFT in variations or Variation.ROTATION in variations:
        pixels = _moved(pixels, variations, generator)
    if not {Variation.BRIGHTNESS, Variation.CONTRAST, Variation.NOISE}.isdisjoint(variations):
        pixels = _exposed(pixels, variations, generator)
    if Variation.JPEG in variations:
        pixels = _recompressed(pixels, int(generator.integers(*JPEG_QUALITY, endpoint=True)))
    return pixels


def _moved(
    pixels: np.ndarray, variations: Collection[Variation], generator: np.random.Generator
) -> np.ndarray:
    """Shifted and turned about the middle in one step, so that pixels are interpolated once."""
    height, width = pixels.shape[:2]
    reach = MOST_SHIFT * max(height, width)
    x, y = generator.uniform(-reach, reach, 2) if Variation.SHIFT in variations else (0.0, 0.0)
    degrees = generator.uniform(-MOST_DEGREES, MOST_DEGREES) if Variation.ROTATION in variations else 0.0
    margin = math.ceil(reach + math.hypot(height, width) / 2 * math.radians(MOST_DEGREES)) + 2
    padded = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    turned = Image.fromarray(padded).transform(
        (padded.shape[1], padded.shape[0]),
        Image.Transform.AFFINE,
        _inverse(padded.shape[1] / 2, padded.shape[0] / 2, x, y, math.radians(degrees)),
        Image.Resampling.BICUBIC,
    )
    return np.asarray(turned)[margin:-margin, margin:-margin]


def _inverse(middle_x: float, middle_y: float, x: float, y: float, angle: float) -> tuple[float, ...]:
    """From where a pixel is after turning by an angle and shifting by (x, y) to where it was, as Pillow takes
    it."""
    cosine, sine = math.cos(angle), math.sin(angle)
    left, top = middle_x + x, middle_y + y
    return (
        cosine,
        sine,
        middle_x - cosine * left - sine * top,
        -sine,
        cosine,
        middle_y + sine * left - cosine * top,
    )


def _exposed(
    pixels: np.ndarray, variations: Collection[Variation], generator: np.random.Generator
) -> np.ndarray:
    values = pixels.astype(np.float32)
    if Variation.BRIGHTNESS in variations:
        values *= np.float32(generator.uniform(1 - MOST_GAIN, 1 + MOST_GAIN))
    if Variation.CONTRAST in variations:
        mean = values.mean(dtype=np.float64).astype(np.float32)
        values = mean + np.float32(generator.uniform(1 - MOST_GAIN, 1 + MOST_GAIN)) * (values - mean)
    if Variation.NOISE in variations:
        spread = np.float32(generator.uniform(*NOISE_LEVELS))
        values += spread * generator.standard_normal(values.shape, dtype=np.float32)
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def _recompressed(pixels: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=0)
    with Image.open(buffer, formats=["JPEG"]) as image:
        return np.asarray(image)
