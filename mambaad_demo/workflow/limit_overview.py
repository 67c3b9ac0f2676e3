"""Everything there is to say about the limits of one category: for the page, programs and the terminal."""

from dataclasses import dataclass
from typing import Any

from mambaad_demo.hub.schemas import CategoryCalibration, Rates
from mambaad_demo.pipeline.calibration import MIN_IMAGES
from mambaad_demo.pipeline.limit_statistics import HALF_WIDTH, hidden_rate, photos_needed
from mambaad_demo.pipeline.prediction import Limits
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.pipeline.upper_tail import rate_at_limit
from mambaad_demo.storage import limits
from mambaad_demo.storage.limits import Source, StoredLimits
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.calibrating import Measured, good_pictures
from mambaad_demo.workflow.limit_effect import (
    Effect,
    Ground,
    Histogram,
    effect_of,
    ground_of,
    histogram_of,
    score_range,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What limits aim at, and what so many good parts can show of it."""

    check: float
    """Share of good parts that is expected to reach the check limit, the rejected ones included."""
    reject: float
    """The same of the reject limit."""
    hidden: float
    """The rate of false rejects that could still hide if none of the good parts is rejected, 95 %
    confidence."""
    needed: int
    """Good photos in all until the interval around the expected rate of false rejects is ±1 %."""
    photos: int
    """Good parts there are."""

    @property
    def missing(self) -> int:
        return max(self.needed - self.photos, 0)

    def to_json(self) -> dict[str, Any]:
        return {
            "expected": {"check": self.check, "reject": self.reject},
            "hidden_false_reject_rate": self.hidden,
            "photos_needed": {
                "half_width": HALF_WIDTH,
                "total": self.needed,
                "there_are": self.photos,
                "more": self.missing,
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The limits of a category: those in force, or others that are tried on."""

    checkpoint: str
    checkpoint_sha256: str
    category: str
    tiles: int
    calibration: CategoryCalibration | None
    """None where there are no limits yet."""
    source: Source | None
    """Which good parts they rest on."""
    is_moved: bool
    """Whether a person put them where they are."""
    is_in_force: bool
    """Whether these are the limits in force, rather than tried on."""
    standing: Limits
    """The limits in force."""
    ground: Ground
    effect: Effect
    promise: Promise | None
    refused: tuple[tuple[str, str], ...]
    """Pictures that were left out of the measurement, and why."""
    history: tuple[StoredLimits, ...]
    labeled_good: int
    """Stored pictures that limits could be set from."""

    @property
    def limits(self) -> Limits:
        known = self.calibration
        return Limits() if known is None else Limits(check=known.check, reject=known.reject)

    @property
    def range(self) -> tuple[float, float]:
        return score_range(self.ground, self.limits)

    @property
    def histogram(self) -> Histogram:
        return histogram_of(self.ground, self.limits)


def overview(
    workspace: Workspace, predictor: Predictor, category: str, tried: Measured | None = None
) -> Overview:
    """Look at the limits of a category.

    Args:
        predictor: as the catalog has it, looking as closely as the limits are meant for.
        category: may be new to the checkpoint.
        tried: limits to try on; those in force where None.

    Raises:
        InputError: the category has no name.
    """
    name = limits.category_name(category)
    in_force = limits.in_force(workspace, predictor)
    meant = standing_limits(workspace, predictor, name) if tried is None else tried
    known = None if meant is None else meant.calibration
    ground = ground_of(workspace, in_force, name, known)
    shown = Limits() if known is None else Limits(check=known.check, reject=known.reject)
    return Overview(
        checkpoint=predictor.checkpoint.name,
        checkpoint_sha256=predictor.checkpoint.sha256,
        category=name,
        tiles=predictor.tiles,
        calibration=known,
        source=None if meant is None else meant.source,
        is_moved=meant is not None and meant.is_moved,
        is_in_force=tried is None,
        standing=in_force.limits(name),
        ground=ground,
        effect=effect_of(ground, shown),
        promise=None if known is None else promise_of(known),
        refused=() if tried is None else tried.refused,
        history=tuple(limits.history(workspace, predictor, name)),
        labeled_good=len(good_pictures(workspace, in_force, name)),
    )


def standing_limits(workspace: Workspace, predictor: Predictor, category: str) -> Measured | None:
    """The limits in force as a start for others; None where there are none."""
    known = limits.in_force(workspace, predictor).calibration_of(category)
    if known is None:
        return None
    newest = limits.newest(workspace, predictor, category)
    return Measured(
        category=category,
        tiles=predictor.tiles,
        calibration=known,
        source=Source.CHECKPOINT if newest is None else newest.source,
        is_moved=newest is not None and newest.is_moved,
    )


def promise_of(calibration: CategoryCalibration) -> Promise | None:
    """What limits aim at; None where so few good parts lie behind them that nothing can be expected."""
    if calibration.images < MIN_IMAGES:
        return None
    check, reject = (rate_at_limit(calibration.scores, max(limit, 1e-9)) for limit in _pair(calibration))
    return Promise(
        check=check,
        reject=reject,
        hidden=hidden_rate(calibration.images),
        needed=photos_needed(reject),
        photos=calibration.images,
    )


def overview_json(seen: Overview) -> dict[str, Any]:
    """The overview for programs; only JSON types."""
    histogram, effect, rates = seen.histogram, seen.effect, _rates(seen.calibration)
    return {
        "checkpoint": seen.checkpoint,
        "checkpoint_sha256": seen.checkpoint_sha256,
        "category": seen.category,
        "tiles": seen.tiles,
        "source": _source_json(seen),
        "good_parts": None if seen.source is None else seen.source.value,
        "in_force": seen.is_in_force,
        "rates": None if rates is None else {"check": rates.check, "reject": rates.reject},
        "limits": {"check": seen.limits.check, "reject": seen.limits.reject},
        "limits_in_force": {"check": seen.standing.check, "reject": seen.standing.reject},
        "images": 0 if seen.calibration is None else seen.calibration.images,
        "refused": [{"file": name, "error": reason} for name, reason in seen.refused],
        "counts": {
            "photos": effect.photos.to_json(),
            "labeled_good": effect.labeled_good.to_json(),
            "labeled_defects": effect.labeled_defects.to_json(),
            "stored_before": effect.stored_before.to_json(),
            "stored_after": effect.stored_after.to_json(),
        },
        "promise": None if seen.promise is None else seen.promise.to_json(),
        "histogram": {
            "edges": histogram.edges.tolist(),
            "photos": histogram.photos.tolist(),
            "labeled_good": histogram.labeled_good.tolist(),
            "labeled_defects": histogram.labeled_defects.tolist(),
        },
        "labeled_good": seen.labeled_good,
        "history": [history_json(entry) for entry in seen.history],
    }


def history_json(entry: StoredLimits) -> dict[str, Any]:
    """One line of the history for programs."""
    known = entry.calibration
    return {
        "id": entry.id,
        "source": "manual" if entry.is_moved else entry.source.value,
        "good_parts": entry.source.value,
        "taken_back": known is None,
        "check": None if known is None else known.check,
        "reject": None if known is None else known.reject,
        "images": None if known is None else known.images,
        "note": entry.note,
        "actor": entry.actor,
        "created_at": entry.created_at.isoformat(),
    }


def _source_json(seen: Overview) -> str | None:
    if seen.source is None:
        return None
    return "manual" if seen.is_moved else seen.source.value


def _pair(calibration: CategoryCalibration) -> tuple[float, float]:
    return calibration.check, calibration.reject


def _rates(calibration: CategoryCalibration | None) -> Rates | None:
    return None if calibration is None else calibration.rates
