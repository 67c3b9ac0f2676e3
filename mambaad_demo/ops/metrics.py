"""The seven metrics of anomaly detection for one category, from anomaly maps and ground-truth masks.

Both classes are sorted once and every metric is read off that ranking, so a category of 34 million pixels is
a matter of seconds. Reading and resizing masks and averaging over categories are left to the evaluation.

Legend: `n` images · `H W` height, width · `P` anomalous scores · `N` normal scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

METRICS = (
    "image_auroc",
    "image_ap",
    "image_f1_max",
    "pixel_auroc",
    "pixel_ap",
    "pixel_f1_max",
    "au_pro",
)
"""The keys of every result, in the order in which papers print them."""

AU_PRO_LIMIT = 0.3
"""Largest false-positive rate that AU-PRO integrates over; the area is divided by it."""

Protocol = Literal["exact", "ader"]


def evaluate_maps(
    maps: ArrayLike,
    masks: ArrayLike | None,
    protocol: Protocol = "exact",
    *,
    labels: Sequence[bool] | None = None,
) -> dict[str, float | None]:
    """Compute the seven metrics of one category.

    `exact` uses every distinct score as a threshold and interpolates AU-PRO at a false-positive rate of 0.3.
    `ader` repeats the habits of the ADer benchmark, to compare with published tables: image labels come from
    the masks even where `labels` says otherwise, pixel F1-max tries 21 thresholds, AU-PRO takes 100 steps.

    Args:
        maps: (n, H, W) anomaly maps, finite, higher is more anomalous; the largest value scores the image.
        masks: (n, H, W) ground truth at the size of the maps, True (or above 0.5) on defects; None where
            nobody drew any.
        protocol: "exact" or "ader".
        labels: (n,) True for an anomalous image; by default an image with a non-empty mask is anomalous.

    Returns:
        The keys of `METRICS`, each a number in [0, 1], or None where it is undefined: one class only, no
        masks, or (in `ader`) steps too coarse to leave a curve.

    Raises:
        ValueError: shapes that do not fit, maps that are not finite, neither masks nor labels, an unknown
            protocol.
    """
    if protocol not in ("exact", "ader"):
        raise ValueError(f"Unknown protocol {protocol!r}; choose 'exact' or 'ader'.")
    scores = _checked_maps(maps)
    defects = None if masks is None else _checked_masks(masks, scores.shape)
    is_anomalous = _image_labels(defects, labels, len(scores), trust_masks=protocol == "ader")

    results: dict[str, float | None] = dict.fromkeys(METRICS)
    if _holds_both(is_anomalous):
        images = _Ranking.of(scores.max(axis=(1, 2)), is_anomalous)
        results["image_auroc"] = _auroc(images)
        results["image_ap"] = _average_precision(images)
        results["image_f1_max"] = _f1_max(images)
    if defects is not None and _holds_both(defects):
        pixels = _Ranking.of(scores, defects)
        weights = _region_weights(defects)[pixels.order]
        results["pixel_auroc"] = _auroc(pixels)
        results["pixel_ap"] = _average_precision(pixels)
        if protocol == "exact":
            results["pixel_f1_max"] = _f1_max(pixels)
            results["au_pro"] = _au_pro(pixels, weights)
        else:
            results["pixel_f1_max"] = _ader_f1_max(pixels)
            results["au_pro"] = _ader_au_pro(pixels, weights)
    return results


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranking:
    """Both classes in order, and the normal scores that each anomalous score lets pass.

    Only anomalous scores matter as thresholds: between two of them precision can only fall.
    """

    normal: NDArray[np.floating]
    """(N,) ascending."""
    anomalous: NDArray[np.floating]
    """(P,) ascending."""
    order: NDArray[np.intp]
    """(P,) position of each anomalous score before sorting."""
    hits: NDArray[np.intp]
    """(P,) anomalous scores greater than or equal to this one."""
    false_alarms: NDArray[np.intp]
    """(P,) normal scores greater than or equal to this anomalous one."""
    false_alarms_above: NDArray[np.intp]
    """(P,) normal scores strictly greater; smaller than `false_alarms` only where the classes tie."""

    @classmethod
    def of(cls, scores: NDArray[np.floating], is_anomalous: NDArray[np.bool_]) -> "_Ranking":
        """Sort `scores`, of any shape, split by `is_anomalous` of the same shape."""
        normal = np.sort(scores[~is_anomalous])
        anomalous = scores[is_anomalous]
        order = np.argsort(anomalous)
        anomalous = anomalous[order]
        return cls(
            normal=normal,
            anomalous=anomalous,
            order=order,
            hits=anomalous.size - np.searchsorted(anomalous, anomalous, side="left"),
            false_alarms=normal.size - np.searchsorted(normal, anomalous, side="left"),
            false_alarms_above=normal.size - np.searchsorted(normal, anomalous, side="right"),
        )


def _auroc(ranking: _Ranking) -> float:
    """Chance that an anomalous score exceeds a normal one; ties count half (Mann–Whitney)."""
    beaten_by = (ranking.false_alarms.mean() + ranking.false_alarms_above.mean()) / 2
    return float(1 - beaten_by / ranking.normal.size)


def _average_precision(ranking: _Ranking) -> float:
    """Step-wise area under precision over recall: the mean precision over anomalous scores."""
    return float((ranking.hits / (ranking.hits + ranking.false_alarms)).mean())


def _f1_max(ranking: _Ranking) -> float:
    """Best F1 = 2 TP / (TP + FP + P) over all thresholds."""
    return float((2 * ranking.hits / (ranking.hits + ranking.false_alarms + ranking.anomalous.size)).max())


def _au_pro(ranking: _Ranking, weights: NDArray[np.float64]) -> float:
    """Area under per-region overlap over false-positive rate, up to 0.3 and divided by it.

    (Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 2021.) The curve is a sum of one ramp per
    anomalous pixel. A ramp starts at the rate of false positives strictly above the pixel's score and reaches
    its height, the pixel's weight, at the rate that includes ties. So the area is a sum too, and no curve is
    ever built.
    """
    start = ranking.false_alarms_above / ranking.normal.size
    end = ranking.false_alarms / ranking.normal.size
    climbed = np.clip(AU_PRO_LIMIT, start, end) - start
    shortest = 1 / ranking.normal.size  # a ramp without ties has no area, whatever it is divided by
    area = climbed**2 / (2 * np.maximum(end - start, shortest)) + np.maximum(AU_PRO_LIMIT - end, 0)
    return _within_unit((weights * area).sum() / AU_PRO_LIMIT)


def _ader_f1_max(ranking: _Ranking) -> float | None:
    """Best pixel F1 among 21 thresholds on scores stretched to [0, 1] over the whole category."""
    low, high = _range(ranking)
    if low == high:
        return None
    thresholds = np.linspace(0, 1, 21)
    hits = _count_above((ranking.anomalous - low) / (high - low), thresholds)
    false_alarms = _count_above((ranking.normal - low) / (high - low), thresholds)
    return float((2 * hits / (hits + false_alarms + ranking.anomalous.size)).max())


def _ader_au_pro(ranking: _Ranking, weights: NDArray[np.float64]) -> float | None:
    """AU-PRO from 100 equal steps; rates below 0.3 are stretched to [0, 1] instead of interpolated."""
    low, high = _range(ranking)
    step = (high - low) / 100
    if step == 0:
        return None
    thresholds = np.arange(low, high, step)  # in the dtype of the maps, as the original
    missed = np.concatenate([[0.0], weights.cumsum()])[
        np.searchsorted(ranking.anomalous, thresholds, side="right")
    ]
    rates = _count_above(ranking.normal, thresholds) / ranking.normal.size
    kept = rates < AU_PRO_LIMIT
    if not kept.any() or np.ptp(rates[kept]) == 0:
        return None
    stretched = (rates[kept] - rates[kept].min()) / np.ptp(rates[kept])
    return _within_unit(np.trapezoid((1 - missed[kept])[::-1], stretched[::-1]))


def _region_weights(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of each anomalous pixel in the mean overlap: 1 / (regions · area of its own region).

    Regions are 8-connected and never cross images. One weight per True pixel of `masks`, in its order.
    """
    masks = masks[masks.any(axis=(1, 2))]
    neighbors = np.zeros((3, 3, 3), dtype=bool)
    neighbors[1] = True
    regions, count = ndimage.label(masks, structure=neighbors)
    region = regions[masks]
    return 1 / (count * np.bincount(region)[region])


def _within_unit(area: float) -> float:
    """Take back the last digit that rounding of the weights may have added."""
    return float(min(max(area, 0.0), 1.0))


def _count_above(ascending: NDArray[np.floating], thresholds: NDArray[np.floating]) -> NDArray[np.intp]:
    """Scores strictly greater than each threshold."""
    return ascending.size - np.searchsorted(ascending, thresholds, side="right")


def _range(ranking: _Ranking) -> tuple[np.floating, np.floating]:
    return (
        min(ranking.normal[0], ranking.anomalous[0]),
        max(ranking.normal[-1], ranking.anomalous[-1]),
    )


def _holds_both(flags: NDArray[np.bool_]) -> bool:
    return bool(flags.any() and not flags.all())


def _checked_maps(maps: ArrayLike) -> NDArray[np.floating]:
    scores = np.asarray(maps)
    if scores.ndim != 3 or scores.size == 0:
        raise ValueError(
            f"Anomaly maps have shape {scores.shape}; (n, H, W) with at least one pixel is needed."
        )
    scores = scores.astype(np.promote_types(scores.dtype, np.float32), copy=False)
    finite = np.isfinite(scores).all(axis=(1, 2))
    if not finite.all():
        raise ValueError(
            f"{np.count_nonzero(~finite)} of {len(scores)} anomaly maps hold NaN or infinite values "
            f"(first: number {int(np.argmin(finite))}, counted from 0). Metrics of such maps mean nothing."
        )
    return scores


def _checked_masks(masks: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    defects = np.asarray(masks)
    if defects.shape != shape:
        raise ValueError(f"Masks have shape {defects.shape}, anomaly maps {shape}; resize the masks first.")
    return defects if defects.dtype == np.bool_ else defects > 0.5


def _image_labels(
    masks: NDArray[np.bool_] | None, labels: Sequence[bool] | None, count: int, *, trust_masks: bool
) -> NDArray[np.bool_]:
    if masks is not None and (trust_masks or labels is None):
        return np.asarray(masks.any(axis=(1, 2)))
    if labels is None:
        raise ValueError("Neither masks nor labels were given; at least one must say what is anomalous.")
    if len(labels) != count:
        raise ValueError(f"Got {len(labels)} labels for {count} anomaly maps.")
    return np.asarray(labels, dtype=bool)
