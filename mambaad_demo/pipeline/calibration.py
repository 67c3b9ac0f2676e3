"""Limits, colour scale and category centroids from held-out good images alone.

The next good part exceeds a limit with the stated rate as far as the logarithms of the upper scores look
normal, whatever their number (`upper_tail`); with few parts the limits therefore stand wide. No seen good
part is ever rejected.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np

from mambaad_demo.data.geometry import Geometry
from mambaad_demo.errors import InputError, TooFewImagesError
from mambaad_demo.hub.schemas import CalibrationFile, CategoryCalibration, Rates
from mambaad_demo.models.detector import Detector
from mambaad_demo.pipeline.inference import (
    DetectorRunner,
    ModelInput,
    ModelOutput,
    content_of,
    image_score,
)
from mambaad_demo.pipeline.prediction import Limits
from mambaad_demo.pipeline.suggestion import standardized_distances
from mambaad_demo.pipeline.upper_tail import limit_at_rate

DEFAULT_RATES = Rates(check=0.05, reject=0.005)
"""One good part in 20 is looked at, one in 200 rejected."""
MIN_IMAGES = 3
"""Fewer good images say nothing about spread."""

_BATCH = 8
_MOST_PIXELS = 2**16  # of one map, as many as an input of 256 has; canvases of tiles have millions
_QUANTILES = ("0.5", "0.9", "0.99", "0.999")
_LEAST_RELATIVE_SCALE = 0.1  # an embedding dimension that happened not to vary must not rule the distance


class Placed(Protocol):
    """Something the detector can look at, that knows how the picture lies on the canvas."""

    @property
    def geometry(self) -> Geometry: ...


Input = TypeVar("Input", bound=Placed)


class GoodParts:
    """What the detector says about good parts of one category, gathered a few at a time."""

    def __init__(self, centroid: np.ndarray | None = None) -> None:
        """
        Args:
            centroid: (E,) of the category, to be kept; None to compute it from the parts themselves, whose
                embeddings then all have to be measured.
        """
        self._centroid = centroid
        self._scores: list[float] = []
        self._pixels: list[np.ndarray] = []
        self._embeddings: list[np.ndarray] = []
        self._known_distances: list[float] = []
        self._generator = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self._scores)

    @property
    def embeddings(self) -> np.ndarray:
        """(n, E) of the parts that were measured."""
        return np.stack(self._embeddings)

    @property
    def length(self) -> int:
        """E: numbers in an embedding; there is at least one part."""
        return len(self._embeddings[0] if self._centroid is None else self._centroid)

    def measure(self, runner: Callable[[Sequence[Input]], ModelOutput], inputs: Sequence[Input]) -> None:
        """Run the detector over some parts that it was not trained on."""
        output = runner(inputs)
        self._embeddings.extend(output.embeddings)
        for item, anomaly_map in zip(inputs, output.maps, strict=True):
            self._add_map(anomaly_map, item.geometry)

    def add_stored(self, anomaly_map: np.ndarray, geometry: Geometry, distance: float) -> None:
        """Add a part that was measured before.

        Args:
            anomaly_map: (M, N) at model resolution, padding included.
            geometry: how the picture lay on the canvas.
            distance: standardized, to the centroid that is kept.
        """
        if self._centroid is None:
            raise ValueError("a stored distance is to a centroid, which has to be kept")
        self._known_distances.append(distance)
        self._add_map(anomaly_map, geometry)

    def require_enough(self, name: str) -> None:
        """
        Raises:
            TooFewImagesError: there are fewer than `MIN_IMAGES` parts.
        """
        if len(self) < MIN_IMAGES:
            raise TooFewImagesError(
                f"Category {name!r} has {len(self)} held-out good images; at least {MIN_IMAGES} are needed "
                "for limits."
            )

    def calibration(self, scale: np.ndarray, rates: Rates = DEFAULT_RATES) -> CategoryCalibration:
        """Set the limits and describe what good parts look like.

        Args:
            scale: (E,) unit of embedding distances, one for all categories of a checkpoint.
            rates: false-reject rates to aim at.

        Raises:
            TooFewImagesError: there are fewer than `MIN_IMAGES` parts.
        """
        limits = limits_from_scores(self._scores, rates)
        centroid, distances = self._distances(scale)
        quantiles = np.quantile(np.concatenate(self._pixels), [float(name) for name in _QUANTILES])
        return CategoryCalibration.model_validate(
            {
                "scores": sorted(self._scores),
                "pixel_quantiles": dict(zip(_QUANTILES, quantiles.tolist(), strict=True)),
                "check": limits.check,
                "reject": limits.reject,
                "images": len(self),
                "rates": rates,
                "embedding": centroid.tolist(),
                "embedding_distances": sorted(distances),
            }
        )

    def _distances(self, scale: np.ndarray) -> tuple[np.ndarray, list[float]]:
        if self._centroid is not None:
            measured = [standardized_distances(one, self._centroid, scale) for one in self._embeddings]
            return self._centroid, [*self._known_distances, *map(float, measured)]
        count = len(self)
        centroid = self.embeddings.mean(axis=0, dtype=np.float64)
        # To the centroid of the others, as for a new image: n / (n - 1) times the distance to the own one.
        distances = standardized_distances(self.embeddings, centroid, scale) * count / (count - 1)
        return centroid, distances.tolist()

    def _add_map(self, anomaly_map: np.ndarray, geometry: Geometry) -> None:
        self._scores.append(image_score(anomaly_map, geometry))
        values = content_of(anomaly_map, geometry).ravel()
        few = values.size <= _MOST_PIXELS
        self._pixels.append(values if few else self._generator.choice(values, _MOST_PIXELS))


def calibrate(
    detector: Detector, images: Mapping[str, Iterable[ModelInput]], *, rates: Rates = DEFAULT_RATES
) -> CalibrationFile:
    """Measure held-out good images of each category and set the limits.

    Args:
        detector: with its final weights, on its device.
        images: category → inputs the detector was not trained on; may be generators.
        rates: false-reject rates to aim at.

    Raises:
        TooFewImagesError: a category has fewer than `MIN_IMAGES` images.
    """
    runner = DetectorRunner(detector)
    parts = {name: _measured(runner, inputs, name) for name, inputs in images.items()}
    scale = _embedding_scale([category.embeddings for category in parts.values()])
    return CalibrationFile(
        embedding_scale=tuple(scale.tolist()),
        categories={name: category.calibration(scale, rates) for name, category in parts.items()},
    )


def calibrate_category(
    runner: DetectorRunner,
    inputs: Iterable[ModelInput],
    name: str,
    *,
    scale: Sequence[float] | np.ndarray,
    rates: Rates = DEFAULT_RATES,
) -> CategoryCalibration:
    """Measure held-out good images of one category, which the checkpoint need not know yet.

    Args:
        runner: of the detector, with its final weights.
        inputs: may be a generator.
        name: of the category, for messages.
        scale: (E,) unit of embedding distances of the checkpoint; see `scale_of`.
        rates: false-reject rates to aim at.

    Raises:
        TooFewImagesError: there are fewer than `MIN_IMAGES` images.
    """
    return _measured(runner, inputs, name).calibration(np.asarray(scale, dtype=np.float64), rates)


def scale_of(calibration: CalibrationFile, length: int) -> np.ndarray:
    """(E,) unit of embedding distances of a checkpoint.

    Ones where it was never calibrated, so that its first categories can be compared with each other at least.
    """
    return np.array(calibration.embedding_scale or (1.0,) * length, dtype=np.float64)


def aimed_at(calibration: CategoryCalibration, rates: Rates) -> CategoryCalibration:
    """The same good parts with limits that aim at other rates.

    Raises:
        TooFewImagesError: there are fewer than `MIN_IMAGES` parts.
    """
    limits = limits_from_scores(calibration.scores, rates)
    return calibration.model_copy(update={"check": limits.check, "reject": limits.reject, "rates": rates})


def moved_to(calibration: CategoryCalibration, limits: Limits) -> CategoryCalibration:
    """The same good parts with limits that a person chose.

    Raises:
        InputError: no numbers above 0, or the check limit lies above the reject limit.
    """
    values = (limits.check, limits.reject)
    if any(value is None or not math.isfinite(value) or value <= 0 for value in values):
        raise InputError("Limits are scores above 0. Move both sliders to a place on the scale.")
    return calibration.model_copy(update={"check": limits.check, "reject": limits.reject})


def calibration_sha256(calibration: CalibrationFile) -> str:
    """Of the file `calibration.json` that would hold it."""
    return hashlib.sha256(f"{calibration.model_dump_json(indent=1)}\n".encode()).hexdigest()


def limits_from_scores(scores: Sequence[float] | np.ndarray, rates: Rates = DEFAULT_RATES) -> Limits:
    """Check and reject limits from the image scores of good parts; see the module's first paragraph.

    Raises:
        TooFewImagesError: fewer than `MIN_IMAGES` scores.
    """
    if len(scores) < MIN_IMAGES:
        raise TooFewImagesError(
            f"{len(scores)} good images cannot set limits; at least {MIN_IMAGES} are needed."
        )
    reject = max(limit_at_rate(scores, rates.reject), math.nextafter(float(np.max(scores)), math.inf))
    return Limits(check=min(limit_at_rate(scores, rates.check), reject), reject=reject)


def _measured(runner: DetectorRunner, inputs: Iterable[ModelInput], name: str) -> GoodParts:
    parts = GoodParts()
    for batch in _batches(inputs):
        parts.measure(runner, batch)
    parts.require_enough(name)
    return parts


def _embedding_scale(categories: Sequence[np.ndarray]) -> np.ndarray:
    """(E,) standard deviation within categories, pooled, with a floor relative to the mean over
    dimensions."""
    if not categories:
        return np.empty(0)
    centered = np.concatenate([embeddings - embeddings.mean(axis=0) for embeddings in categories])
    scale = np.sqrt((centered.astype(np.float64) ** 2).sum(axis=0) / (len(centered) - len(categories)))
    return np.maximum(scale, max(_LEAST_RELATIVE_SCALE * float(scale.mean()), 1e-6))


def _batches(inputs: Iterable[ModelInput]) -> Iterator[list[ModelInput]]:
    remaining = iter(inputs)
    while batch := list(islice(remaining, _BATCH)):
        yield batch
