"""Curves as points for drawing."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

MOST_POINTS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Points in the order in which they are joined."""

    x: np.ndarray
    """(k,) in [0, 1]"""
    y: np.ndarray
    """(k,) in [0, 1]"""

    @classmethod
    def thinned(cls, x: ArrayLike, y: ArrayLike) -> Self:
        """At most `MOST_POINTS` of the points, both ends among them; all of them lie on the curve."""
        across, up = np.asarray(x, np.float64), np.asarray(y, np.float64)
        kept = np.unique(np.linspace(0, len(across) - 1, min(len(across), MOST_POINTS)).round().astype(int))
        return cls(x=across[kept], y=up[kept])
