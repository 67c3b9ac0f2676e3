"""The camera: lens, exposure, color balance, tone curve and sensor noise; it knows nothing of parts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mambaad_demo.data.sample_parts.fields import Field, Frame, blurred


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """The settings of one shot."""

    exposure: float
    balance: tuple[float, float, float]
    """Gain of red, green and blue."""
    vignette: float
    focus: float
    """Blur of the lens in image widths."""
    noise: float
    """Deviation of the sensor noise at mid grey and 512 px, in units of full scale."""


def drawn_camera(rng: np.random.Generator) -> Camera:
    """Settings with the small differences between two shots of one inspection station."""
    warm = float(rng.normal(0.0, 0.012))
    return Camera(
        exposure=float(rng.uniform(0.93, 1.07)),
        balance=(1.0 + warm, 1.0 + float(rng.normal(0.0, 0.004)), 1.0 - warm),
        vignette=float(rng.uniform(0.16, 0.30)),
        focus=float(rng.uniform(0.0009, 0.0014)),
        noise=float(rng.uniform(0.008, 0.012)),
    )


def developed(radiance: Field, frame: Frame, camera: Camera) -> Field:
    """(S, S, 3) display values 0–1 of the radiance, without noise."""
    gain = np.float32(camera.exposure) * (1.0 - np.float32(camera.vignette) * 2.0 * (frame.x**2 + frame.y**2))
    seen = np.empty_like(radiance)
    for channel, balance in enumerate(camera.balance):
        plane = blurred(radiance[..., channel], camera.focus) * (gain * np.float32(balance))
        # a shoulder instead of hard clipping, then the usual display gamma
        bright = plane > 0.6
        plane[bright] = 1.0 - 0.4 * np.exp((0.6 - plane[bright]) / 0.4)
        seen[..., channel] = np.power(np.maximum(plane, 0.0), np.float32(1 / 2.2))
    return seen


def sensor_noise(rng: np.random.Generator, frame: Frame, camera: Camera) -> Field:
    """(S, S, 3) noise to be added to a developed picture; mostly brightness, a little color."""
    shape = (frame.side, frame.side)
    strength = camera.noise * min(1.0, (frame.side / 512) ** 0.75)
    bright = rng.standard_normal(shape, dtype=np.float32)
    # color noise is coarser than brightness noise, as a camera's demosaicing leaves it
    half = (frame.side + 1) // 2
    coarse = rng.standard_normal((half, half, 3), dtype=np.float32)
    color = coarse.repeat(2, axis=0).repeat(2, axis=1)[: frame.side, : frame.side]
    grain = np.float32(0.40 * strength) * color
    grain += (np.float32(0.85 * strength) * bright)[..., None]
    return grain


def exposed(display: Field, grain: Field) -> NDArray[np.uint8]:
    """The finished (S, S, 3) picture; noise is weaker in the highlights, as after a tone curve."""
    noisy = display + grain * (1.2 - 0.6 * display)
    return np.asarray(np.clip(noisy * 255.0 + 0.5, 0, 255), dtype=np.uint8)
