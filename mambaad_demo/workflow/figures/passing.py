"""What passes each threshold, and the metrics that follow, for many draws of pictures at once.

The metrics themselves come from `ops.metrics`; this form of them serves intervals and curves.

Legend: `R` draws · `K` thresholds, the highest first; the last lets everything pass.
"""

from dataclasses import dataclass

import numpy as np

from mambaad_demo.ops.metrics import AU_PRO_LIMIT

_TINY = 1e-300  # keeps 0 / 0 of an empty step at 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """Counts at or above each threshold; every draw holds something of both classes."""

    hits: np.ndarray
    """(R, K) anomalous pictures, or pixels."""
    alarms: np.ndarray
    """(R, K) normal ones."""
    overlap: np.ndarray | None = None
    """(R, K) sum over defect regions of the share that passes; None for pictures."""

    @property
    def hit_rate(self) -> np.ndarray:
        """(R, K)"""
        return _share(self.hits)

    @property
    def alarm_rate(self) -> np.ndarray:
        """(R, K)"""
        return _share(self.alarms)

    @property
    def precision(self) -> np.ndarray:
        """(R, K); 0 where nothing passes."""
        return self.hits / np.maximum(self.hits + self.alarms, 1)

    def metrics(self) -> dict[str, np.ndarray]:
        """`auroc`, `ap`, `f1_max` and, with regions, `au_pro`, each (R,)."""
        rate, positive = self.hit_rate, self.hits[:, -1:]
        results = {
            "auroc": _area(self.alarm_rate, rate, limit=1.0),
            "ap": (_steps(rate) * self.precision).sum(axis=1),
            "f1_max": (2 * self.hits / (self.hits + self.alarms + positive)).max(axis=1),
        }
        if self.overlap is not None:
            results["au_pro"] = _area(self.alarm_rate, _share(self.overlap), limit=AU_PRO_LIMIT)
        return results


def _share(counts: np.ndarray) -> np.ndarray:
    return np.asarray(counts / counts[:, -1:])


def _steps(values: np.ndarray) -> np.ndarray:
    return np.diff(values, axis=1, prepend=0.0)


def _area(x: np.ndarray, y: np.ndarray, *, limit: float) -> np.ndarray:
    """(R,) area under straight lines from (0, 0) through the points, up to x = limit and divided by it."""
    rise, run = _steps(y), _steps(x)
    start = x - run
    walked = np.clip(limit, start, x) - start
    area = (y - rise) * walked + rise * walked**2 / (2 * np.maximum(run, _TINY))
    return np.asarray(area.sum(axis=1) / limit)
