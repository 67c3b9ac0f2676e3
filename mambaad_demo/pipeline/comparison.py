"""One picture, several checkpoints: each judged at the same false-reject rates, on one scale, and where they
disagree.

A level is a map value in units of its own checkpoint's calibration, 0 at the median of good pixels and 1 at
the reject limit, so that levels of different decoders can stand side by side.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mambaad_demo.hub.schemas import Rates
from mambaad_demo.pipeline.calibration import DEFAULT_RATES
from mambaad_demo.pipeline.overlay import TOP_LEVEL, levels
from mambaad_demo.pipeline.prediction import UNKNOWN_CATEGORY, Prediction, Verdict
from mambaad_demo.pipeline.predictor import ImageSource, Predictor

_MILDEST_FIRST = (Verdict.ACCEPT, Verdict.CHECK, Verdict.REJECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What several checkpoints say about one picture; those without limits have no vote."""

    predictions: tuple[Prediction, ...]
    rates: Rates
    """False-reject rates that all limits aim at."""

    @property
    def votes(self) -> dict[Verdict, int]:
        """How many checkpoints gave each verdict."""
        counted = Counter(prediction.verdict for prediction in self._judged)
        return {verdict: counted[verdict] for verdict in _MILDEST_FIRST}

    @property
    def majority(self) -> Verdict:
        """The verdict of most; of those that are level, the most severe; `check` where nobody has limits."""
        return (
            Verdict.CHECK
            if not self._judged
            else max(_MILDEST_FIRST, key=lambda verdict: (self.votes[verdict], _MILDEST_FIRST.index(verdict)))
        )

    @property
    def is_unanimous(self) -> bool:
        """Whether all gave the same verdict."""
        return self.votes[self.majority] == len(self._judged)

    @property
    def same_category(self) -> bool:
        """Whether all took the part for the same kind."""
        return len({prediction.category for prediction in self.predictions}) == 1

    @property
    def _judged(self) -> tuple[Prediction, ...]:
        return tuple(prediction for prediction in self.predictions if prediction.limits.reject is not None)

    def disagreement(self) -> np.ndarray:
        """(H, W) float32 in [0, 2]: at each pixel the highest level minus the lowest, both cut at the ends of
        the colour scale; 0 where fewer than two checkpoints have limits."""
        shown = self._judged or self.predictions[:1]
        stacked = np.stack([np.clip(levels(prediction), 0.0, TOP_LEVEL) for prediction in shown])
        return stacked.max(axis=0) - stacked.min(axis=0)

    def to_json(self) -> dict[str, Any]:
        """Only JSON types, no arrays."""
        return {
            "results": [prediction.to_json() for prediction in self.predictions],
            "rates": {"check": self.rates.check, "reject": self.rates.reject},
            "votes": {verdict.value: count for verdict, count in self.votes.items()},
            "majority": self.majority.value,
            "unanimous": self.is_unanimous,
            "same_category": self.same_category,
            "largest_disagreement": round(float(self.disagreement().max()), 4),
        }


def compare(
    predictors: Sequence[Predictor],
    image: ImageSource,
    *,
    category: str | None = None,
    rates: Rates = DEFAULT_RATES,
) -> Iterator[Prediction]:
    """Judge one image with each checkpoint in turn, all as the same category and at the same rates.

    Args:
        predictors: one or more.
        image: see `ImageSource`.
        category: None takes what the first checkpoint suggests, for those that know it.
        rates: false-reject rates from which every checkpoint's limits are set anew.

    Raises:
        InputError: the image cannot be read or is too large, or a checkpoint does not know the category.
    """
    wanted = category
    for predictor in predictors:
        known = wanted if wanted == category or wanted in predictor.categories else None
        prediction = predictor.at_rates(rates).predict(image, category=known)
        if wanted is None and prediction.category != UNKNOWN_CATEGORY:
            wanted = prediction.category
        yield prediction if category else replace(prediction, category_source="suggested")
