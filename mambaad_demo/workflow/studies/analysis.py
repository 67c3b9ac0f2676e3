"""What a repeatability study says: which verdicts never change, how far scores scatter, and what moves them.

Scores are in units of the reject limit throughout.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from mambaad_demo.pipeline.set_comparison import CONFIDENCE
from mambaad_demo.workflow.studies.shares import Share, share
from mambaad_demo.workflow.studies.study import PartResult
from mambaad_demo.workflow.studies.variations import Variation


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """Standard deviation of the score from shot to shot of the same part."""

    value: float
    low: float
    high: float
    """Ends of the 95 % interval, if scores scatter normally and alike for all parts."""
    degrees: int
    """Of freedom: shots less parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What one variation alone does to scores."""

    variation: Variation
    parts: int
    mean: float
    """With its sign: above 0 it makes parts look worse."""
    mean_size: float
    """Without sign, which is what variations are compared by."""
    largest: float
    """Without sign."""
    verdicts_changed: int
    """Parts that it gave another verdict than the picture as stored."""


def steady(parts: Sequence[PartResult]) -> Share | None:
    """Parts whose verdict is the same in all shots; None without parts."""
    return share(sum(part.changed == 0 for part in parts), len(parts))


def scatter(parts: Sequence[PartResult]) -> Scatter | None:
    """Within-part standard deviation of a one-way analysis of variance; None without parts."""
    multiples = [np.array(part.multiples) for part in parts]
    degrees = sum(len(shots) - 1 for shots in multiples)
    if degrees == 0:
        return None
    squares = sum(float(((shots - shots.mean()) ** 2).sum()) for shots in multiples)
    outside = (1 - CONFIDENCE) / 2
    low, high = (float(np.sqrt(squares / chi2.ppf(quantile, degrees))) for quantile in (1 - outside, outside))
    return Scatter(value=float(np.sqrt(squares / degrees)), low=low, high=high, degrees=degrees)


def straddled(part: PartResult) -> tuple[str, ...]:
    """The limits that the part's scores lie on both sides of: `check`, `reject`, both or none."""
    beyond = {
        "check": [shot.score >= (shot.limits.check or 0.0) for shot in part.shots],
        "reject": [shot.score >= (shot.limits.reject or 0.0) for shot in part.shots],
    }
    return tuple(name for name, sides in beyond.items() if len(set(sides)) > 1)


def effects(parts: Sequence[PartResult]) -> list[Effect]:
    """Each variation alone against the picture as stored, the one that moves scores most first; empty for
    stored shots."""
    found = []
    for variation in Variation:
        pairs = [(part.shots[0], part.alone[variation]) for part in parts if variation in part.alone]
        if not pairs:
            continue
        moved = np.array([varied.multiple - stored.multiple for stored, varied in pairs])
        found.append(
            Effect(
                variation=variation,
                parts=len(pairs),
                mean=float(moved.mean()),
                mean_size=float(np.abs(moved).mean()),
                largest=float(np.abs(moved).max()),
                verdicts_changed=sum(varied.verdict is not stored.verdict for stored, varied in pairs),
            )
        )
    return sorted(found, key=lambda effect: -effect.mean_size)
