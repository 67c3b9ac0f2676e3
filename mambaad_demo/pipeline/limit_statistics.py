"""What good photos can prove about a rate: exact intervals, and how many photos a statement needs.

Intervals are those of Clopper and Pearson (Biometrika 26, 1934). A limit *aims* at a rate by a model of the
scores; what it *keeps* is shown by counting photos, and that takes far more of them. Both are said apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import beta

from mambaad_demo.pipeline.prediction import Limits, Verdict

CONFIDENCE = 0.95
HALF_WIDTH = 0.01
"""To know a rate to ±1 %."""

_MOST_PHOTOS = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactShare:
    """So many of so many, and between what the true share lies with 95 % confidence."""

    count: int
    total: int
    """At least 1."""
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.count / self.total

    def to_json(self) -> dict[str, float | int]:
        return {
            "count": self.count,
            "total": self.total,
            "value": self.value,
            "low": self.low,
            "high": self.high,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictCounts:
    """How many parts get each verdict."""

    accept: int
    check: int
    reject: int

    @property
    def total(self) -> int:
        return self.accept + self.check + self.reject

    def share(self, verdict: Verdict) -> ExactShare | None:
        """Of all parts, those with this verdict; None of no parts."""
        counts = {
            Verdict.ACCEPT: self.accept,
            Verdict.CHECK: self.check,
            Verdict.REJECT: self.reject,
        }
        return exact_share(counts[verdict], self.total)

    def to_json(self) -> dict[str, Any]:
        shares = {verdict.value: self.share(verdict) for verdict in Verdict}
        return {"total": self.total} | {
            name: None if share is None else share.to_json() for name, share in shares.items()
        }


def exact_share(count: int, total: int) -> ExactShare | None:
    """A share with its interval; None of nothing."""
    if total == 0:
        return None
    low, high = exact_interval(count, total)
    return ExactShare(count=count, total=total, low=low, high=high)


def exact_interval(count: float, total: float) -> tuple[float, float]:
    """Both ends of the 95 % interval.

    Args:
        count: 0 to `total`; an expected count need not be whole, the beta quantiles fill the gaps.
        total: above 0.
    """
    outside = (1 - CONFIDENCE) / 2
    low = 0.0 if count <= 0 else float(beta.ppf(outside, count, total - count + 1))
    high = 1.0 if count >= total else float(beta.ppf(1 - outside, count + 1, total - count))
    return low, high


def photos_needed(share: float, half_width: float = HALF_WIDTH) -> int:
    """Fewest good photos in all until the interval around an expected share is no wider than ± `half_width`.

    Args:
        share: the expected rate, 0 to 1.
        half_width: above 0, below 0.5.
    """
    if not 0 <= share <= 1 or not 0 < half_width < 0.5:
        raise ValueError(f"share must lie in [0, 1] and half_width in (0, 0.5), got {share} and {half_width}")
    too_few, enough = 0, _MOST_PHOTOS
    while enough - too_few > 1:
        photos = (too_few + enough) // 2
        low, high = exact_interval(share * photos, photos)
        if high - low <= 2 * half_width:
            enough = photos
        else:
            too_few = photos
    return enough


def hidden_rate(photos: int) -> float:
    """The largest false-reject rate that so many held-out good photos can still hide when none is rejected.

    With 95 % confidence the true rate lies below; 1 without photos.
    """
    return 1.0 if photos == 0 else 1 - (1 - CONFIDENCE) ** (1 / photos)


def verdict_counts(scores: Sequence[float] | np.ndarray, limits: Limits) -> VerdictCounts:
    """Judge scores by limits; without limits all are to be checked."""
    values = np.asarray(scores, dtype=np.float64)
    if limits.check is None or limits.reject is None:
        return VerdictCounts(accept=0, check=len(values), reject=0)
    rejected, passed = int((values >= limits.reject).sum()), int((values < limits.check).sum())
    return VerdictCounts(accept=passed, check=len(values) - rejected - passed, reject=rejected)
