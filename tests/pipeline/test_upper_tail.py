"""What the upper scores of good parts say about the next one."""

import numpy as np
import pytest
from scipy import stats

from mambaad_demo.pipeline.upper_tail import limit_at_rate, rate_at_limit


def log_normal(seed, shape):
    return np.exp(np.random.default_rng(seed).normal(-2.0, 0.3, shape))


def over(trials, rate):
    """The share of trials whose last part exceeds the limit that the others set."""
    return np.mean([row[-1] > limit_at_rate(row[:-1], rate) for row in trials])


@pytest.mark.parametrize("count", [3, 4, 8, 30, 100])
@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_the_next_log_normal_score_exceeds_the_limit_at_the_stated_rate(count, rate):
    trials = log_normal(1, (4000, count + 1))

    assert over(trials, rate) == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / len(trials)))


def test_how_low_the_lowest_quarter_lies_moves_no_limit():
    scores = np.sort(log_normal(2, 8))
    doubles = np.concatenate([scores[:2] / 10, scores[2:]])

    assert limit_at_rate(doubles, 0.02) == limit_at_rate(scores, 0.02)


def test_a_high_score_moves_the_limit_up():
    scores = np.sort(log_normal(2, 8))

    assert limit_at_rate([*scores[:-1], 2 * scores[-1]], 0.02) > 1.5 * limit_at_rate(scores, 0.02)


def test_little_is_lost_by_not_looking_at_the_lowest_quarter():
    samples = np.log(log_normal(3, (500, 8)))
    whole = samples.mean(1) + stats.t.ppf(0.98, 7) * samples.std(1, ddof=1) * np.sqrt(1 + 1 / 8)

    upper = np.log([limit_at_rate(np.exp(sample), 0.02) for sample in samples])

    assert upper.mean() - whole.mean() < 0.3 * 0.25, "a quarter of the true spread"


def test_many_scores_give_the_quantile_of_the_distribution_itself():
    scores = log_normal(4, 20_000)

    assert np.log(limit_at_rate(scores, 0.005)) == pytest.approx(-2 + 0.3 * stats.norm.isf(0.005), abs=0.01)


@pytest.mark.parametrize("count", [3, 8, 2000])
@pytest.mark.parametrize("rate", [0.001, 0.05, 0.5])
def test_the_rate_of_a_limit_is_the_rate_it_was_set_by(count, rate):
    scores = log_normal(5, count)

    assert rate_at_limit(scores, limit_at_rate(scores, rate)) == pytest.approx(rate, rel=1e-6)


def test_the_order_of_the_scores_does_not_matter():
    scores = log_normal(6, 11)

    assert limit_at_rate(scores[::-1], 0.05) == limit_at_rate(scores, 0.05)


def test_perfectly_rebuilt_parts_have_a_limit_too():
    assert 0 < limit_at_rate([0.0, 0.0, 0.0], 0.05) < 1e-4
