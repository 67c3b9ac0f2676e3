"""How high the score of the next good part may be, told from the upper three quarters of those seen.

Image scores are positive and skewed, so their logarithms are taken as normal. The lowest quarter counts only
as being low: a photo much like one that was learned, or an empty one, scores far below the others, would make
the good parts look more spread out than they are, and says nothing about the upper end, where limits stand.
Center and spread of the censored sample are the alternative linear estimates of Gupta (Biometrika 39, 1952)
with Blom's approximation of the expected order statistics (1958). Few scores fix both only so well; that is
accounted for as Student's t does for whole samples, by the distribution of the two over normal samples of
the same size, which is simulated: if log scores are normal, the next one exceeds the limit with the stated
rate, whatever the number of scores.

`n` scores · `s` simulated samples.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

_CENSORED = 0.25
_MOST_SCORES = 1000
"""The estimates from more are taken to vary as those from this many, center and spread by 4 and 3 % of it."""
_DRAWS = 200_000
_SMALLEST_SCORE = 1e-6  # guards the logarithm against a perfect reconstruction
_SMALLEST_SPREAD = 1e-3  # of log scores: identical images still get a limit above their score


def limit_at_rate(scores: Sequence[float] | np.ndarray, rate: float) -> float:
    """The score that the next good part exceeds with this probability.

    Args:
        scores: of at least two good parts, in any order.
        rate: between 0 and 1.
    """
    center, spread = _center_and_spread(scores)
    return math.exp(center + _spreads_above(len(scores), rate) * spread)


def rate_at_limit(scores: Sequence[float] | np.ndarray, limit: float) -> float:
    """How probably the next good part exceeds a limit: what `limit_at_rate` turns round.

    Args:
        scores: as there.
        limit: above 0.
    """
    center, spread = _center_and_spread(scores)
    return _exceeding(len(scores), (math.log(limit) - center) / spread)


def _center_and_spread(scores: Sequence[float] | np.ndarray) -> tuple[float, float]:
    logs = np.log(np.maximum(np.sort(np.asarray(scores, dtype=np.float64)), _SMALLEST_SCORE))
    for_center, for_spread = _weights(len(logs))
    kept = logs[-len(for_center) :]
    return float(kept @ for_center), max(float(kept @ for_spread), _SMALLEST_SPREAD)


def _weights(n: int) -> tuple[np.ndarray, np.ndarray]:
    """What the sorted upper scores are to be multiplied by for the center and for the spread."""
    places = norm.ppf((np.arange(int(_CENSORED * n), n) + 0.625) / (n + 0.25))
    centered = places - places.mean()
    for_spread = centered / (centered**2).sum()
    return 1 / len(places) - places.mean() * for_spread, for_spread


@lru_cache(maxsize=256)
def _spreads_above(n: int, rate: float) -> float:
    """How many spreads above the center of n scores the next one goes with this probability."""
    far = 10.0
    while not _exceeding(n, far) < rate < _exceeding(n, -far):
        far *= 10
    return float(brentq(lambda distance: _exceeding(n, distance) - rate, -far, far))


def _exceeding(n: int, distance: float) -> float:
    center, spread = _simulated(min(n, _MOST_SCORES))
    return float(norm.sf(center + distance * spread).mean())


@lru_cache(maxsize=64)
def _simulated(n: int) -> tuple[np.ndarray, np.ndarray]:
    """(s,) centers and (s,) spreads of normal samples of n with center 0 and spread 1."""
    for_center, for_spread = _weights(n)
    draws = np.random.default_rng(0).standard_normal((_DRAWS // n, n))
    kept = np.sort(draws, axis=1)[:, -len(for_center) :]
    return kept @ for_center, kept @ for_spread
