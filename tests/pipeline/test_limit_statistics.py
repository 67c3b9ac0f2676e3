"""What good photos can prove about a rate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from mambaad_demo.pipeline.limit_statistics import (
    exact_interval,
    exact_share,
    hidden_rate,
    photos_needed,
    verdict_counts,
)
from mambaad_demo.pipeline.prediction import Limits, Verdict


@pytest.mark.parametrize(("count", "total"), [(0, 24), (1, 24), (3, 31), (24, 24), (17, 850)])
def test_intervals_are_those_of_clopper_and_pearson(count, total):
    expected = binomtest(count, total).proportion_ci(0.95, method="exact")
    found = exact_share(count, total)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert found.value == count / total


def test_nothing_has_no_share():
    assert exact_share(0, 0) is None


def test_24_photos_without_a_reject_show_no_better_than_11_7_percent():
    assert hidden_rate(24) == pytest.approx(0.117, abs=5e-4)
    assert hidden_rate(0) == 1.0
    assert (1 - hidden_rate(24)) ** 24 == pytest.approx(0.05)


@pytest.mark.parametrize("share", [0.0, 0.005, 0.02, 0.1, 0.5, 1.0])
def test_so_many_photos_suffice_and_one_less_does_not(share):
    def width(photos):
        low, high = exact_interval(share * photos, photos)
        return high - low

    needed = photos_needed(share)
    assert width(needed) <= 0.02 < width(needed - 1)
    assert all(width(photos) <= 0.02 for photos in range(needed, 3 * needed, max(needed // 50, 1)))


def test_known_numbers_of_photos():
    # 0 of n: 1 - 0.025^(1/n) <= 0.02 from n = 183 on; half of n: about 1.96² / 4 / 0.01² and a little more.
    assert photos_needed(0.0) == 183
    assert photos_needed(0.5) == pytest.approx(9604, rel=0.02)
    assert photos_needed(0.02) < photos_needed(0.02, half_width=0.005)


@pytest.mark.parametrize(("share", "half_width"), [(-0.1, 0.01), (1.1, 0.01), (0.1, 0.0), (0.1, 0.5)])
def test_nonsense_is_refused(share, half_width):
    with pytest.raises(ValueError, match="must lie in"):
        photos_needed(share, half_width)


@given(st.lists(st.floats(0, 2), max_size=50), st.floats(0.01, 1), st.floats(0, 1))
def test_scores_are_counted_as_they_are_judged(scores, check, band):
    limits = Limits(check=check, reject=check + band)
    counts = verdict_counts(scores, limits)
    judged = [limits.verdict(score) for score in scores]
    assert counts.accept == judged.count(Verdict.ACCEPT)
    assert counts.check == judged.count(Verdict.CHECK)
    assert counts.reject == judged.count(Verdict.REJECT)


def test_without_limits_everything_is_to_be_checked():
    counts = verdict_counts(np.array([0.1, 9.0]), Limits())
    assert (counts.accept, counts.check, counts.reject) == (0, 2, 0)
    assert counts.share(Verdict.CHECK).value == 1.0
    assert counts.to_json()["check"]["count"] == 2
