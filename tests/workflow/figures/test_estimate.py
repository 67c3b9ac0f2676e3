"""Shares with exact intervals."""

import pytest
from statsmodels.stats.proportion import proportion_confint

from mambaad_demo.workflow.figures.estimate import proportion


@pytest.mark.parametrize(("count", "total"), [(0, 7), (3, 40), (40, 40), (1, 1)])
def test_intervals_of_shares_are_those_of_statsmodels(count, total):
    interval = proportion(count, total, of="parts").interval
    low, high = proportion_confint(count, total, alpha=0.05, method="beta")
    assert (interval.value, interval.low, interval.high) == pytest.approx((count / total, low, high))


def test_a_share_of_nothing_is_undefined_and_says_why():
    estimate = proportion(0, 0, of="good parts")
    assert (estimate.value, estimate.to_json(), estimate.reason) == (None, None, "There are no good parts.")
