"""Connected anomalous areas of a map, measured and outlined with scikit-image.

Where the threshold comes from is left to the predictor.
"""

from dataclasses import replace
from math import ceil
from typing import Any

import numpy as np
from skimage.measure import approximate_polygon, find_contours, label, regionprops

from mambaad_demo.pipeline.prediction import Region

MAX_REGIONS = 50
SMALLEST_REGION_CELLS = 16
"""Regions smaller than this many model pixels are dropped: the smoothing (sigma 4 of 256) alone spreads one
deviating feature wider, so they are threshold noise. The region that holds the map's maximum always stays."""

_CONTOUR_SAMPLES = 512  # per side of a region; the map was computed on a coarser grid than this


def find_regions(anomaly_map: np.ndarray, threshold: float, *, cell_area: float = 1.0) -> tuple[Region, ...]:
    """Find the 8-connected areas at or above a threshold, highest peak first, at most `MAX_REGIONS`.

    Args:
        anomaly_map: (H, W) float32.
        threshold: smallest map value inside a region.
        cell_area: image pixels under one model pixel; scales the smallest region that is kept.
    """
    labels = label(anomaly_map >= threshold, connectivity=2)
    found = sorted(regionprops(labels, intensity_image=anomaly_map), key=lambda area: -area.intensity_max)
    kept = [
        area
        for rank, area in enumerate(found)
        if rank == 0 or area.num_pixels >= SMALLEST_REGION_CELLS * cell_area
    ]
    return tuple(_region(area, threshold) for area in kept[:MAX_REGIONS])


def _region(area: Any, threshold: float) -> Region:
    """Measure and outline one scikit-image region."""
    top, left, bottom, right = (int(value) for value in area.bbox)
    values = np.where(area.image, area.image_intensity, -np.inf)
    row, column = np.unravel_index(int(values.argmax()), values.shape)
    region = Region(
        x=left,
        y=top,
        width=right - left,
        height=bottom - top,
        area=int(area.num_pixels),
        peak=float(values[row, column]),
        peak_x=left + int(column),
        peak_y=top + int(row),
    )
    return replace(region, contour=_contour(region, values, threshold))


def _contour(region: Region, values: np.ndarray, threshold: float) -> tuple[tuple[float, float], ...]:
    """The longest outline of a region, simplified; its bounding box where it is too small to have one.

    Args:
        region: where the values lie.
        values: (height, width), -inf outside the region.
        threshold: value of the outline.
    """
    step = ceil(max(values.shape) / _CONTOUR_SAMPLES)
    outside = 2 * threshold - region.peak - 1e-6  # the outline then runs about midway between pixel centers
    sampled = np.pad(
        np.where(np.isfinite(values), values, outside)[::step, ::step], 1, constant_values=outside
    )
    outlines = find_contours(sampled, np.nextafter(np.float32(threshold), np.float32(-np.inf)))
    if not outlines:
        return _box(region)
    longest = max(outlines, key=len)
    simplified = approximate_polygon(longest, tolerance=0.5)
    if len(simplified) < 4:  # first and last point are one: fewer enclose nothing
        return _box(region)
    rows, columns = ((simplified - 1) * step + 0.5).T
    return tuple(
        (
            round(float(region.x + np.clip(x, 0, region.width)), 1),
            round(float(region.y + np.clip(y, 0, region.height)), 1),
        )
        for x, y in zip(columns, rows, strict=True)
    )


def _box(region: Region) -> tuple[tuple[float, float], ...]:
    left, top, right, bottom = region.x, region.y, region.x + region.width, region.y + region.height
    corners = ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
    return tuple((float(x), float(y)) for x, y in corners)
