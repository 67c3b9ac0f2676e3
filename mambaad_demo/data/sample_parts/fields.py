"""Fields, the float32 arrays a scene is drawn from: coordinates, noise, blurs; no parts and no light."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Field = NDArray[np.float32]
"""(S, S) float32, one value per pixel; or (S, S, 3) for colors."""


def generator(*key: str | int) -> np.random.Generator:
    """A random generator that depends on nothing but the words and numbers of `key`."""
    digest = hashlib.sha256("\x1f".join(str(word) for word in key).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Coordinates of every pixel, in image widths, with the origin at the center of the picture."""

    side: int
    """Pixels of the whole picture, also for a cut-out of it."""
    x: Field
    y: Field
    origin: complex = 0j
    """Where (0, 0) lies in the picture, as x + iy."""
    axis: complex = 1 + 0j
    """Where one step along x leads in the picture."""

    @classmethod
    def of_side(cls, side: int) -> "Frame":
        """The upright frame of a picture of `side` pixels."""
        axis = ((np.arange(side, dtype=np.float32) + 0.5) / side - 0.5).astype(np.float32)
        y, x = np.meshgrid(axis, axis, indexing="ij")
        return cls(side=side, x=x, y=y)

    @property
    def pixel(self) -> float:
        """Width of one pixel in image widths."""
        return 1.0 / self.side

    def posed(self, *, angle: float, dx: float, dy: float, scale: float) -> "Frame":
        """Coordinates of a part turned by `angle` (radians), moved by (dx, dy) and enlarged by `scale`."""
        cos, sin = np.float32(np.cos(angle) / scale), np.float32(np.sin(angle) / scale)
        x, y = self.x - np.float32(dx), self.y - np.float32(dy)
        return Frame(
            side=self.side,
            x=cos * x + sin * y,
            y=cos * y - sin * x,
            origin=self.origin + self.axis * complex(dx, dy),
            axis=self.axis * scale * complex(np.cos(angle), np.sin(angle)),
        )

    def window(self, points: Sequence[tuple[float, float]], reach: float) -> tuple[slice, slice]:
        """Rows and columns of the picture that lie within `reach` of any of the points (x, y)."""
        seen = np.array([self.origin + self.axis * complex(x, y) for x, y in points])
        margin = reach * abs(self.axis)
        low = [int(np.floor((part.min() - margin + 0.5) * self.side)) for part in (seen.imag, seen.real)]
        high = [int(np.ceil((part.max() + margin + 0.5) * self.side)) + 1 for part in (seen.imag, seen.real)]
        rows, columns = (
            slice(min(max(start, 0), self.side), min(max(stop, 0), self.side))
            for start, stop in zip(low, high, strict=True)
        )
        return rows, columns

    def cut(self, window: tuple[slice, slice], *, x: float = 0.0, y: float = 0.0) -> "Frame":
        """The coordinates inside a window, counted from the point (x, y)."""
        return Frame(side=self.side, x=self.x[window] - np.float32(x), y=self.y[window] - np.float32(y))

    def inside(self, distance: Field) -> Field:
        """Coverage 0–1 of a shape from its signed distance (negative inside), antialiased over a pixel."""
        return np.clip(0.5 - distance * np.float32(self.side), 0.0, 1.0)


def resized(values: Field, height: int, width: int) -> Field:
    """Bicubic resize of a 2-D field, antialiased when it shrinks."""
    image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)


def noise(
    rng: np.random.Generator,
    side: int,
    cells: int,
    *,
    octaves: int = 1,
    gain: float = 0.5,
    stretch: tuple[float, float] = (1.0, 1.0),
) -> Field:
    """Smooth random field of mean 0 and deviation about 1.

    The random numbers drawn do not depend on `side`, so a small picture shows the same scene as a large one.

    Args:
        rng: where the randomness comes from.
        side: size of the result in pixels.
        cells: features per image width of the coarsest octave.
        octaves: how many octaves are added, each with twice the cells and `gain` times the strength.
        gain: strength of an octave relative to the one before.
        stretch: factors on the number of cells along (y, x); (0.05, 1) draws vertical streaks.
    """
    total = np.zeros((side, side), np.float32)
    power = 0.0
    for octave in range(octaves):
        count = cells * 2**octave
        rows, columns = (max(2, min(1024, round(count * factor))) for factor in stretch)
        grid = rng.standard_normal((rows + 3, columns + 3), dtype=np.float32)
        # a margin of cells that is cut off again: the border then looks like the middle
        tall, wide = round(side * (rows + 3) / rows), round(side * (columns + 3) / columns)
        layer = resized(grid, tall, wide)
        top, left = (tall - side) // 2, (wide - side) // 2
        total += np.float32(gain**octave) * layer[top : top + side, left : left + side]
        power += gain ** (2 * octave)
    return total / np.float32(0.8 * power**0.5)


def blurred(values: Field, sigma: float) -> Field:
    """Gaussian blur by `sigma` image widths, on a reduced grid where the blur is wide."""
    side = values.shape[0]
    pixels = sigma * side
    if pixels < 0.25:
        return values
    reduction = max(1, int(pixels / 1.6))
    if reduction == 1:
        return np.asarray(ndimage.gaussian_filter(values, pixels, truncate=3.0, mode="nearest"), np.float32)
    small = max(8, side // reduction)
    coarse = ndimage.gaussian_filter(
        resized(values, small, small), sigma * small, truncate=3.0, mode="nearest"
    )
    return resized(np.asarray(coarse, np.float32), side, side)


def step(low: float, high: float, values: Field) -> Field:
    """0 below `low`, 1 above `high`, smooth in between (falling when `low` > `high`)."""
    t = np.clip((values - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def sampled(texture: Field, rows: Field, columns: Field) -> Field:
    """Bilinear values of a texture, mirrored beyond its border, at fractional rows and columns."""
    return np.asarray(
        ndimage.map_coordinates(texture, [rows, columns], order=1, mode="mirror"), dtype=np.float32
    )


def linear(red: int, green: int, blue: int) -> Field:
    """Reflectance (3,) in linear light of a color given in sRGB, 0–255."""
    encoded = np.array([red, green, blue], np.float32) / 255.0
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4).astype(
        np.float32
    )
