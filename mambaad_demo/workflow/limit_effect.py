"""What limits would do: to the good parts they rest on, to labeled parts, and to everything stored.

Pure once the scores are read, so that limits can be moved and judged live. Of each stored picture the newest
result counts.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from mambaad_demo.hub.schemas import CategoryCalibration
from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.pipeline.limit_statistics import VerdictCounts, verdict_counts
from mambaad_demo.pipeline.prediction import Limits, Verdict
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.storage import labels, rejudging
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.calibrating import good_pictures

_BINS = 48
_FARTHEST = 3.0  # widths of the good parts above them; what scores higher counts into the last bin


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The scores that limits are tried on."""

    photos: np.ndarray
    """(n,) of the good parts the limits rest on; empty without limits."""
    labeled_good: np.ndarray
    """(g,) stored pictures that people call good."""
    labeled_defects: np.ndarray
    """(d,) that people call defective."""
    stored: np.ndarray
    """(s,) all stored pictures of the category, the labeled ones among them."""
    standing: Counter[Verdict]
    """The verdicts these have now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """How many parts get each verdict."""

    photos: VerdictCounts
    labeled_good: VerdictCounts
    labeled_defects: VerdictCounts
    stored_before: VerdictCounts
    stored_after: VerdictCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How often each score occurs."""

    edges: np.ndarray
    """(k + 1,) ascending; the last bin also holds everything above."""
    photos: np.ndarray
    """(k,) counts, as all below."""
    labeled_good: np.ndarray
    labeled_defects: np.ndarray
    is_cut: bool
    """Whether the last bin holds scores above its end."""


def ground_of(
    workspace: Workspace, predictor: Predictor, category: str, calibration: CategoryCalibration | None
) -> Ground:
    """Read the scores that a category's limits are tried on.

    Args:
        predictor: looking as closely as the limits are meant for.
        calibration: the good parts behind the limits; None where there are no limits yet.
    """
    newest = {found.image_id: found for found in rejudging.stored_scores(workspace, predictor, category)}
    good = {picture.image_id for picture in good_pictures(workspace, predictor, category)}
    defective = {
        one.image_id for one in labels.labeled_images(workspace) if one.finding is Finding.DEFECT
    } - good
    return Ground(
        photos=np.array(() if calibration is None else calibration.scores, dtype=np.float64),
        labeled_good=np.array([found.score for key, found in newest.items() if key in good]),
        labeled_defects=np.array([found.score for key, found in newest.items() if key in defective]),
        stored=np.array([found.score for found in newest.values()]),
        standing=Counter(found.verdict for found in newest.values()),
    )


def effect_of(ground: Ground, limits: Limits) -> Effect:
    """Judge everything by some limits."""
    standing = ground.standing
    return Effect(
        photos=verdict_counts(ground.photos, limits),
        labeled_good=verdict_counts(ground.labeled_good, limits),
        labeled_defects=verdict_counts(ground.labeled_defects, limits),
        stored_before=VerdictCounts(
            accept=standing[Verdict.ACCEPT], check=standing[Verdict.CHECK], reject=standing[Verdict.REJECT]
        ),
        stored_after=verdict_counts(ground.stored, limits),
    )


def score_range(ground: Ground, limits: Limits) -> tuple[float, float]:
    """Where limits may be moved and what a histogram shows: all good parts, both limits and room around
    them, and known defects as far as they are not much higher."""
    good = np.concatenate([ground.photos, ground.labeled_good])
    anchors = [*good, *(limit for limit in (limits.check, limits.reject) if limit is not None)]
    anchors = anchors or [*ground.stored] or [0.0, 1.0]
    low, high = float(min(anchors)), float(max(anchors))
    width = max(high - low, 0.1 * high, 1e-6)
    highest = float(ground.labeled_defects.max()) if ground.labeled_defects.size else 0.0
    top = max(high + 0.6 * width, min(1.02 * highest, high + _FARTHEST * width))
    return max(low - 0.4 * width, 0.0), top


def histogram_of(ground: Ground, limits: Limits, *, bins: int = _BINS) -> Histogram:
    """Count scores by height."""
    low, high = score_range(ground, limits)
    edges = np.linspace(low, high, bins + 1)
    everything = (ground.photos, ground.labeled_good, ground.labeled_defects)
    photos, good, defects = (np.histogram(np.clip(scores, low, high), edges)[0] for scores in everything)
    is_cut = any(bool((scores > high).any()) for scores in everything)
    return Histogram(edges=edges, photos=photos, labeled_good=good, labeled_defects=defects, is_cut=is_cut)
