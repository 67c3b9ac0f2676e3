"""A figure with its interval, or the reason why there is none; never NaN."""

from dataclasses import dataclass

from mambaad_demo.pipeline.limit_statistics import exact_interval
from mambaad_demo.pipeline.set_comparison import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What was measured, as far as it could be."""

    interval: Interval | None
    """The figure and its 95 % interval; None where it is undefined."""
    reason: str = ""
    """Why the figure, or its interval, is missing."""

    @property
    def value(self) -> float | None:
        return None if self.interval is None else self.interval.value

    def to_json(self) -> dict[str, float | None] | None:
        return None if self.interval is None else self.interval.to_json()


def undefined(reason: str) -> Estimate:
    """No figure, and why."""
    return Estimate(interval=None, reason=reason)


def without_interval(value: float, reason: str) -> Estimate:
    """A figure that too little is known about for an interval."""
    return Estimate(interval=Interval(value=value), reason=reason)


def proportion(count: int, total: int, *, of: str) -> Estimate:
    """`count` of `total` with the exact interval of Clopper and Pearson.

    Args:
        count, total: whole numbers, 0 ≤ count ≤ total.
        of: what is counted, such as `good parts`; for the reason where there are none.
    """
    if total == 0:
        return undefined(f"There are no {of}.")
    low, high = exact_interval(count, total)
    return Estimate(interval=Interval(value=count / total, low=low, high=high))
