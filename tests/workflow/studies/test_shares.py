"""Shares with exact intervals."""

import math

import pytest
from scipy import stats

from mambaad_demo.pipeline.limit_statistics import exact_interval
from mambaad_demo.workflow.studies.shares import parts_to_show, share


def upper_end(value: float, parts: int) -> float:
    return exact_interval(value * parts, parts)[1]


@pytest.mark.parametrize(
    ("count", "total"), [(0, 1), (1, 1), (0, 30), (7, 30), (29, 30), (30, 30), (3, 1000)]
)
def test_the_interval_is_that_of_clopper_and_pearson(count, total):
    expected = stats.binomtest(count, total).proportion_ci(0.95, method="exact")
    found = share(count, total)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert found.value == count / total


def test_of_nothing_there_is_no_share():
    assert share(0, 0) is None


def test_looks_at_the_same_parts_count_as_the_parts_they_are():
    one_look, three_looks = share(2, 10), share(6, 30, parts=10)
    assert (three_looks.low, three_looks.high) == (one_look.low, one_look.high)
    assert (three_looks.count, three_looks.total) == (6, 30)


def test_without_an_error_the_rule_of_3_point_7_tells_how_many_parts_are_needed():
    for limit in (0.02, 0.05, 0.1):
        assert parts_to_show(limit) == math.ceil(math.log(0.025) / math.log(1 - limit))


def test_the_needed_parts_are_the_fewest_that_show_it():
    needed = parts_to_show(0.05, value=0.01)
    assert upper_end(0.01, needed) <= 0.05 < upper_end(0.01, needed - 1)


@pytest.mark.parametrize("value", [0.05, 0.2])
def test_a_share_that_is_not_below_the_limit_is_never_shown_to_be(value):
    assert parts_to_show(0.05, value=value) is None
