"""The invertible map between the pixels of an image and those of the canvas that the model sees.

The canvas is the square model input itself, or several such squares that overlap (tile mode).

Points are continuous, with (0, 0) at the outer corner of the top left pixel: pixel (row i, column j) covers
[j, j + 1] × [i, i + 1] and its center lies at (j + 0.5, i + 0.5). Mean and standard deviation belong to the
encoder.

`H W` height, width of the image · `S` side of the square model input · `M N` height, width of the canvas,
both S without tiles.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mambaad_demo.data.tiling import Tiling, length_of


class Content(NamedTuple):
    """The part of the canvas that is image, not padding; model pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def rows(self) -> slice:
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.left + self.width)


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Where each pixel of one image lies on the canvas; make it with `fit`."""

    width: int
    """Of the image, in pixels, as all below."""
    height: int
    tiling: Tiling
    """The canvas and the model inputs it is cut into."""
    content: Content
    """Where the image lies on the canvas."""

    @classmethod
    def fit(
        cls, width: int, height: int, side: int, rule: Literal["letterbox", "square"], tiles: int = 1
    ) -> Self:
        """Place an image of width × height on a canvas.

        Args:
            rule: "letterbox" keeps the aspect ratio (to a rounded pixel) and centers the image; "square"
                stretches it over a square.
            tiles: how many overlapping model inputs span the longer side.

        Raises:
            ValueError: a size below one pixel, or an unknown rule.
        """
        if min(width, height, side, tiles) < 1:
            raise ValueError(
                f"width, height, side and tiles must be positive, got {width}, {height}, {side}, {tiles}"
            )
        length = length_of(tiles, side)
        if rule == "square":
            tall = wide = length
        elif rule == "letterbox":
            scale = length / max(width, height)
            tall, wide = max(1, round(height * scale)), max(1, round(width * scale))
        else:
            raise ValueError(f"rule must be 'letterbox' or 'square', got {rule!r}")
        tiling = Tiling(height=max(tall, side), width=max(wide, side), side=side)
        content = Content((tiling.height - tall) // 2, (tiling.width - wide) // 2, tall, wide)
        return cls(width=width, height=height, tiling=tiling, content=content)

    def to_model(self, pixels: np.ndarray) -> np.ndarray:
        """Resize an image to the canvas; padding repeats the edge.

        Args:
            pixels: (H, W, 3) float32 in [0, 1].

        Returns:
            (M, N, 3) float32 in [0, 1].
        """
        self._check_image_size(pixels)
        channels_first = _tensor(pixels).permute(2, 0, 1)[None]
        small = F.interpolate(
            channels_first, self.content[2:], mode="bilinear", align_corners=False, antialias=True
        ).clamp_(0, 1)
        top, left, tall, wide = self.content
        padding = (left, self.tiling.width - left - wide, top, self.tiling.height - top - tall)
        canvas = F.pad(small, padding, mode="replicate")
        return np.ascontiguousarray(canvas[0].permute(1, 2, 0).numpy())

    def map_to_image(self, scores: np.ndarray) -> np.ndarray:
        """Bring a map to the image: bilinear, padding cut off. scores: (M, N); result: (H, W) float32."""
        if scores.shape != (self.tiling.height, self.tiling.width):
            raise ValueError(
                f"the map must be {self.tiling.height} × {self.tiling.width}, got {scores.shape}"
            )
        inner = _tensor(scores[self.content.rows, self.content.columns])[None, None]
        full = F.interpolate(inner, (self.height, self.width), mode="bilinear", align_corners=False)
        return full[0, 0].numpy()

    def mask_to_model(self, mask: np.ndarray) -> np.ndarray:
        """Resize a mask as ADer does, bilinear, then > 0.5. mask: (H, W) bool; result: (M, N) bool."""
        self._check_image_size(mask)
        small = F.interpolate(
            _tensor(mask)[None, None], self.content[2:], mode="bilinear", align_corners=False, antialias=True
        )
        canvas = np.zeros((self.tiling.height, self.tiling.width), bool)
        canvas[self.content.rows, self.content.columns] = small[0, 0].numpy() > 0.5
        return canvas

    def point_to_model(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the image lies on the canvas."""
        top, left, tall, wide = self.content
        return left + x * wide / self.width, top + y * tall / self.height

    def point_to_image(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the canvas lies in the image; points on padding fall outside of it."""
        top, left, tall, wide = self.content
        return (x - left) * self.width / wide, (y - top) * self.height / tall

    def _check_image_size(self, array: np.ndarray) -> None:
        if array.shape[:2] != (self.height, self.width):
            raise ValueError(
                f"the image must be {self.height} × {self.width} (rows × columns), got {array.shape}"
            )


def _tensor(array: np.ndarray) -> Tensor:
    """A float32 tensor that shares the memory of the array where torch allows it."""
    return torch.from_numpy(np.require(array, np.float32, ["C", "W"]))
