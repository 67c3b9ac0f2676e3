"""The metrics by their definitions: one binary prediction per threshold. Slow; for tests only."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from skimage import measure

FPR_LIMIT = 0.3


def f1_max(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Best F1 over every score as a threshold."""
    return max(f1(scores >= threshold, truth) for threshold in np.unique(scores))


def au_pro(maps: NDArray[np.floating], masks: NDArray[np.bool_]) -> float:
    """Area under the per-region overlap curve, cut by a straight line at the limit."""
    curve = [(0.0, 0.0)]
    for threshold in np.unique(maps)[::-1]:
        curve.append(rate_and_overlap(maps >= threshold, masks))
    area = 0.0
    for (rate, overlap), (next_rate, next_overlap) in pairwise(curve):
        if next_rate > FPR_LIMIT:
            share = (FPR_LIMIT - rate) / (next_rate - rate)
            at_limit = overlap + share * (next_overlap - overlap)
            area += (FPR_LIMIT - rate) * (overlap + at_limit) / 2
            break
        area += (next_rate - rate) * (overlap + next_overlap) / 2
    return area / FPR_LIMIT


def ader_f1_max(maps: NDArray[np.floating], masks: NDArray[np.bool_]) -> float:
    """Best pixel F1 of the 21 thresholds 0, 0.05 … 1 on maps stretched to [0, 1]."""
    stretched = (maps - maps.min()) / (maps.max() - maps.min())
    return max(f1(stretched > step / 20, masks) for step in range(21))


def ader_au_pro(maps: NDArray[np.floating], masks: NDArray[np.bool_]) -> float:
    """100 steps from the smallest score, rates below the limit stretched to [0, 1]."""
    low, high = maps.min(), maps.max()
    curve = [rate_and_overlap(maps > low + step * ((high - low) / 100), masks) for step in range(100)]
    curve = sorted(point for point in curve if point[0] < FPR_LIMIT)
    first, last = curve[0][0], curve[-1][0]
    area = 0.0
    for (rate, overlap), (next_rate, next_overlap) in pairwise(curve):
        area += (next_rate - rate) / (last - first) * (overlap + next_overlap) / 2
    return area


def f1(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """F1 of one binary prediction."""
    hits = np.count_nonzero(predicted & truth)
    return 2 * hits / (np.count_nonzero(predicted) + np.count_nonzero(truth))


def rate_and_overlap(predicted: NDArray[np.bool_], masks: NDArray[np.bool_]) -> tuple[float, float]:
    """False-positive rate over normal pixels, and mean covered share of the 8-connected regions."""
    overlaps = []
    for image, mask in zip(predicted, masks, strict=True):
        regions = measure.label(mask, connectivity=2)
        overlaps += [image[regions == region].mean() for region in range(1, regions.max() + 1)]
    return float(predicted[~masks].mean()), float(np.mean(overlaps))
