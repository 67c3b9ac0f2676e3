"""Limits that are tried on before anybody is judged by them: placed by rates or moved by hand."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from mambaad_demo.errors import InputError
from mambaad_demo.hub.schemas import Rates
from mambaad_demo.pipeline.calibration import moved_to
from mambaad_demo.pipeline.prediction import Limits
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.storage import labels, limits
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.ui.words import spoken
from mambaad_demo.workflow.calibrating import Measured

_STEPS = 500  # of a slider, at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Limits that are tried on, and of which checkpoint."""

    checkpoint: str
    sha256: str
    """Of its weights: another version may take its name."""
    measured: Measured

    @classmethod
    def of(cls, predictor: Predictor, measured: Measured) -> Self:
        """Limits that were measured with a predictor."""
        checkpoint = predictor.checkpoint
        return cls(checkpoint=checkpoint.name, sha256=checkpoint.sha256, measured=measured)

    def is_of(self, predictor: Predictor) -> bool:
        """Whether a predictor is the one they were measured with, however closely it looks."""
        checkpoint = predictor.checkpoint
        return (self.checkpoint, self.sha256) == (checkpoint.name, checkpoint.sha256)


def categories(workspace: Workspace, predictor: Predictor) -> list[str]:
    """What limits may be set for: what the checkpoint knows, and the products of the store."""
    known = limits.in_force(workspace, predictor).categories
    return list(dict.fromkeys((*known, *labels.products(workspace))))


def meant(category: object, known: Sequence[str]) -> str:
    """The category that is chosen or typed, the first one by default; empty where there is none.

    Raises:
        InputError: what is typed is too long.
    """
    typed = str(category or "").strip()
    if not typed:
        return next(iter(known), "")
    return next((name for name in known if typed in (name, spoken(name))), limits.category_name(typed))


def at_hand(trial: Trial | None, predictor: Predictor, category: str) -> Measured | None:
    """What is tried on, if it is of this checkpoint, category and number of tiles."""
    if trial is None or not trial.is_of(predictor):
        return None
    measured = trial.measured
    return measured if (measured.category, measured.tiles) == (category, predictor.tiles) else None


def check_moved(start: Measured, limit: float) -> Measured:
    """The check limit where a hand put it; it pushes the reject limit along where it would pass it."""
    return _moved(start, Limits(check=limit, reject=max(limit, start.calibration.reject)))


def reject_moved(start: Measured, limit: float) -> Measured:
    """The reject limit where a hand put it; it pushes the check limit along where it would pass it."""
    return _moved(start, Limits(check=min(limit, start.calibration.check), reject=limit))


def _moved(start: Measured, pair: Limits) -> Measured:
    known = start.calibration
    if (pair.check, pair.reject) == (known.check, known.reject):
        return start
    return replace(start, calibration=moved_to(known, pair), is_moved=True)


def rates_of(check: object, reject: object) -> Rates:
    """Percentages from the page as shares.

    Raises:
        InputError: no such percentages, or more would be rejected than checked.
    """
    shares = [number(value) / 100 for value in (check, reject)]
    if not all(0 < share < 1 for share in shares) or shares[1] > shares[0]:
        raise InputError(
            "Give the shares of good parts in percent, above 0 and below 100; those above the check limit "
            "include the rejected ones."
        )
    return Rates(check=shares[0], reject=shares[1])


def slider(span: tuple[float, float]) -> tuple[float, tuple[float, float]]:
    """Step and ends of a slider over some scores: round numbers, a few hundred steps from end to end."""
    low, high = span
    step = float(10.0 ** math.floor(math.log10((high - low) / _STEPS)))
    return step, (on_slider(low, step), on_slider(high + step, step))


def on_slider(value: float, step: float) -> float:
    """The place of a slider nearest to a score."""
    return round(round(value / step) * step, 9)


def number(value: object) -> float:
    """What a field of the page holds.

    Raises:
        InputError: no number.
    """
    if isinstance(value, int | float | str):
        try:
            found = float(value)
        except ValueError:
            found = math.nan
        if math.isfinite(found):
            return found
    raise InputError("Fill in a number.")


def whole(value: object) -> int:
    """A whole number of a field.

    Raises:
        InputError: none.
    """
    found = number(value)
    if found != int(found):
        raise InputError("Tiles are counted in whole numbers.")
    return int(found)
