"""The invertible map between the pixels of an image and those of the square model input.

Points are continuous, with (0, 0) at the outer corner of the top left pixel: pixel (row i, column j) covers
[j, j + 1] × [i, i + 1] and its center lies at (j + 0.5, i + 0.5). Mean and standard deviation belong to the
encoder.

`H W` height, width of the image · `S` side of the square model input.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


class Content(NamedTuple):
    """The part of the model input that is image, not padding; model pixels."""

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
    """Where each pixel of one image lies in the model input; make it with `fit`."""

    width: int
    """Of the image, in pixels, as all below."""
    height: int
    side: int
    """Of the model input."""
    content: Content
    """Where the image lies in the model input."""

    @classmethod
    def fit(cls, width: int, height: int, side: int, rule: Literal["letterbox", "square"]) -> Self:
        """Place an image of width × height in a square.

        Args:
            rule: "letterbox" keeps the aspect ratio (to a rounded pixel) and centers the image; "square"
                stretches it over the whole input.

        Raises:
            ValueError: a size below one pixel, or an unknown rule.
        """
        if min(width, height, side) < 1:
            raise ValueError(f"width, height and side must be positive, got {width}, {height}, {side}")
        if rule == "square":
            content = Content(0, 0, side, side)
        elif rule == "letterbox":
            scale = side / max(width, height)
            tall, wide = max(1, round(height * scale)), max(1, round(width * scale))
            content = Content((side - tall) // 2, (side - wide) // 2, tall, wide)
        else:
            raise ValueError(f"rule must be 'letterbox' or 'square', got {rule!r}")
        return cls(width=width, height=height, side=side, content=content)

    def to_model(self, pixels: np.ndarray) -> np.ndarray:
        """Resize an image to the model input; padding repeats the edge.

        Args:
            pixels: (H, W, 3) float32 in [0, 1].

        Returns:
            (S, S, 3) float32 in [0, 1].
        """
        self._check_image_size(pixels)
        channels_first = _tensor(pixels).permute(2, 0, 1)[None]
        small = F.interpolate(
            channels_first, self.content[2:], mode="bilinear", align_corners=False, antialias=True
        ).clamp_(0, 1)
        top, left, tall, wide = self.content
        padding = (left, self.side - left - wide, top, self.side - top - tall)
        square = F.pad(small, padding, mode="replicate")
        return np.ascontiguousarray(square[0].permute(1, 2, 0).numpy())

    def map_to_image(self, scores: np.ndarray) -> np.ndarray:
        """Bring a map to the image: bilinear, padding cut off. scores: (S, S); result: (H, W) float32."""
        if scores.shape != (self.side, self.side):
            raise ValueError(f"the map must be {self.side} × {self.side}, got {scores.shape}")
        inner = _tensor(scores[self.content.rows, self.content.columns])[None, None]
        full = F.interpolate(inner, (self.height, self.width), mode="bilinear", align_corners=False)
        return full[0, 0].numpy()

    def mask_to_model(self, mask: np.ndarray) -> np.ndarray:
        """Resize a mask as ADer does, bilinear, then > 0.5. mask: (H, W) bool; result: (S, S) bool."""
        self._check_image_size(mask)
        small = F.interpolate(
            _tensor(mask)[None, None], self.content[2:], mode="bilinear", align_corners=False, antialias=True
        )
        square = np.zeros((self.side, self.side), bool)
        square[self.content.rows, self.content.columns] = small[0, 0].numpy() > 0.5
        return square

    def point_to_model(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the image lies in the model input."""
        top, left, tall, wide = self.content
        return left + x * wide / self.width, top + y * tall / self.height

    def point_to_image(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the model input lies in the image; points on padding fall outside of it."""
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
