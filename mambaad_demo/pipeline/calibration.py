"""Limits, colour scale and category centroids from held-out good images alone.

The limits are predictive quantiles of a log-normal: image scores are positive and skewed, and n good parts
fix the spread of their logarithm only so well, which Student's t with n - 1 degrees of freedom accounts for.
If the scores are log-normal, the next good part exceeds the limit with exactly the stated rate, whatever n;
with few parts the limits therefore stand wide. No seen good part is ever rejected.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from scipy import stats

from mambaad_demo.errors import TooFewImagesError
from mambaad_demo.hub.schemas import CalibrationFile, CategoryCalibration, Rates
from mambaad_demo.models.detector import Detector
from mambaad_demo.pipeline.inference import DetectorRunner, ModelInput, content_of, image_score
from mambaad_demo.pipeline.prediction import Limits
from mambaad_demo.pipeline.suggestion import standardized_distances

DEFAULT_RATES = Rates(check=0.05, reject=0.005)
"""One good part in 20 is looked at, one in 200 rejected."""
MIN_IMAGES = 3
"""Fewer good images say nothing about spread."""

_BATCH = 8
_SMALLEST_SCORE = 1e-6  # guards the logarithm against a perfect reconstruction
_SMALLEST_SPREAD = 1e-3  # of log scores: identical images still get a limit above their score
_MOST_PIXELS = 2**16  # of one map, as many as an input of 256 has; canvases of tiles have millions
_QUANTILES = ("0.5", "0.9", "0.99", "0.999")
_LEAST_RELATIVE_SCALE = 0.1  # an embedding dimension that happened not to vary must not rule the distance


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """What the detector says about the held-out good images of one category."""

    scores: np.ndarray
    """(n,)"""
    pixels: np.ndarray
    """Map values over image content, flat: all of them, or as many drawn from each large map."""
    embeddings: np.ndarray
    """(n, E)"""


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
    measured = {name: _measured(runner, inputs, name) for name, inputs in images.items()}
    scale = _embedding_scale([category.embeddings for category in measured.values()])
    return CalibrationFile(
        embedding_scale=tuple(scale.tolist()),
        categories={name: _calibration(category, scale, rates) for name, category in measured.items()},
    )


def limits_from_scores(scores: Sequence[float] | np.ndarray, rates: Rates = DEFAULT_RATES) -> Limits:
    """Check and reject limits from the image scores of good parts; see the module's first paragraph.

    Raises:
        TooFewImagesError: fewer than `MIN_IMAGES` scores.
    """
    if len(scores) < MIN_IMAGES:
        raise TooFewImagesError(
            f"{len(scores)} good images cannot set limits; at least {MIN_IMAGES} are needed."
        )
    logs = np.log(np.maximum(np.asarray(scores, dtype=np.float64), _SMALLEST_SCORE))
    count = len(logs)
    spread = max(float(logs.std(ddof=1)), _SMALLEST_SPREAD) * math.sqrt(1 + 1 / count)
    check, reject = (
        math.exp(logs.mean() + float(stats.t.ppf(1 - rate, count - 1)) * spread)
        for rate in (rates.check, rates.reject)
    )
    reject = max(reject, math.nextafter(float(np.max(scores)), math.inf))
    return Limits(check=min(check, reject), reject=reject)


def _measured(runner: DetectorRunner, inputs: Iterable[ModelInput], name: str) -> _Measured:
    scores: list[float] = []
    pixels: list[np.ndarray] = []
    embeddings: list[np.ndarray] = []
    generator = np.random.default_rng(0)
    for batch in _batches(inputs):
        output = runner(batch)
        embeddings.extend(output.embeddings)
        for item, anomaly_map in zip(batch, output.maps, strict=True):
            scores.append(image_score(anomaly_map, item.geometry))
            values = content_of(anomaly_map, item.geometry).ravel()
            pixels.append(values if values.size <= _MOST_PIXELS else generator.choice(values, _MOST_PIXELS))
    if len(scores) < MIN_IMAGES:
        raise TooFewImagesError(
            f"Category {name!r} has {len(scores)} held-out good images; at least {MIN_IMAGES} are needed "
            "for limits."
        )
    return _Measured(scores=np.array(scores), pixels=np.concatenate(pixels), embeddings=np.stack(embeddings))


def _calibration(measured: _Measured, scale: np.ndarray, rates: Rates) -> CategoryCalibration:
    limits = limits_from_scores(measured.scores, rates)
    count = len(measured.scores)
    centroid = measured.embeddings.mean(axis=0, dtype=np.float64)
    # To the centroid of the others, as for a new image: n / (n - 1) times the distance to the own one.
    distances = standardized_distances(measured.embeddings, centroid, scale) * count / (count - 1)
    quantiles = np.quantile(measured.pixels, [float(name) for name in _QUANTILES])
    return CategoryCalibration.model_validate(
        {
            "scores": sorted(measured.scores.tolist()),
            "pixel_quantiles": dict(zip(_QUANTILES, quantiles.tolist(), strict=True)),
            "check": limits.check,
            "reject": limits.reject,
            "images": count,
            "rates": rates,
            "embedding": centroid.tolist(),
            "embedding_distances": sorted(distances.tolist()),
        }
    )


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
