"""Whether pictures change while time goes by: score, brightness, sharpness and how unlike calibration they
look.

The first pictures are the reference, and the newest are held against them with the Mann–Whitney test, whose
p-values are corrected after Bonferroni. Labels play no part: reviewers begin with the doubtful pictures, so
those known to be good are not like the others, and a difference would be found where there is none. A picture
counts once, when the version first saw it: the same file again says nothing new.

Legend: `t` pictures in time order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from scipy import stats

from mambaad_demo.storage.inspections import StoredInspection
from mambaad_demo.workflow.figures.labeled_scores import LabeledSet

WINDOW = 25
"""Pictures under the rolling median."""
REFERENCE = 50
"""Pictures at the most, and `FEWEST` at the least, that make the reference."""
NEWEST = 50
FEWEST = 20
LEVEL = 0.01
"""Corrected p-value below which a shift is told; lower than usual, because people look again and again."""

_BAND = (0.05, 0.95)

QUANTITIES: dict[str, Callable[[StoredInspection], float | None]] = {
    "score": lambda inspection: inspection.multiple,
    "brightness": lambda inspection: inspection.brightness,
    "sharpness": lambda inspection: inspection.sharpness,
    "embedding": lambda inspection: inspection.embedding_distance,
}
"""Score as a multiple of the reject limit; mean gray level; sharpness; distance to the calibration pictures,
about 1 for pictures like them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """The newest pictures against the reference."""

    before: float
    """Median of the reference."""
    now: float
    """Median of the newest pictures."""
    p_value: float
    """Two-sided, corrected."""
    n_newest: int

    @property
    def is_told(self) -> bool:
        return self.p_value < LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One quantity along time."""

    name: str
    """A key of `QUANTITIES`."""
    times: tuple[datetime, ...]
    pictures: tuple[str, ...]
    """Names, for people."""
    values: np.ndarray
    """(t,)"""
    medians: np.ndarray
    """(t - WINDOW + 1,) of each picture and those before it; of the last ones in `times`."""
    band: tuple[float, float] | None
    """Where nine of ten reference pictures lie; None without a reference."""
    shift: Shift | None
    """None where there are too few pictures to compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """All quantities that are known, and the reference they share."""

    series: tuple[Series, ...]
    n_reference: int
    """0 where there are too few pictures."""
    reference_from: datetime | None
    reference_to: datetime | None


def drift(labeled: LabeledSet) -> Drift:
    """Follow the pictures of a version.

    Args:
        labeled: whose inspections are followed.
    """
    seen = _first_seen(labeled.inspections)
    size = min(REFERENCE, len(seen) // 2)
    reference = seen[:size] if size >= FEWEST else []
    newest = seen[len(reference) :][-NEWEST:] if reference else []
    series = [_series(name, seen, reference, newest) for name in QUANTITIES]
    return Drift(
        series=_corrected([one for one in series if len(one.values)]),
        n_reference=len(reference),
        reference_from=reference[0].created_at if reference else None,
        reference_to=reference[-1].created_at if reference else None,
    )


def _first_seen(inspections: Sequence[StoredInspection]) -> list[StoredInspection]:
    first: dict[int, StoredInspection] = {}
    for inspection in inspections:
        first.setdefault(inspection.image_id, inspection)
    return list(first.values())


def _series(
    name: str,
    seen: Sequence[StoredInspection],
    reference: Sequence[StoredInspection],
    newest: Sequence[StoredInspection],
) -> Series:
    value_of = QUANTITIES[name]
    known = [one for one in seen if value_of(one) is not None]
    values = _values(name, known)
    before, now = _values(name, reference), _values(name, newest)
    return Series(
        name=name,
        times=tuple(one.created_at for one in known),
        pictures=tuple(one.name for one in known),
        values=values,
        medians=np.median(np.lib.stride_tricks.sliding_window_view(values, WINDOW), axis=1)
        if len(values) >= WINDOW
        else np.empty(0),
        band=(float(np.quantile(before, _BAND[0])), float(np.quantile(before, _BAND[1])))
        if len(before) >= FEWEST
        else None,
        shift=_shift(before, now),
    )


def _values(name: str, inspections: Sequence[StoredInspection]) -> np.ndarray:
    values = (QUANTITIES[name](inspection) for inspection in inspections)
    return np.array([value for value in values if value is not None], np.float64)


def _shift(before: np.ndarray, now: np.ndarray) -> Shift | None:
    if min(len(before), len(now)) < FEWEST:
        return None
    return Shift(
        before=float(np.median(before)),
        now=float(np.median(now)),
        p_value=float(stats.mannwhitneyu(before, now).pvalue),
        n_newest=len(now),
    )


def _corrected(series: Sequence[Series]) -> tuple[Series, ...]:
    """With Bonferroni's p-values in place of the bare ones."""
    count = sum(one.shift is not None for one in series)
    return tuple(
        one
        if one.shift is None
        else replace(one, shift=replace(one.shift, p_value=min(count * one.shift.p_value, 1.0)))
        for one in series
    )
