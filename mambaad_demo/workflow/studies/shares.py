"""Shares of counted things with exact intervals (Clopper and Pearson, Biometrika 26, 1934)."""

from dataclasses import dataclass

from mambaad_demo.pipeline.limit_statistics import exact_interval

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
    parts = total if parts is None else parts
    low, high = exact_interval(count * parts / total, parts)
    return Share(count=count, total=total, low=low, high=high)


def parts_to_show(limit: float, *, value: float = 0.0) -> int | None:
    """Fewest parts whose interval ends at `limit` or below, if their share is `value`; None where no number
    below a million does, as when `value` is not below the limit."""
    if exact_interval(value * _MOST_PARTS, _MOST_PARTS)[1] > limit:
        return None
    too_few, enough = 0, _MOST_PARTS
    while enough - too_few > 1:
        parts = (too_few + enough) // 2
        if exact_interval(value * parts, parts)[1] <= limit:
            enough = parts
        else:
            too_few = parts
    return enough
