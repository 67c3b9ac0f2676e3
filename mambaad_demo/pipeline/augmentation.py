"""Changes that turn one good part into another, where the part allows it; a person chooses them."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

Augmentation = Literal["flip", "rotate", "brightness"]

_BRIGHTNESS = (0.85, 1.15)
_COUNTS: dict[Augmentation, int] = {"flip": 2, "rotate": 3, "brightness": len(_BRIGHTNESS)}


def variant_count(chosen: Sequence[Augmentation]) -> int:
    """How many pictures `variants` makes of one."""
    return sum(_COUNTS[change] for change in set(chosen))


def variants(pixels: np.ndarray, chosen: Sequence[Augmentation]) -> Iterator[np.ndarray]:
    """The other pictures a good part could have given, one change at a time.

    Args:
        pixels: (H, W, 3) float32 in [0, 1].
        chosen: `flip`: mirrored left to right and top to bottom; `rotate`: by quarter turns; `brightness`: 15
            percent darker and brighter.
    """
    if "flip" in chosen:
        yield np.ascontiguousarray(pixels[:, ::-1])
        yield np.ascontiguousarray(pixels[::-1])
    if "rotate" in chosen:
        for turns in (1, 2, 3):
            yield np.ascontiguousarray(np.rot90(pixels, turns))
    if "brightness" in chosen:
        for factor in _BRIGHTNESS:
            yield np.clip(pixels * np.float32(factor), 0, 1)
