"""Shares of counted things with exact intervals (Clopper and Pearson, Biometrika 26, 1934)."""

from dataclasses import dataclass

from scipy.stats import beta

CONFIDENCE = 0.95
_OUTSIDE = (1 - CONFIDENCE) / 2
_MOST_PARTS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """So many of so many, and between what the true share lies with 95 % confidence."""

    count: int
    total: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.count / self.total


def share(count: int, total: int, *, parts: int | None = None) -> Share | None:
    """A share with its interval; None of nothing.

    Args:
        count: at most `total`.
        total: decisions.
        parts: parts these decisions were made on. Several looks at one part tell less than as many parts,
            at worst nothing more than one look: the interval is that of the same share of `parts` (Korn and
            Graubard, Survey Methodology 24, 1998, with the largest design effect there can be).
    """
    if total == 0:
        return None
    low, high = interval(count / total, total if parts is None else parts)
    return Share(count=count, total=total, low=low, high=high)


def interval(value: float, parts: int) -> tuple[float, float]:
    """Both ends for a share of `parts`, which need not be a whole number of them."""
    inside, outside = value * parts, (1 - value) * parts
    low = float(beta.ppf(_OUTSIDE, inside, outside + 1)) if value > 0 else 0.0
    high = float(beta.ppf(1 - _OUTSIDE, inside + 1, outside)) if value < 1 else 1.0
    return low, high


def parts_to_show(limit: float, *, value: float = 0.0) -> int | None:
    """Fewest parts whose interval ends at `limit` or below, if their share is `value`; None where no number
    below a million does, as when `value` is not below the limit."""
    if interval(value, _MOST_PARTS)[1] > limit:
        return None
    too_few, enough = 0, _MOST_PARTS
    while enough - too_few > 1:
        parts = (too_few + enough) // 2
        if interval(value, parts)[1] <= limit:
            enough = parts
        else:
            too_few = parts
    return enough
