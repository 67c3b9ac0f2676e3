"""Limits that are tried on: moved by hand, and what the fields of the page may hold."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.calibration import moved_to
from mambaad_demo.pipeline.prediction import Limits
from mambaad_demo.storage.limits import Source
from mambaad_demo.ui import limit_trials
from mambaad_demo.ui.limit_trials import Trial
from mambaad_demo.workflow.calibrating import Measured
from tests.ui.fakes import calibration
from tests.workflow.gray_line import line_predictor

START = Measured(
    category="gray",
    tiles=1,
    calibration=moved_to(calibration(), Limits(check=0.4, reject=0.5)),
    source=Source.PHOTOS,
)


def pair(measured):
    return measured.calibration.check, measured.calibration.reject


def test_a_limit_that_passes_the_other_pushes_it_along():
    assert pair(limit_trials.check_moved(START, 0.45)) == (0.45, 0.5)
    assert pair(limit_trials.check_moved(START, 0.6)) == (0.6, 0.6)
    assert pair(limit_trials.reject_moved(START, 0.3)) == (0.3, 0.3)
    assert limit_trials.reject_moved(START, 0.3).is_moved


def test_a_limit_that_stays_where_it_is_was_not_moved():
    assert limit_trials.check_moved(START, 0.4) is START


def test_what_is_tried_on_belongs_to_its_checkpoint_category_and_tiles():
    predictor = line_predictor()
    trial = Trial.of(predictor, START)
    assert limit_trials.at_hand(trial, predictor, "gray") is START
    assert limit_trials.at_hand(trial, predictor, "brown") is None
    assert limit_trials.at_hand(trial, predictor.tiled(2), "gray") is None
    for changes in ({"checkpoint": "other"}, {"sha256": "of another version"}):
        assert limit_trials.at_hand(replace(trial, **changes), predictor, "gray") is None
    assert limit_trials.at_hand(None, predictor, "gray") is None


@pytest.mark.parametrize(
    ("typed", "category"),
    [
        ("bottle cap", "bottle_cap"),
        ("bottle_cap", "bottle_cap"),
        (" new\nthing ", "new thing"),
        (None, "bottle_cap"),
    ],
)
def test_a_typed_name_means_the_category_that_is_spoken_like_it(typed, category):
    assert limit_trials.meant(typed, ["bottle_cap", "gear"]) == category


def test_without_categories_none_is_meant():
    assert limit_trials.meant("", []) == ""


@given(st.floats(0, 10), st.floats(1e-5, 10))
def test_a_slider_covers_its_scores_in_many_round_steps(low, width):
    step, (first, last) = limit_trials.slider((low, low + width))
    assert first <= low + step
    assert last >= low + width - step / 2
    assert 400 < (last - first) / step < 5200


@pytest.mark.parametrize(
    ("check", "reject"), [(5, 0), (0, 0), (5, 100), (1, 2), (None, 1), ("x", 1), (float("nan"), 1)]
)
def test_rates_that_are_none_are_refused(check, reject):
    with pytest.raises(InputError):
        limit_trials.rates_of(check, reject)


def test_rates_are_percentages():
    rates = limit_trials.rates_of("5", 0.5)
    assert (rates.check, rates.reject) == pytest.approx((0.05, 0.005))


@pytest.mark.parametrize("value", [1.5, "", None, "two", [1]])
def test_tiles_are_whole_numbers(value):
    with pytest.raises(InputError):
        limit_trials.whole(value)
