"""A predictor with limits that people set, and the calibrations these come from."""

import numpy as np
import pytest

from mambaad_demo.errors import InputError, TooFewImagesError
from mambaad_demo.hub.checkpoints import load_checkpoint
from mambaad_demo.hub.schemas import Rates
from mambaad_demo.pipeline.calibration import (
    GoodParts,
    aimed_at,
    calibrate_category,
    calibration_sha256,
    limits_from_scores,
    moved_to,
    scale_of,
)
from mambaad_demo.pipeline.inference import ModelInput
from mambaad_demo.pipeline.prediction import Limits, Verdict
from mambaad_demo.pipeline.upper_tail import rate_at_limit
from tests.pipeline.conftest import gray_images, stub_predictor
from tests.workflow.gray_line import line_predictor


def inputs(count=8, *, seed=3, tiles=1):
    return [
        ModelInput.from_pixels(pixels, side=64, resize="letterbox", tiles=tiles)
        for pixels in gray_images(count, seed=seed)
    ]


def measured(predictor, **how):
    return calibrate_category(
        predictor.runner, inputs(**how), "new", scale=scale_of(predictor.checkpoint.calibration, 3)
    )


def test_one_category_measured_alone_is_the_same_as_among_others(predictor):
    known = predictor.checkpoint.calibration
    again = calibrate_category(
        predictor.runner,
        [ModelInput.from_pixels(pixels, side=64, resize="letterbox") for pixels in gray_images(20)],
        "gray",
        scale=known.embedding_scale,
    )
    assert again == known.categories["gray"]


def test_stored_parts_and_measured_ones_give_the_same_calibration(predictor):
    known = predictor.checkpoint.calibration.categories["gray"]
    scale, items = np.array(predictor.checkpoint.calibration.embedding_scale), inputs()
    centroid = np.array(known.embedding)
    all_measured, half_stored = GoodParts(centroid), GoodParts(centroid)
    all_measured.measure(predictor.runner, items)
    output = predictor.runner(items[:4])
    for item, anomaly_map, embedding in zip(items[:4], output.maps, output.embeddings, strict=True):
        distance = float(np.sqrt(np.mean(((embedding - centroid) / scale) ** 2)))
        half_stored.add_stored(anomaly_map, item.geometry, distance)
    half_stored.measure(predictor.runner, items[4:])
    one, other = all_measured.calibration(scale), half_stored.calibration(scale)
    assert other.scores == one.scores
    assert other.embedding == one.embedding == known.embedding
    assert other.embedding_distances == pytest.approx(one.embedding_distances)
    assert other.pixel_quantiles == pytest.approx(one.pixel_quantiles)


def test_stored_parts_need_a_centroid_that_is_kept():
    with pytest.raises(ValueError, match="centroid"):
        GoodParts().add_stored(np.zeros((64, 64), np.float32), inputs(1)[0].geometry, 1.0)


def test_two_parts_are_too_few(predictor):
    with pytest.raises(TooFewImagesError, match="'new' has 2"):
        measured(predictor, count=2)


@pytest.mark.parametrize("rate", [0.001, 0.02, 0.3])
def test_the_expected_rate_of_a_limit_is_the_rate_it_was_placed_by(rate):
    scores = np.exp(np.random.default_rng(0).normal(-2, 0.3, 40))
    check = limits_from_scores(scores, Rates(check=rate, reject=rate / 10)).check
    assert rate_at_limit(scores, check) == pytest.approx(rate, rel=1e-6)


def test_limits_are_placed_by_rates_and_moved_by_hand(predictor):
    known = predictor.checkpoint.calibration.categories["gray"]
    strict = aimed_at(known, Rates(check=0.01, reject=0.001))
    assert strict.reject > known.reject
    assert strict.rates.reject == 0.001
    back = aimed_at(strict, known.rates)
    assert (back.check, back.reject) == pytest.approx((known.check, known.reject))
    moved = moved_to(known, Limits(check=0.2, reject=0.3))
    assert (moved.check, moved.reject, moved.scores) == (0.2, 0.3, known.scores)


@pytest.mark.parametrize(
    "limits", [Limits(), Limits(check=0.0, reject=0.1), Limits(check=0.1, reject=np.inf)]
)
def test_a_hand_cannot_put_limits_nowhere(predictor, limits):
    with pytest.raises(InputError, match="scores above 0"):
        moved_to(predictor.checkpoint.calibration.categories["gray"], limits)


def test_the_hash_of_a_calibration_is_that_of_its_file(tiny_checkpoint):
    checkpoint = load_checkpoint(tiny_checkpoint, device="cpu", kernel="torch")
    assert calibration_sha256(checkpoint.calibration) == checkpoint.config.sha256.calibration


def test_other_limits_judge_anew_and_leave_the_first_predictor_alone(predictor, good_part):
    score = predictor.predict(good_part, category="gray").image_score
    known = predictor.checkpoint.calibration.categories["gray"]
    strict = predictor.with_calibration("gray", moved_to(known, Limits(check=score / 4, reject=score / 2)))
    assert strict.predict(good_part, category="gray").verdict is Verdict.REJECT
    assert strict.limits("gray").reject == score / 2
    assert strict.limits("brown") == predictor.limits("brown")
    assert predictor.predict(good_part, category="gray").verdict is Verdict.ACCEPT
    assert predictor.checkpoint.calibration.categories["gray"] == known


def test_a_category_new_to_the_checkpoint_is_judged_and_suggested(predictor):
    green = [
        ModelInput.from_pixels(pixels, side=64, resize="letterbox")
        for pixels in gray_images(8, tint=(-0.2, 0.2, -0.2))
    ]
    calibration = calibrate_category(
        predictor.runner, green, "green", scale=predictor.checkpoint.calibration.embedding_scale
    )
    taught = predictor.with_calibration("green", calibration)
    part = np.rint(gray_images(1, tint=(-0.2, 0.2, -0.2), seed=5)[0] * 255).astype(np.uint8)
    prediction = taught.predict(part)
    assert (prediction.category, prediction.verdict) == ("green", Verdict.ACCEPT)
    assert prediction.notes == ()
    assert "green" in taught.categories
    assert "green" not in predictor.categories


def test_an_uncalibrated_checkpoint_gets_its_first_limits(uncalibrated, good_part):
    taught = uncalibrated.with_calibration("gray", measured(uncalibrated))
    prediction = taught.predict(good_part)
    assert (prediction.category, prediction.verdict) == ("gray", Verdict.ACCEPT)
    assert taught.checkpoint.calibration.embedding_scale == (1.0, 1.0, 1.0)


def test_limits_hold_for_their_number_of_tiles_alone(good_part):
    whole = stub_predictor()
    tiled = whole.with_calibration("gray", measured(whole.tiled(2), tiles=2), tiles=2)
    assert tiled.limits("gray") == whole.limits("gray")
    assert tiled.tiled(2).predict(good_part, category="gray").verdict is Verdict.ACCEPT
    assert tiled.tiled(2).predict(good_part, category="gray").notes == ()
    assert tiled.tiled(2).limits("brown") == Limits()
    assert tiled.tiled(2).tiled(1).limits("gray") == whole.limits("gray")


def test_results_say_which_limits_they_were_made_with():
    plain = line_predictor()
    known = plain.checkpoint.calibration.categories["gray"]
    own = plain.checkpoint.config.sha256.calibration
    other = plain.with_calibration("gray", moved_to(known, Limits(check=0.2, reject=0.3)))
    assert other.checkpoint.config.sha256.calibration == calibration_sha256(other.checkpoint.calibration)
    assert other.checkpoint.config.sha256.calibration != own
    assert other.tiled(2).checkpoint.config.sha256.calibration == own
    assert other.with_calibrations({}).checkpoint is plain.checkpoint
    assert plain.with_calibration("gray", known).checkpoint.config.sha256.calibration == own


def test_the_last_set_of_a_category_counts_and_the_others_stay(predictor):
    known = predictor.checkpoint.calibration.categories
    first = predictor.with_calibration("gray", moved_to(known["gray"], Limits(check=0.2, reject=0.3)))
    both = first.with_calibration("brown", moved_to(known["brown"], Limits(check=0.4, reject=0.5)))
    last = both.with_calibration("gray", moved_to(known["gray"], Limits(check=0.6, reject=0.7)))
    assert (last.limits("gray").reject, last.limits("brown").reject) == (0.7, 0.5)
