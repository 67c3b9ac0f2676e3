"""The seven metrics as `train.evaluate` computes them, with intervals, and the curves over pixels.

Metrics are exact; intervals and curves rest on the counts of `pixel_tally`.
"""

from dataclasses import dataclass

import numpy as np

from mambaad_demo.ops.metrics import METRICS, evaluate_maps
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.figures import bootstrap
from mambaad_demo.workflow.figures.curves import Curve
from mambaad_demo.workflow.figures.estimate import Estimate, undefined
from mambaad_demo.workflow.figures.image_ranking import IMAGE_METRICS, ImageRanking, image_ranking
from mambaad_demo.workflow.figures.labeled_maps import LabeledMaps, labeled_maps
from mambaad_demo.workflow.figures.labeled_scores import LabeledSet
from mambaad_demo.workflow.figures.pixel_tally import PixelTally

PIXEL_METRICS = tuple(name for name in METRICS if name not in IMAGE_METRICS)
_TALLY_NAMES = {name: name.removeprefix("pixel_") for name in PIXEL_METRICS}


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelCurves:
    """Over all pixels of the pictures that pixel metrics rest on."""

    roc: Curve
    """Hit rate over false-alarm rate."""
    precision_recall: Curve
    """Precision over recall."""
    overlap: Curve
    """Mean covered share of the defect regions over false-alarm rate; AU-PRO is its area up to 0.3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FullRanking:
    """The seven metrics and what they rest on."""

    metrics: dict[str, Estimate]
    """The keys of `METRICS`."""
    images: ImageRanking
    """By the largest value of each square map, as `train.evaluate` ranks pictures."""
    pixels: PixelCurves | None
    """None where pixel metrics are undefined."""
    n_good: int
    """Good pictures that pixel metrics rest on."""
    n_masked: int
    """Defective pictures with a mask, on which they rest too."""
    n_without_mask: int
    """Defective pictures without, which they leave out."""


def full_ranking(workspace: Workspace, labeled: LabeledSet) -> FullRanking:
    """Read the maps and masks of the decided pictures and measure; a thousand maps take several seconds.

    Raises:
        StorageError: a map or mask is gone or damaged.
    """
    if not labeled.decided:
        nothing = image_ranking(np.empty(0), np.empty(0, bool))
        pixel_metrics = dict.fromkeys(PIXEL_METRICS, undefined("Undefined: nothing is labeled yet."))
        return FullRanking(
            metrics=nothing.metrics | pixel_metrics,
            images=nothing,
            pixels=None,
            n_good=0,
            n_masked=0,
            n_without_mask=0,
        )
    found = labeled_maps(workspace, labeled.decided)
    images = image_ranking(found.scores, labeled.is_defective)
    pixel_metrics, curves = _pixels(found)
    return FullRanking(
        metrics=images.metrics | pixel_metrics,
        images=images,
        pixels=curves,
        n_good=found.n_good,
        n_masked=found.n_masked,
        n_without_mask=found.n_without_mask,
    )


def _pixels(found: LabeledMaps) -> tuple[dict[str, Estimate], PixelCurves | None]:
    if not found.masks.any() or found.masks.all():
        return dict.fromkeys(PIXEL_METRICS, undefined(_why_undefined(found))), None
    values = evaluate_maps(found.maps, found.masks)
    tally = PixelTally.of(found.maps, found.masks)
    metrics = bootstrap.estimates(
        {short: values[name] for name, short in _TALLY_NAMES.items()},
        tally,
        np.asarray(found.masks.any(axis=(1, 2))),
        missing=_why_undefined(found),
    )
    whole = tally.passing(np.ones((1, len(found.maps))))
    alarm_rate, hit_rate, precision = whole.alarm_rate[0], whole.hit_rate[0], whole.precision[0]
    curves = PixelCurves(
        roc=Curve.thinned(np.append(0, alarm_rate), np.append(0, hit_rate)),
        precision_recall=Curve.thinned(hit_rate, precision),
        overlap=Curve.thinned(np.append(0, alarm_rate), np.append(0, tally.mean_overlap)),
    )
    return {name: metrics[short] for name, short in _TALLY_NAMES.items()}, curves


def _why_undefined(found: LabeledMaps) -> str:
    if found.is_too_large:
        return (
            "Too many pictures for this page. Export them as an MVTec folder and run "
            "python -m train.evaluate."
        )
    if not found.n_masked:
        return "Undefined: no defective picture has a mask. Draw where the defects are on the Review page."
    return "Undefined: the masks leave no defective or no normal pixel at the size of the model's input."
