"""Scores of parts as dots on one logarithmic scale, in units of the reject limit; positions only."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mambaad_demo.pipeline.prediction import Verdict
from mambaad_demo.workflow.studies.study import PartResult

WIDTH = 220.0
"""Of a strip, in its own units."""
_INSET = 5.0
_LEAST = 0.02  # a score of 0 has no place on a logarithmic scale
_TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
_LEAST_RANGE = (0.5, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Where the scores of one part stand."""

    dots: tuple[tuple[float, Verdict], ...]
    check: float
    reject: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The scale that all parts of a study share."""

    low: float
    high: float

    def at(self, multiple: float) -> float:
        """Where a score stands, from the left end of a strip."""
        share = math.log(max(multiple, _LEAST) / self.low) / math.log(self.high / self.low)
        return round(_INSET + share * (WIDTH - 2 * _INSET), 1)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Positions with what stands there."""
        return [(self.at(tick), f"{tick:g}") for tick in _TICKS if self.low <= tick <= self.high]

    def strip(self, part: PartResult) -> Strip:
        """The shots of a part, and the limits of its first one."""
        limits = part.shots[0].limits
        return Strip(
            dots=tuple((self.at(shot.multiple), shot.verdict) for shot in part.shots),
            check=self.at((limits.check or 0.0) / (limits.reject or 1.0)),
            reject=self.at(1.0),
        )


def scale_of(parts: Sequence[PartResult]) -> Scale:
    """A scale on which all scores and the reject limit have a place."""
    multiples = [max(multiple, _LEAST) for part in parts for multiple in part.multiples]
    checks = [
        max((shot.limits.check or 0.0) / (shot.limits.reject or 1.0), _LEAST)
        for part in parts
        for shot in part.shots
    ]
    low, high = _LEAST_RANGE
    return Scale(low=min([low, *multiples, *checks]), high=max([high, *multiples]))
