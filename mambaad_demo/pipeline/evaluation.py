"""A detector on labeled categories → a `Report` of the seven metrics per category.

Maps and masks meet in one frame, the image stretched to the S×S square, as the published protocol does, or
to a larger one in tile mode, where a cell takes the largest value below it, in map and mask: small defects
and the score of an image stay what they are. Padding of letterboxed inputs is cut away before. The metrics
themselves are `ops.metrics`'.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F

from mambaad_demo.data.folders import Category, Sample
from mambaad_demo.data.geometry import Geometry
from mambaad_demo.data.tiling import length_of
from mambaad_demo.data.uploads import load_mask
from mambaad_demo.errors import TooFewImagesError
from mambaad_demo.hub.schemas import Resize
from mambaad_demo.ops.metrics import METRICS, Protocol, evaluate_maps
from mambaad_demo.pipeline.inference import DetectorRunner, content_of
from mambaad_demo.pipeline.training_data import model_inputs

MAD = "mad"
"""Mean of the seven metrics."""

_BATCH = 8
_LARGEST_FRAME = 1024  # in tile mode; exact AU-PRO of larger maps takes minutes


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryReport:
    """Metrics of one category, in [0, 1]; None where undefined, such as pixel metrics without masks."""

    metrics: dict[str, float | None]
    n_good: int
    n_defect: int

    @property
    def mad(self) -> float | None:
        """Mean of the seven, None where any of them is undefined."""
        return _mean([self.metrics[name] for name in METRICS], skip_undefined=False)

    def to_json(self) -> dict[str, float | int | None]:
        return {**self.metrics, MAD: self.mad, "n_good": self.n_good, "n_defect": self.n_defect}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Metrics of all categories."""

    categories: dict[str, CategoryReport]

    def mean(self) -> dict[str, float | None]:
        """Unweighted mean of each metric over the categories that define it."""
        reports = self.categories.values()
        means = {name: _mean([report.metrics[name] for report in reports]) for name in METRICS}
        return {**means, MAD: _mean([report.mad for report in reports])}

    def to_json(self) -> dict[str, object]:
        """The metrics file of product.md §8."""
        return {
            "categories": {name: report.to_json() for name, report in self.categories.items()},
            "mean": self.mean(),
        }


def evaluate(
    runner: DetectorRunner,
    categories: Iterable[Category],
    *,
    resize: Resize,
    tiles: int = 1,
    protocol: Protocol = "exact",
    progress: Callable[[str, CategoryReport], None] = lambda name, report: None,
) -> Report:
    """Evaluate the test images of each category; one category's maps are held at a time.

    Args:
        runner: of a detector or of `Predictor.runner`.
        categories: with test images.
        resize, tiles: as the checkpoint's config says.
        protocol: see `ops.metrics.evaluate_maps`.
        progress: called after each category.

    Raises:
        TooFewImagesError: a category has no test images.
        InputError: an image or mask cannot be read; none is skipped silently.
    """
    reports = {}
    for category in categories:
        reports[category.name] = _evaluated(runner, category, resize, tiles, protocol)
        progress(category.name, reports[category.name])
    return Report(categories=reports)


def _evaluated(
    runner: DetectorRunner, category: Category, resize: Resize, tiles: int, protocol: Protocol
) -> CategoryReport:
    samples = category.test
    if not samples:
        raise TooFewImagesError(
            f"Category {category.name!r} has no test images. Add test/good and test/<defect>."
        )
    side = frame_side(runner.detector.side, tiles)
    maps = np.empty((len(samples), side, side), dtype=np.float32)
    for index, square in enumerate(_square_maps(runner, samples, resize, tiles, side)):
        maps[index] = square
    masks = (
        np.stack([_square_mask(sample, side, tiles) for sample in samples]) if category.has_masks else None
    )
    labels = [sample.is_anomalous for sample in samples]
    return CategoryReport(
        metrics=evaluate_maps(maps, masks, protocol, labels=labels),
        n_good=len(labels) - sum(labels),
        n_defect=sum(labels),
    )


def frame_side(side: int, tiles: int) -> int:
    """Pixels along the square in which maps and masks meet.

    Args:
        side: of the model input.
        tiles: along the longer side of an image.
    """
    return min(length_of(tiles, side), max(_LARGEST_FRAME, side))


def square_map(anomaly_map: np.ndarray, geometry: Geometry, frame: int, tiles: int) -> np.ndarray:
    """A model-resolution map, (M, N) with padding, as (frame, frame) float32: the part that is image,
    stretched to the square."""
    if tiles > 1:
        return _largest(content_of(anomaly_map, geometry), frame)
    return replace(geometry, width=frame, height=frame).map_to_image(anomaly_map)


def square_mask(mask: np.ndarray, frame: int, tiles: int) -> np.ndarray:
    """A mask at the size of the image, (H, W) bool, as (frame, frame) bool."""
    if tiles > 1:
        return _largest(mask, frame) > 0
    height, width = mask.shape
    return Geometry.fit(width, height, frame, "square").mask_to_model(mask)


def _square_maps(
    runner: DetectorRunner, samples: Sequence[Sample], resize: Resize, tiles: int, side: int
) -> Iterator[np.ndarray]:
    """(side, side) float32 per sample: the map over the image content, stretched to the square."""
    inputs = model_inputs(samples, side=runner.detector.side, resize=resize, tiles=tiles)
    while batch := list(islice(inputs, _BATCH if tiles == 1 else 1)):
        for item, anomaly_map in zip(batch, runner(batch).maps, strict=True):
            yield square_map(anomaly_map, item.geometry, side, tiles)


def _square_mask(sample: Sample, side: int, tiles: int) -> np.ndarray:
    """(side, side) bool; all False for good samples."""
    if sample.mask_path is None:
        return np.zeros((side, side), dtype=bool)
    return square_mask(load_mask(sample.mask_path), side, tiles)


def _largest(values: np.ndarray, side: int) -> np.ndarray:
    """(H, W) → (side, side) float32: the largest value under each cell, so that nothing small is lost."""
    image = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(F.adaptive_max_pool2d(image[None], side)[0].numpy())


def _mean(values: Sequence[float | None], *, skip_undefined: bool = True) -> float | None:
    defined = [value for value in values if value is not None]
    if not defined or (not skip_undefined and len(defined) < len(values)):
        return None
    return float(np.mean(defined))
