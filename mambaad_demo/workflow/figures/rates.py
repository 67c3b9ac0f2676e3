"""How often good parts are rejected and defective ones accepted, with exact intervals.

A false reject (overkill) is a good part that was rejected, a missed defect (escape) a defective part that was
accepted; parts to be checked are neither, they cost a look. Intervals are those of Clopper and Pearson.

Legend: `k` steps of the limits.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from mambaad_demo.pipeline.prediction import Verdict
from mambaad_demo.pipeline.set_comparison import CONFIDENCE
from mambaad_demo.workflow.figures.estimate import Estimate, proportion
from mambaad_demo.workflow.figures.labeled_scores import LabeledScore, LabeledSet

_STEPS = 200
_WIDEST = 10.0  # times the limit in force, and the inverse of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """How many pictures got each verdict, by what people say of them."""

    good: Counter[Verdict]
    defective: Counter[Verdict]
    unsure: Counter[Verdict]
    divided: Counter[Verdict]

    def to_json(self) -> dict[str, dict[str, int]]:
        columns = {
            "good": self.good,
            "defect": self.defective,
            "unsure": self.unsure,
            "divided": self.divided,
        }
        return {
            name: {verdict.value: column[verdict] for verdict in Verdict} for name, column in columns.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRates:
    """Shares at the limits that were in force when the pictures were inspected."""

    false_reject: Estimate
    """Of good parts: rejected."""
    false_check: Estimate
    """Of good parts: to be checked, not rejected."""
    missed_defect: Estimate
    """Of defective parts: accepted."""
    n_good: int
    n_defect: int
    n_without_limits: int
    """Labeled pictures that were inspected without limits; left out."""

    def to_json(self) -> dict[str, object]:
        return {
            "false_reject": self.false_reject.to_json(),
            "false_check": self.false_check.to_json(),
            "missed_defect": self.missed_defect.to_json(),
            "n_without_limits": self.n_without_limits,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A rate along the steps, with its interval."""

    value: np.ndarray
    """(k,) in [0, 1], as all three."""
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSweep:
    """What the rates would be at other limits, both moved by the same factor."""

    factors: np.ndarray
    """(k,) times the limits in force; 1 is among them."""
    false_reject: Band | None
    """None without good parts."""
    missed_defect: Band | None
    """None without defective ones."""


def confusion(labeled: LabeledSet) -> Confusion:
    """Count verdicts by finding."""
    return Confusion(
        good=_verdicts([one for one in labeled.decided if not one.is_defective]),
        defective=_verdicts([one for one in labeled.decided if one.is_defective]),
        unsure=_verdicts(labeled.unsure),
        divided=_verdicts(labeled.divided),
    )


def error_rates(labeled: LabeledSet) -> ErrorRates:
    """The rates at the limits in force."""
    judged = _with_limits(labeled)
    good = _verdicts([one for one in judged if not one.is_defective])
    defective = _verdicts([one for one in judged if one.is_defective])
    n_good, n_defect = good.total(), defective.total()
    return ErrorRates(
        false_reject=proportion(good[Verdict.REJECT], n_good, of="good parts judged by a limit"),
        false_check=proportion(good[Verdict.CHECK], n_good, of="good parts judged by a limit"),
        missed_defect=proportion(defective[Verdict.ACCEPT], n_defect, of="defective parts judged by a limit"),
        n_good=n_good,
        n_defect=n_defect,
        n_without_limits=len(labeled.decided) - len(judged),
    )


def limit_sweep(labeled: LabeledSet) -> LimitSweep | None:
    """The rates over a range of limits; None where no labeled picture was judged by one."""
    judged = _with_limits(labeled)
    if not judged:
        return None
    is_defective = np.array([one.is_defective for one in judged])
    reach_reject, reach_check = (
        np.array([one.inspection.score / limit_of(one) for one in judged]) for limit_of in (_reject, _check)
    )  # the largest factors at which a score still reaches the limit
    factors = _factors(np.concatenate([reach_reject, reach_check]))
    rejects = (reach_reject[~is_defective, None] >= factors).sum(axis=0)
    misses = (reach_check[is_defective, None] < factors).sum(axis=0)
    return LimitSweep(
        factors=factors,
        false_reject=_band(rejects, int((~is_defective).sum())),
        missed_defect=_band(misses, int(is_defective.sum())),
    )


def _verdicts(pictures: Sequence[LabeledScore]) -> Counter[Verdict]:
    return Counter(one.inspection.verdict for one in pictures)


def _with_limits(labeled: LabeledSet) -> list[LabeledScore]:
    return [one for one in labeled.decided if one.inspection.limits.reject and one.inspection.limits.check]


def _reject(picture: LabeledScore) -> float:
    return picture.inspection.limits.reject or 1.0


def _check(picture: LabeledScore) -> float:
    return picture.inspection.limits.check or 1.0


def _factors(reached: np.ndarray) -> np.ndarray:
    """(k,) ascending, wide enough to show where the rates change."""
    low = max(min(reached.min() * 0.9, 0.8), 1 / _WIDEST)
    high = min(max(reached.max() * 1.1, 1.25), _WIDEST)
    return np.unique(np.append(np.geomspace(low, high, _STEPS), 1.0))


def _band(counts: np.ndarray, total: int) -> Band | None:
    if total == 0:
        return None
    low, high = proportion_confint(counts, total, alpha=1 - CONFIDENCE, method="beta")
    return Band(value=counts / total, low=low, high=high)
