"""Several checkpoints on one picture: one category, the same rates, votes and disagreement."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mambaad_demo.errors import UnknownCategoryError
from mambaad_demo.hub.schemas import Rates
from mambaad_demo.pipeline.calibration import DEFAULT_RATES, limits_from_scores
from mambaad_demo.pipeline.comparison import Comparison, compare
from mambaad_demo.pipeline.overlay import levels
from mambaad_demo.pipeline.prediction import Verdict

LENIENT = Rates(check=0.01, reject=0.0001)


def comparison(*predictions):
    return Comparison(predictions=tuple(predictions), rates=DEFAULT_RATES)


def test_all_limits_are_set_anew_from_the_good_scores_at_the_rates_asked_for(predictor, squared, good_part):
    predictions = list(compare([predictor, squared], good_part, category="gray", rates=LENIENT))

    for one, prediction in zip((predictor, squared), predictions, strict=True):
        scores = one.checkpoint.calibration.categories["gray"].scores
        assert prediction.limits == limits_from_scores(scores, LENIENT)
        assert prediction.limits.reject > one.limits("gray").reject


def test_the_rates_of_the_checkpoint_give_its_own_limits_and_leave_it_as_it_was(predictor):
    own = predictor.limits("gray")

    again = predictor.at_rates(DEFAULT_RATES).limits("gray")
    assert (again.check, again.reject) == pytest.approx((own.check, own.reject))  # scores are sorted now
    assert predictor.at_rates(LENIENT).limits("gray") != own
    assert predictor.limits("gray") == own


def test_what_the_first_checkpoint_suggests_holds_for_all(predictor, squared, good_part):
    first, second = compare([predictor, squared], good_part)

    assert (first.category, first.category_source) == ("gray", "suggested")
    assert (second.category, second.category_source) == ("gray", "suggested")


def test_a_checkpoint_without_that_category_judges_by_its_own_suggestion(predictor, uncalibrated, good_part):
    _, second = compare([predictor, uncalibrated], good_part)

    assert second.category == "unknown"
    assert second.verdict is Verdict.CHECK


def test_a_checkpoint_without_limits_neither_suggests_nor_votes_nor_disagrees(
    predictor, squared, uncalibrated, good_part
):
    predictions = list(compare([uncalibrated, predictor, squared], good_part))
    made = comparison(*predictions)

    assert [prediction.category for prediction in predictions] == ["unknown", "gray", "gray"]
    assert made.votes == {Verdict.ACCEPT: 2, Verdict.CHECK: 0, Verdict.REJECT: 0}
    assert made.is_unanimous
    assert not made.same_category
    np.testing.assert_array_equal(made.disagreement(), comparison(*predictions[1:]).disagreement())
    assert comparison(predictions[0]).majority is Verdict.CHECK
    assert comparison(predictions[0]).disagreement().max() == 0


def test_a_category_nobody_knows_is_refused(predictor, good_part):
    with pytest.raises(UnknownCategoryError, match="purple"):
        list(compare([predictor], good_part, category="purple"))


def test_columns_come_one_by_one(predictor, good_part):
    class Untouched:
        def __getattr__(self, name):
            raise AssertionError("asked before its turn")

    assert next(compare([predictor, Untouched()], good_part)).category == "gray"


@pytest.mark.parametrize(
    ("verdicts", "majority", "unanimous"),
    [
        (["accept", "accept", "reject"], "accept", False),
        (["reject", "reject", "reject"], "reject", True),
        (["accept", "check", "reject"], "reject", False),
        (["accept", "check"], "check", False),
    ],
)
def test_most_votes_win_and_the_most_severe_of_equals(predictor, good_part, verdicts, majority, unanimous):
    prediction = predictor.predict(good_part)
    made = comparison(*(replace(prediction, verdict=Verdict(verdict)) for verdict in verdicts))

    assert made.majority is Verdict(majority)
    assert made.is_unanimous is unanimous
    assert sum(made.votes.values()) == len(verdicts)


def test_disagreement_is_the_span_of_levels_within_the_colour_scale(predictor, bad_part):
    prediction = predictor.predict(bad_part, category="gray")
    zero, one = prediction.color_range
    flat = replace(prediction, anomaly_map=np.full_like(prediction.anomaly_map, zero + 0.5 * (one - zero)))

    assert comparison(prediction, prediction).disagreement().max() == 0
    between = comparison(prediction, flat).disagreement()
    np.testing.assert_allclose(between, abs(np.clip(levels(prediction), 0, 2) - 0.5), atol=1e-6)
    assert between.max() == pytest.approx(1.5)


def test_the_result_is_json(predictor, squared, bad_part):
    predictions = compare([predictor, squared], bad_part, category="gray")
    written = json.loads(json.dumps(comparison(*predictions).to_json()))

    assert written["majority"] == "reject"
    assert written["votes"] == {"accept": 0, "check": 0, "reject": 2}
    assert [result["category"] for result in written["results"]] == ["gray", "gray"]
