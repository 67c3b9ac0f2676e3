"""Which category an image most likely shows, by the distance of its encoder embedding to each centroid.

Distances are Euclidean after dividing each dimension by its spread within a category, pooled over categories,
so a dimension that varies among good parts of one kind counts less.
"""

from dataclasses import dataclass

import numpy as np

from mambaad_demo.hub.schemas import CalibrationFile

STRANGER_FACTOR = 2.0
"""An image this many times farther from every category than any of its held-out good images is a stranger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """The category an image is judged as, and how safe that is."""

    category: str
    margin: float
    """1 - nearest / next distance, 0 to 1: how much nearer this category is than the best other one."""
    distance: float
    """To the centroid of the chosen category; about 1 is usual for its good parts."""
    nearest: str
    """The nearest category; differs from `category` where the caller gave another one."""
    is_stranger: bool
    """Whether the image is far from every category the checkpoint knows."""


class CategoryIndex:
    """The centroids of a calibration; without categories it suggests nothing."""

    def __init__(self, calibration: CalibrationFile) -> None:
        self._names = tuple(calibration.categories)
        self._scale = np.asarray(calibration.embedding_scale, dtype=np.float64)
        known = calibration.categories.values()
        self._centroids = np.array([category.embedding for category in known], dtype=np.float64)
        self._reach = np.array([category.embedding_distances[-1] for category in known], dtype=np.float64)

    def suggest(self, embedding: np.ndarray, *, given: str | None = None) -> Suggestion | None:
        """Compare an embedding (E,) with every category; None where there is nothing to compare with.

        Args:
            embedding: as `Detector.embed` computes it.
            given: the category the caller chose; the margin is then that of this category.
        """
        if not self._names or (given is not None and given not in self._names):
            return None
        distances = standardized_distances(embedding, self._centroids, self._scale)
        nearest = int(distances.argmin())
        chosen = nearest if given is None else self._names.index(given)
        others = np.delete(distances, chosen)
        margin = 1.0 if not len(others) else 1.0 - distances[chosen] / max(float(others.min()), 1e-12)
        return Suggestion(
            category=self._names[chosen],
            margin=float(np.clip(margin, 0.0, 1.0)),
            distance=float(distances[chosen]),
            nearest=self._names[nearest],
            is_stranger=bool(np.all(distances > STRANGER_FACTOR * self._reach)),
        )


def standardized_distances(embedding: np.ndarray, centroids: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Root mean square of the standardized difference, so that about 1 is usual within a category.

    Args:
        embedding: (..., E).
        centroids: (..., E), broadcast against the embedding.
        scale: (E,) positive.

    Returns:
        (...) float64.
    """
    return np.sqrt(np.mean(((embedding - centroids) / scale) ** 2, axis=-1))
