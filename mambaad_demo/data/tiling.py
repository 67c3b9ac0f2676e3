"""Overlapping square tiles of a picture too large for one model input, and their maps blended without seams.

`H W` height, width of the picture, at least S · `S` side of the tiles · `T` how many there are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

OVERLAP = 0.25
"""Least share of a tile's side that it has in common with its neighbour."""


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """Where the tiles lie: evenly spread, first and last flush with the border."""

    height: int
    width: int
    side: int

    def __post_init__(self) -> None:
        if not 1 <= self.side <= min(self.height, self.width):
            raise ValueError(
                f"tiles of {self.side} do not fit into {self.height} × {self.width} (rows × columns)"
            )

    def __len__(self) -> int:
        return len(self.corners)

    @cached_property
    def corners(self) -> tuple[tuple[int, int], ...]:
        """(top, left) of each tile, row by row."""
        tops, lefts = _starts(self.height, self.side), _starts(self.width, self.side)
        return tuple((top, left) for top in tops for left in lefts)

    def cut(self, pixels: np.ndarray, number: int) -> np.ndarray:
        """Tile `number`, (S, S, …), of pixels (H, W, …): a view."""
        top, left = self.corners[number]
        return pixels[top : top + self.side, left : left + self.side]

    def blend(self, maps: Sequence[np.ndarray]) -> np.ndarray:
        """T maps (S, S) → one map (H, W) float32.

        Where tiles overlap, the mean, in which a tile counts for less towards its own border: there it sees
        less of the surroundings. The weights have no steps, hence neither has the map.
        """
        if len(maps) != len(self):
            raise ValueError(f"{len(self)} maps make the picture, got {len(maps)}")
        if len(maps) == 1:
            return np.asarray(maps[0], np.float32)
        weight = _tile_weight(self.side)
        total = np.zeros((self.height, self.width), np.float64)
        weights = np.zeros_like(total)
        for number, tile in enumerate(maps):
            self.cut(total, number)[...] += weight * tile
            self.cut(weights, number)[...] += weight
        return (total / weights).astype(np.float32)


def length_of(tiles: int, side: int) -> int:
    """How many pixels a row of tiles spans."""
    return side + (tiles - 1) * _stride(side)


def _stride(side: int) -> int:
    return max(1, side - round(OVERLAP * side))


def _starts(length: int, side: int) -> list[int]:
    count = math.ceil((length - side) / _stride(side)) + 1
    return [round(start) for start in np.linspace(0, length - side, count)]


def _tile_weight(side: int) -> np.ndarray:
    """(S, S): a raised cosine over the overlap at each border, 1 inside, nowhere 0."""
    from_border = np.minimum(np.arange(side) + 0.5, side - np.arange(side) - 0.5)
    ramp = 0.5 - 0.5 * np.cos(np.pi * np.minimum(from_border / (OVERLAP * side), 1.0))
    return np.outer(ramp, ramp)
