"""Limits from good parts alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mambaad_demo.errors import TooFewImagesError
from mambaad_demo.hub.schemas import Rates
from mambaad_demo.pipeline.calibration import calibrate, limits_from_scores
from mambaad_demo.pipeline.inference import ModelInput

SCORES = st.lists(st.floats(1e-4, 2.0), min_size=3, max_size=40)


@settings(deadline=None)  # the first limit for a number of parts takes longer
@given(SCORES)
def test_no_seen_good_part_is_rejected_and_check_lies_below_reject(scores):
    limits = limits_from_scores(scores)

    assert 0 < limits.check <= limits.reject
    assert max(scores) < limits.reject


@settings(deadline=None)
@given(SCORES, st.floats(0.1, 10.0))
def test_limits_scale_with_the_scores(scores, factor):
    limits, scaled = limits_from_scores(scores), limits_from_scores(np.multiply(scores, factor))

    assert scaled.check == pytest.approx(factor * limits.check, rel=1e-6)
    assert scaled.reject == pytest.approx(factor * limits.reject, rel=1e-6)


@pytest.mark.parametrize("count", [5, 20, 100])
def test_the_rates_are_met_on_average_for_any_number_of_log_normal_scores(count):
    generator = np.random.default_rng(0)
    trials = np.exp(generator.normal(-2.0, 0.3, (2000, count + 1)))

    checked = [row[-1] >= limits_from_scores(row[:-1]).check for row in trials]

    # 5 % of 2000: a standard error of 0.5 %. Check is never raised by the largest score, so the aim is exact.
    assert np.mean(checked) == pytest.approx(0.05, abs=0.015)


def test_fewer_parts_push_the_limits_outwards():
    generator = np.random.default_rng(3)
    scores = np.exp(generator.normal(-2.0, 0.2, 200))

    few, many = limits_from_scores(scores[:5]), limits_from_scores(scores)

    assert few.reject / many.reject > 1.1


def test_identical_scores_still_give_limits_above_them():
    limits = limits_from_scores([0.1] * 10)

    assert 0.1 < limits.check <= limits.reject < 0.11


def test_a_stricter_rate_gives_a_higher_limit():
    scores = np.linspace(0.1, 0.2, 30)

    strict = limits_from_scores(scores, Rates(check=0.01, reject=0.001))

    assert strict.check > limits_from_scores(scores).check


def test_too_few_parts_are_refused():
    with pytest.raises(TooFewImagesError, match="at least 3"):
        limits_from_scores([0.1, 0.2])


def test_a_category_with_too_few_images_is_named(predictor):
    inputs = [ModelInput.from_pixels(np.full((64, 64, 3), 0.5, np.float32), side=64, resize="square")] * 2

    with pytest.raises(TooFewImagesError, match="'lonely'"):
        calibrate(predictor.runner.detector, {"lonely": iter(inputs)})


def test_the_calibration_describes_the_good_parts(predictor):
    calibration = predictor.checkpoint.calibration

    gray = calibration.categories["gray"]
    assert gray.images == len(gray.scores) == 20
    assert list(gray.scores) == sorted(gray.scores)
    assert gray.embedding == pytest.approx([0.5, 0.5, 0.5], abs=0.01)
    quantiles = [gray.pixel_quantiles[name] for name in ("0.5", "0.9", "0.99", "0.999")]
    assert quantiles == sorted(quantiles)
    assert quantiles[0] < gray.check < gray.reject
    assert len(calibration.embedding_scale) == 3
    assert 0.3 < np.sqrt(np.mean(np.square(gray.embedding_distances))) < 3  # about 1, by construction
