"""Several checkpoints on a set of pictures: who ranks defects better, who rejects more, and how sure that is.

All limits aim at the same false-reject rates. Pictures are drawn again with replacement for the intervals,
the same ones for both checkpoints of a difference (Efron and Tibshirani, An Introduction to the Bootstrap,
chapters 8 and 13); good and defective ones apart, so that every draw has both. Draws of few pictures, or of
pictures that all say the same, vary too little to be trusted: then rates have exact intervals, AUROC none.

`n` pictures.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from mambaad_demo.data.picture_sets import Picture
from mambaad_demo.errors import DemoError, InputError, TooFewImagesError, UnknownCategoryError
from mambaad_demo.hub.schemas import Rates
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.calibration import DEFAULT_RATES
from mambaad_demo.pipeline.prediction import UNKNOWN_CATEGORY
from mambaad_demo.pipeline.predictor import ImageSource, Predictor

CONFIDENCE = 0.95
_RESAMPLES = 2000
_FEWEST = 5  # pictures of a kind whose draws say something about AUROC
_FEWEST_DISCORDANT = 10  # pictures that only one of two checkpoints rejects, from which draws say something


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate and its 95 % interval, whose ends are None where too few pictures tell."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def is_apart_from_zero(self) -> bool:
        """Whether a difference is more than chance would give."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def to_json(self) -> dict[str, float | None]:
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True, kw_only=True)
class SetResult:
    """One checkpoint on all pictures."""

    checkpoint: str
    decoder: str
    multiples: np.ndarray
    """(n,) scores as multiples of the reject limit; bare scores where it has no limit for every picture."""
    rejected: np.ndarray
    """(n,) bool"""
    has_limits: bool
    """Whether it could judge all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetComparison:
    """What several checkpoints say about the same pictures."""

    names: tuple[str, ...]
    """(n,) pictures that were judged."""
    labels: np.ndarray | None
    """(n,) bool, True for defective ones; None in a set without labels."""
    results: tuple[SetResult, ...]
    refused: tuple[tuple[str, str], ...]
    """Pictures that could not be read, and why."""
    rates: Rates

    def auroc(self, result: SetResult) -> Interval | None:
        """How often a defective picture scores higher than a good one; None without labels."""
        return None if self.labels is None else self._mean_win(self._wins(result))

    def auroc_difference(self, one: SetResult, other: SetResult) -> Interval | None:
        """AUROC of one minus that of the other; None without labels."""
        return None if self.labels is None else self._mean_win(self._wins(one) - self._wins(other))

    def reject_rate(self, result: SetResult, *, anomalous: bool | None = None) -> Interval | None:
        """Share of rejected pictures, of all or of those with a label, with Wilson's interval; None where
        there are none or no limits."""
        chosen = self._chosen(anomalous)
        if not result.has_limits or not chosen.any():
            return None
        count, total = int(result.rejected[chosen].sum()), int(chosen.sum())
        ends = stats.binomtest(count, total).proportion_ci(CONFIDENCE, method="wilson")
        return Interval(value=count / total, low=float(ends.low), high=float(ends.high))

    def reject_difference(
        self, one: SetResult, other: SetResult, *, anomalous: bool | None = None
    ) -> Interval | None:
        """Share that one rejects minus the share that the other does; None where either has no limits."""
        chosen = self._chosen(anomalous)
        if not (one.has_limits and other.has_limits and chosen.any()):
            return None
        return _rate_difference(one.rejected[chosen], other.rejected[chosen])

    def to_json(self) -> dict[str, Any]:
        """Only JSON types; rejects are those of good parts, or of all in a set without labels, where
        `anomalous` is null."""
        good = None if self.labels is None else False
        labels: list[Any] = [None] * len(self.names) if self.labels is None else self.labels.tolist()
        return {
            "images": len(self.names),
            "labeled": self.labels is not None,
            "rates": {"check": self.rates.check, "reject": self.rates.reject},
            "checkpoints": [
                {
                    "checkpoint": result.checkpoint,
                    "decoder": result.decoder,
                    "has_limits": result.has_limits,
                    "auroc": _json(self.auroc(result)),
                    "reject_rate": _json(self.reject_rate(result, anomalous=good)),
                    "detection_rate": None
                    if self.labels is None
                    else _json(self.reject_rate(result, anomalous=True)),
                }
                for result in self.results
            ],
            "differences": [
                {
                    "checkpoints": [one.checkpoint, other.checkpoint],
                    "auroc": _json(self.auroc_difference(one, other)),
                    "reject_rate": _json(self.reject_difference(one, other, anomalous=good)),
                }
                for one, other in combinations(self.results, 2)
            ],
            "pictures": [
                {
                    "name": name,
                    "anomalous": label,
                    "multiples": [round(float(result.multiples[i]), 4) for result in self.results],
                    "rejected": [bool(result.rejected[i]) for result in self.results],
                }
                for i, (name, label) in enumerate(zip(self.names, labels, strict=True))
            ],
            "refused": [{"name": name, "error": error} for name, error in self.refused],
        }

    def _chosen(self, anomalous: bool | None) -> np.ndarray:
        if anomalous is None or self.labels is None:
            return np.ones(len(self.names), bool)
        return np.asarray(self.labels == anomalous)

    def _wins(self, result: SetResult) -> np.ndarray:
        """(defective, good): 1 where the defective picture scores higher, 0.5 where they are level."""
        bad, good = result.multiples[self._chosen(True)][:, None], result.multiples[self._chosen(False)]
        return np.asarray((bad > good) + 0.5 * (bad == good))

    def _mean_win(self, wins: np.ndarray) -> Interval:
        """Mean of (defective, good) and its interval."""
        value = float(wins.mean())
        if min(wins.shape) < _FEWEST or wins.min() == wins.max():
            return Interval(value=value)
        rows, columns = (_draws(length) / length for length in wins.shape)
        return _percentile(value, ((rows @ wins) * columns).sum(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a comparison is."""

    done: int
    total: int


def compare_set(
    predictors: Sequence[Predictor],
    pictures: Sequence[Picture],
    *,
    category: str | None = None,
    rates: Rates = DEFAULT_RATES,
) -> Iterator[Progress | SetComparison]:
    """Judge all pictures with each checkpoint on the model thread, one after another.

    Yields progress, at last the comparison. Stop iterating to cancel.

    Args:
        predictors: one or more.
        pictures: as `read_set` lists them.
        category: of all pictures; None takes for each what the first checkpoint that knows any suggests.
        rates: false-reject rates from which every checkpoint's limits are set anew.

    Raises:
        InputError: a checkpoint does not know the category.
        TooFewImagesError: no picture could be read.
    """
    tuned = [predictor.at_rates(rates) for predictor in predictors]
    judged: list[_Judged] = []
    refused: list[tuple[str, str]] = []
    for done, picture in enumerate(pictures):
        yield Progress(done=done, total=len(pictures))
        try:
            judged.append(model_thread.run(_judge, tuned, picture, picture.read(), category))
        except UnknownCategoryError:
            raise
        except InputError as error:
            refused.append((picture.name, str(error)))
    yield Progress(done=len(pictures), total=len(pictures))
    if not judged:
        raise TooFewImagesError(f"None of the {len(pictures)} pictures could be read: {refused[0][1]}")
    yield _summary(tuned, judged, refused, rates)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What is kept of one picture."""

    name: str
    is_anomalous: bool | None
    scores: tuple[float, ...]
    """Of each checkpoint, as `limits`."""
    limits: tuple[float | None, ...]


def _judge(
    predictors: Sequence[Predictor], picture: Picture, source: ImageSource, category: str | None
) -> _Judged:
    """All limits are those of one category, the one given or the first that is suggested; a checkpoint that
    does not know it takes its own suggestion, as `comparison.compare` does."""
    scores: list[float] = []
    limits: list[float | None] = []
    wanted = category
    for predictor in predictors:
        (answer,) = predictor.predict_batch([source], category=category)
        if isinstance(answer, DemoError):
            raise answer
        if wanted is None and answer.category != UNKNOWN_CATEGORY:
            wanted = answer.category
        known = wanted if wanted in predictor.categories else answer.category
        scores.append(answer.image_score)
        limits.append(predictor.limits(known).reject)
    return _Judged(
        name=picture.name, is_anomalous=picture.is_anomalous, scores=tuple(scores), limits=tuple(limits)
    )


def _summary(
    predictors: Sequence[Predictor],
    judged: Sequence[_Judged],
    refused: Sequence[tuple[str, str]],
    rates: Rates,
) -> SetComparison:
    results = []
    for number, predictor in enumerate(predictors):
        scores = np.array([one.scores[number] for one in judged])
        limits = [one.limits[number] for one in judged]
        units = np.array([limit or 1.0 for limit in limits])
        has_limits = None not in limits
        results.append(
            SetResult(
                checkpoint=predictor.checkpoint.name,
                decoder=predictor.checkpoint.detector.config.decoder,
                multiples=scores / units if has_limits else scores,
                rejected=(scores >= units) & has_limits,
                has_limits=has_limits,
            )
        )
    labels = [one.is_anomalous for one in judged]
    return SetComparison(
        names=tuple(one.name for one in judged),
        labels=np.array(labels, bool) if {True, False} <= set(labels) else None,
        results=tuple(results),
        refused=tuple(refused),
        rates=rates,
    )


def _rate_difference(one: np.ndarray, other: np.ndarray) -> Interval:
    """Of two paired (n,) bool: the bootstrap's interval, or that of few discordant pairs.

    The latter is exact for their share, given how many there are (Clopper and Pearson); without any, what
    Wilson's interval leaves room for.
    """
    count = len(one)
    more, fewer = int((one & ~other).sum()), int((other & ~one).sum())
    value, discordant = (more - fewer) / count, more + fewer
    if discordant >= _FEWEST_DISCORDANT:
        differences = one.astype(float) - other
        return _percentile(value, _draws(count) @ differences / count)
    if discordant == 0:
        most = float(stats.binomtest(0, count).proportion_ci(CONFIDENCE, method="wilson").high)
        return Interval(value=0.0, low=-most, high=most)
    share = stats.binomtest(more, discordant).proportion_ci(CONFIDENCE, method="exact")
    low, high = ((2 * float(end) - 1) * discordant / count for end in (share.low, share.high))
    return Interval(value=value, low=low, high=high)


def _draws(count: int) -> np.ndarray:
    """(draws, n) how often each picture is in each draw; the same whenever it is asked for."""
    return np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=_RESAMPLES)


def _percentile(value: float, drawn: np.ndarray) -> Interval:
    outside = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [outside, 1 - outside])
    return Interval(value=value, low=float(low), high=float(high))


def _json(interval: Interval | None) -> dict[str, float | None] | None:
    return None if interval is None else interval.to_json()
