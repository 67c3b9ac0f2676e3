"""95 % percentile intervals from drawing pictures again with replacement, good and defective ones apart.

(Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13.) Pixels of one picture are no independent
witnesses, so whole pictures are drawn, with all their pixels. The draws are the same whenever they are asked
for. Few pictures, or draws that all say the same, vary too little to be trusted: no interval then.

Legend: `n` pictures · `R` draws.
"""

from collections.abc import Iterator, Mapping
from typing import Protocol

import numpy as np

from mambaad_demo.pipeline.set_comparison import CONFIDENCE, Interval
from mambaad_demo.workflow.figures.estimate import Estimate, undefined, without_interval
from mambaad_demo.workflow.figures.passing import Passing

RESAMPLES = 2000
FEWEST = 5
"""Pictures of a kind whose draws say something."""

_AT_ONCE = 250


class Tally(Protocol):
    """What passes each threshold, picture by picture."""

    def passing(self, draws: np.ndarray) -> Passing:
        """Counts when each picture is there as often as `draws`, (R, n), says."""


def estimates(
    exact: Mapping[str, float | None], tally: Tally, is_defective: np.ndarray, *, missing: str
) -> dict[str, Estimate]:
    """Add intervals to metrics.

    A tally that rounds scores to steps is off by a little, and by the same little in all draws: intervals
    are moved by the difference between the exact metric and the tally's.

    Args:
        exact: metrics of all pictures, named as in `Passing.metrics`; None where undefined.
        tally: of the same pictures.
        is_defective: (n,) bool, the two kinds that are drawn apart.
        missing: why a metric is undefined.
    """
    n_defect = int(is_defective.sum())
    fewer = min(n_defect, len(is_defective) - n_defect)
    if fewer < FEWEST:
        reason = f"No interval: with fewer than {FEWEST} pictures of a kind, chance rules."
        return {
            name: undefined(missing) if value is None else without_interval(value, reason)
            for name, value in exact.items()
        }
    drawn = [tally.passing(draws).metrics() for draws in stratified_draws(is_defective)]
    whole = tally.passing(np.ones((1, len(is_defective)))).metrics()
    return {
        name: undefined(missing)
        if value is None
        else _percentile(value, np.concatenate([one[name] for one in drawn]) + value - whole[name][0])
        for name, value in exact.items()
    }


def stratified_draws(is_defective: np.ndarray) -> Iterator[np.ndarray]:
    """(R, n) how often each picture is in each draw, some draws at a time; both kinds keep their number."""
    generator = np.random.default_rng(0)
    kinds = [np.flatnonzero(is_defective == kind) for kind in (False, True)]
    for _ in range(RESAMPLES // _AT_ONCE):
        draws = np.empty((_AT_ONCE, len(is_defective)))
        for chosen in kinds:
            chances = np.full(len(chosen), 1 / len(chosen))
            draws[:, chosen] = generator.multinomial(len(chosen), chances, size=_AT_ONCE)
        yield draws


def _percentile(value: float, drawn: np.ndarray) -> Estimate:
    outside = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [outside, 1 - outside])
    if low == high:
        return without_interval(value, "No interval: whichever pictures are drawn, they say the same.")
    return Estimate(interval=Interval(value=value, low=max(float(low), 0.0), high=min(float(high), 1.0)))
