"""AIAG's usual bands for attribute agreement, and how much of them a counted share has shown.

A share is in a band by its estimate; it is shown to be there if its whole interval is.
"""

from dataclasses import dataclass
from enum import IntEnum

from mambaad_demo.workflow.studies.attribute_msa import Appraisal
from mambaad_demo.workflow.studies.shares import Share, parts_to_show


class Band(IntEnum):
    """Worse bands are smaller."""

    UNACCEPTABLE = 0
    MARGINAL = 1
    ACCEPTABLE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """A measure with the bounds of its bands, as a share of errors: for effectiveness, of parts not called
    right."""

    name: str
    acceptable: float
    """At most."""
    marginal: float
    """At most."""
    counts_errors: bool
    """Whether the measure itself is an error rate, which should be low."""
    needs: str
    """Which parts show it."""

    def band(self, error: float) -> Band:
        """Where a share of errors lies."""
        if error <= self.acceptable:
            return Band.ACCEPTABLE
        return Band.MARGINAL if error <= self.marginal else Band.UNACCEPTABLE


EFFECTIVENESS = Criterion(
    name="effectiveness", acceptable=0.10, marginal=0.20, counts_errors=False, needs="parts"
)
MISS = Criterion(
    name="miss rate", acceptable=0.02, marginal=0.05, counts_errors=True, needs="defective parts"
)
FALSE_ALARM = Criterion(
    name="false alarm rate", acceptable=0.05, marginal=0.10, counts_errors=True, needs="good parts"
)
CRITERIA = (EFFECTIVENESS, MISS, FALSE_ALARM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a share says against a criterion."""

    criterion: Criterion
    share: Share
    estimate: Band
    worst: Band
    """Band of the worse end of the interval."""
    best: Band
    needed: int | None
    """Parts that would show it to be acceptable, were the share to stay as it is; None where none would."""

    @property
    def is_shown(self) -> bool:
        """Whether the interval lies in one band."""
        return self.worst is self.best


def judgements(appraisal: Appraisal) -> list[Judgement]:
    """An appraiser against all criteria that could be counted."""
    measured = zip(CRITERIA, (appraisal.effectiveness, appraisal.miss, appraisal.false_alarm), strict=True)
    return [judgement(criterion, share) for criterion, share in measured if share is not None]


def judgement(criterion: Criterion, share: Share) -> Judgement:
    """A share against a criterion."""
    value, low, high = (
        end if criterion.counts_errors else 1 - end for end in (share.value, share.low, share.high)
    )
    low, high = min(low, high), max(low, high)
    return Judgement(
        criterion=criterion,
        share=share,
        estimate=criterion.band(value),
        worst=criterion.band(high),
        best=criterion.band(low),
        needed=parts_to_show(criterion.acceptable, value=value),
    )


def least_parts(criterion: Criterion) -> int:
    """Parts that show it to be acceptable if there is not a single error."""
    needed = parts_to_show(criterion.acceptable)
    if needed is None:  # pragma: no cover - no criterion asks for less than one in a million
        raise ValueError(f"nothing shows {criterion.name} of at most {criterion.acceptable}")
    return needed
