"""How well image scores tell defective pictures from good ones: three metrics with intervals, two curves.

`n` pictures.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from mambaad_demo.ops.metrics import evaluate_maps
from mambaad_demo.workflow.figures import bootstrap
from mambaad_demo.workflow.figures.curves import Curve
from mambaad_demo.workflow.figures.estimate import Estimate
from mambaad_demo.workflow.figures.passing import Passing

IMAGE_METRICS = ("image_auroc", "image_ap", "image_f1_max")
_LEVEL = "image_"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRanking:
    """What the ranking of pictures by their score is worth."""

    metrics: dict[str, Estimate]
    """The keys of `IMAGE_METRICS`."""
    roc: Curve | None
    """Hit rate over false-alarm rate; None where one of the kinds is missing."""
    precision_recall: Curve | None
    """Precision over recall."""


def image_ranking(scores: np.ndarray, is_defective: np.ndarray) -> ImageRanking:
    """Measure (n,) scores against (n,) bool; n may be 0."""
    if not len(scores) or is_defective.all() or not is_defective.any():
        values = dict.fromkeys(IMAGE_METRICS)
    else:
        values = evaluate_maps(scores[:, None, None], None, labels=is_defective.tolist())
    exact = {name.removeprefix(_LEVEL): values[name] for name in IMAGE_METRICS}
    metrics = bootstrap.estimates(
        exact,
        _ImageTally.of(scores, is_defective),
        is_defective,
        missing="Undefined: it takes good and defective pictures.",
    )
    named = {_LEVEL + name: estimate for name, estimate in metrics.items()}
    if exact["auroc"] is None:
        return ImageRanking(metrics=named, roc=None, precision_recall=None)
    alarm_rate, hit_rate, _ = roc_curve(is_defective, scores)
    precision, recall, _ = precision_recall_curve(is_defective, scores)
    return ImageRanking(
        metrics=named,
        roc=Curve.thinned(alarm_rate, hit_rate),
        precision_recall=Curve.thinned(recall[::-1], precision[::-1]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _ImageTally:
    """Pictures from the highest score to the lowest; every distinct score is a threshold."""

    order: np.ndarray
    """(n,) pictures, the highest score first."""
    ends: np.ndarray
    """(K,) places in that order where a run of equal scores ends."""
    is_defective: np.ndarray
    """(n,) bool, in that order."""

    @classmethod
    def of(cls, scores: np.ndarray, is_defective: np.ndarray) -> Self:
        order = np.argsort(-scores)
        ranked = scores[order]
        ends = np.flatnonzero(np.append(np.diff(ranked) != 0, True)) if len(ranked) else order
        return cls(order=order, ends=ends, is_defective=is_defective[order])

    def passing(self, draws: np.ndarray) -> Passing:
        ranked = draws[:, self.order]
        return Passing(
            hits=np.cumsum(ranked * self.is_defective, axis=1)[:, self.ends],
            alarms=np.cumsum(ranked * ~self.is_defective, axis=1)[:, self.ends],
        )
