"""Several checkpoints on a set of pictures: who ranks defects better, who rejects more, and how sure that is.

All limits aim at the same false-reject rates. Pictures are drawn again with replacement for the intervals,
the same ones for both checkpoints of a difference (Efron and Tibshirani, An Introduction to the Bootstrap,
chapters 8 and 13); good and defective ones apart, so that every draw has both.

`n` pictures.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from mambaad_demo.data.picture_sets import Picture
from mambaad_demo.errors import DemoError, TooFewImagesError
from mambaad_demo.hub.schemas import Rates
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.calibration import DEFAULT_RATES
from mambaad_demo.pipeline.prediction import Prediction
from mambaad_demo.pipeline.predictor import ImageSource, Predictor

CONFIDENCE = 0.95
_RESAMPLES = 2000
_CHUNK = 8


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
        differences = one.rejected[chosen].astype(float) - other.rejected[chosen]
        return _interval((differences,), np.mean)

    def to_json(self) -> dict[str, Any]:
        """Only JSON types; `anomalous` is null in a set without labels."""
        good = None if self.labels is None else False
        labels: list[Any] = [None] * len(self.names) if self.labels is None else self.labels.tolist()
        return {
            "images": len(self.names),
            "rates": {"check": self.rates.check, "reject": self.rates.reject},
            "checkpoints": [
                {
                    "checkpoint": result.checkpoint,
                    "decoder": result.decoder,
                    "auroc": _json(self.auroc(result)),
                    "false_reject_rate": _json(self.reject_rate(result, anomalous=good)),
                }
                for result in self.results
            ],
            "differences": [
                {
                    "checkpoints": [one.checkpoint, other.checkpoint],
                    "auroc": _json(self.auroc_difference(one, other)),
                    "false_reject_rate": _json(self.reject_difference(one, other, anomalous=good)),
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
        defective, good = (np.arange(length) for length in wins.shape)
        return _interval((defective, good), lambda rows, columns: wins[np.ix_(rows, columns)].mean())


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
    """Judge all pictures with each checkpoint on the model thread, a few at a time.

    Yields progress, at last the comparison. Stop iterating to cancel.

    Args:
        predictors: one or more.
        pictures: as `read_set` lists them.
        category: of all pictures; None takes for each what the first checkpoint suggests.
        rates: false-reject rates from which every checkpoint's limits are set anew.

    Raises:
        InputError: a checkpoint does not know the category.
        TooFewImagesError: no picture could be read.
    """
    tuned = [predictor.at_rates(rates) for predictor in predictors]
    judged: list[tuple[Picture, list[Prediction]]] = []
    refused: list[tuple[str, str]] = []
    done = 0
    yield Progress(done=done, total=len(pictures))
    for first in range(0, len(pictures), _CHUNK):
        chunk = pictures[first : first + _CHUNK]
        for picture, answers in zip(chunk, _judge(tuned, chunk, category), strict=True):
            error = next((answer for answer in answers if isinstance(answer, DemoError)), None)
            if error is None:
                judged.append((picture, [answer for answer in answers if isinstance(answer, Prediction)]))
            else:
                refused.append((picture.name, str(error)))
        done += len(chunk)
        yield Progress(done=done, total=len(pictures))
    if not judged:
        raise TooFewImagesError(f"None of the {len(pictures)} pictures could be read: {refused[0][1]}")
    yield _summary(tuned, judged, refused, rates)


def _judge(
    predictors: Sequence[Predictor], pictures: Sequence[Picture], category: str | None
) -> list[list[Prediction | DemoError]]:
    """For each picture what each checkpoint says, or why it cannot be read."""
    sources: list[ImageSource | DemoError] = []
    for picture in pictures:
        try:
            sources.append(picture.read())
        except DemoError as error:
            sources.append(error)
    readable = [source for source in sources if not isinstance(source, DemoError)]
    columns = [
        iter(model_thread.run(predictor.predict_batch, readable, category=category))
        for predictor in predictors
    ]
    return [
        [source] if isinstance(source, DemoError) else [next(column) for column in columns]
        for source in sources
    ]


def _summary(
    predictors: Sequence[Predictor],
    judged: Sequence[tuple[Picture, Sequence[Prediction]]],
    refused: Sequence[tuple[str, str]],
    rates: Rates,
) -> SetComparison:
    """All limits of a picture are those of one category: that of the first checkpoint."""
    labels = [picture.is_anomalous for picture, _ in judged]
    results = []
    for number, predictor in enumerate(predictors):
        scores = np.array([answers[number].image_score for _, answers in judged])
        limits = [predictor.limits(answers[0].category).reject for _, answers in judged]
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
    both = {True, False} <= set(labels)
    return SetComparison(
        names=tuple(picture.name for picture, _ in judged),
        labels=np.array(labels, bool) if both else None,
        results=tuple(results),
        refused=tuple(refused),
        rates=rates,
    )


def _interval(samples: tuple[np.ndarray, ...], statistic: Callable[..., Any]) -> Interval:
    """Percentile bootstrap; the samples are drawn independently of each other."""
    value = float(statistic(*samples))
    if min(len(sample) for sample in samples) < 2:
        return Interval(value=value)
    drawn = stats.bootstrap(
        samples,
        statistic,
        vectorized=False,
        n_resamples=_RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Interval(value=value, low=float(drawn.low), high=float(drawn.high))


def _json(interval: Interval | None) -> dict[str, float | None] | None:
    return None if interval is None else interval.to_json()
