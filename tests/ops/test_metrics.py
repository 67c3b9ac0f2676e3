"""The seven metrics: by hand, by definition, against scikit-learn and against the published code."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from mambaad_demo.ops.metrics import METRICS, evaluate_maps
from tests.reference import metrics as reference

few = settings(max_examples=25, deadline=None, derandomize=True)
few_slow = settings(few, max_examples=10)
seeds = st.integers(0, 2**16)
protocols = pytest.mark.parametrize("protocol", ["exact", "ader"])
RECORDED_NAMES = {
    "image_auroc": "mAUROC_sp_max",
    "image_ap": "mAP_sp_max",
    "image_f1_max": "mF1_max_sp_max",
    "pixel_auroc": "mAUROC_px",
    "pixel_ap": "mAP_px",
    "pixel_f1_max": "mF1_max_px",
    "au_pro": "mAUPRO_px",
}


def random_category(seed: int, *, levels: int | None = None) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Six maps of 12×12 whose defects (in four of them) score a little higher; `levels` makes ties."""
    random = np.random.default_rng(seed)
    masks = np.zeros((6, 12, 12), dtype=bool)
    for image in masks[:4]:
        for top, left in random.integers(0, 8, size=(2, 2)):
            image[top : top + 3, left : left + 4] = True
    maps = random.random(masks.shape) + 0.4 * masks
    if levels:
        maps = np.floor(maps * levels) / levels
    return maps.astype(np.float32), masks


def three_images() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """One normal image with a bright pixel, one clear defect, one defect fainter than that pixel."""
    masks = np.zeros((3, 2, 2), dtype=bool)
    masks[1, 0] = masks[2, 1, 1] = True
    maps = np.array([[[1, 2], [3, 6]], [[9, 8], [1, 2]], [[0, 0], [1, 5]]], dtype=np.float32)
    return maps, masks


def assert_equals_recording(file: Path) -> None:
    with np.load(file) as recording:
        results = evaluate_maps(recording["anomaly_maps"], recording["masks"], protocol="ader")
        expected = {name: float(recording[recorded]) for name, recorded in RECORDED_NAMES.items()}
    assert results == pytest.approx(expected, rel=0, abs=1e-7)  # the published F1 adds 1e-8 here and there


@pytest.mark.golden
def test_ader_protocol_equals_the_recorded_output_of_the_published_code(golden):
    assert_equals_recording(golden / "metrics_ader.npz")


def test_three_images_by_hand():
    results = evaluate_maps(*three_images())
    assert results == pytest.approx(
        {
            "image_auroc": 1 / 2,  # 9 and 5 against 6: one pair right, one wrong
            "image_ap": (1 + 2 / 3) / 2,
            "image_f1_max": 4 / 5,  # all three called anomalous
            "pixel_auroc": 26 / 27,  # 9, 8 and 5 against nine pixels: only 6 beats the 5
            "pixel_ap": (1 + 1 + 3 / 4) / 3,
            "pixel_f1_max": 6 / 7,
            # The area {9, 8} is covered at once; the area {5} after one false positive in nine.
            "au_pro": (0.3 + (0.3 - 1 / 9)) / 2 / 0.3,
        }
    )


def test_two_regions_weigh_the_same_whatever_their_size():
    masks = np.zeros((1, 10, 12), dtype=bool)
    masks[0, 0:6, 0:3] = True
    masks[0, 8, 8:10] = True
    maps = np.where(masks, 1.0, 0.0)
    maps[0, 8, 8:10] = 0.5
    maps[0, 0, 3:] = maps[0, 1, 3:9] = 0.7  # 15 of 100 normal pixels, half of the limit of 30 %
    assert evaluate_maps(maps, masks)["au_pro"] == pytest.approx(0.5 * 1 + 0.5 * 0.5)


def test_tie_between_the_classes_rises_as_a_straight_line():
    masks = np.zeros((1, 10, 11), dtype=bool)
    masks[0, 0, :10] = True
    maps = np.zeros(masks.shape)
    maps[0, :3] = 1.0  # the whole region and 23 of 100 normal pixels at once
    assert evaluate_maps(maps, masks)["au_pro"] == pytest.approx((0.23 / 2 + 0.07) / 0.3)


def test_overlap_rising_in_step_with_the_false_positive_rate_has_an_area_of_fifteen_percent():
    scores = np.repeat(np.arange(1000), 2)  # each threshold adds one normal and one anomalous pixel
    results = evaluate_maps(scores.reshape(1, 2, 1000), (np.arange(2000) % 2 == 1).reshape(1, 2, 1000))
    assert results["pixel_auroc"] == pytest.approx(0.5)
    assert results["au_pro"] == pytest.approx(0.15)


def test_pixels_that_touch_at_a_corner_are_one_region_but_never_across_images():
    masks = np.zeros((2, 4, 4), dtype=bool)
    masks[0, 0, 0] = masks[0, 1, 1] = masks[1, 1, 1] = True
    maps = np.zeros(masks.shape)
    maps[0, 0, 0] = 1.0
    maps[0, 1, 1] = maps[1, 1, 1] = -1.0
    # Two regions, one of them half covered: a quarter; as three regions it would be a third.
    assert evaluate_maps(maps, masks)["au_pro"] == pytest.approx(0.25)


@few
@given(seed=seeds, levels=st.sampled_from([None, 3, 10]))
def test_auroc_and_average_precision_equal_scikit_learn(seed, levels):
    maps, masks = random_category(seed, levels=levels)
    results = evaluate_maps(maps, masks)
    image_scores, labels = maps.max(axis=(1, 2)), masks.any(axis=(1, 2))
    assert results["image_auroc"] == pytest.approx(roc_auc_score(labels, image_scores))
    assert results["image_ap"] == pytest.approx(average_precision_score(labels, image_scores))
    assert results["pixel_auroc"] == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()))
    assert results["pixel_ap"] == pytest.approx(average_precision_score(masks.ravel(), maps.ravel()))


@few_slow
@given(seed=seeds, levels=st.sampled_from([None, 3, 10]))
def test_exact_f1_max_and_au_pro_equal_their_definitions(seed, levels):
    maps, masks = random_category(seed, levels=levels)
    results = evaluate_maps(maps, masks)
    expected = reference.f1_max(maps.max(axis=(1, 2)), masks.any(axis=(1, 2)))
    assert results["image_f1_max"] == pytest.approx(expected)
    assert results["pixel_f1_max"] == pytest.approx(reference.f1_max(maps, masks))
    assert results["au_pro"] == pytest.approx(reference.au_pro(maps, masks))


@few
@given(seed=seeds)
def test_ader_f1_max_and_au_pro_equal_their_definitions(seed):
    maps, masks = random_category(seed)
    results = evaluate_maps(maps, masks, protocol="ader")
    assert results["pixel_f1_max"] == pytest.approx(reference.ader_f1_max(maps, masks))
    assert results["au_pro"] == pytest.approx(reference.ader_au_pro(maps, masks))


@few
@given(seed=seeds, power=st.sampled_from([0.5, 2, 3]), scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_exact_metrics_ignore_monotone_rescaling(seed, power, scale, shift):
    maps, masks = random_category(seed, levels=50)  # levels stay apart, so rounding cannot create new ties
    rescaled = scale * maps.astype(np.float64) ** power + shift
    assert evaluate_maps(rescaled, masks) == pytest.approx(evaluate_maps(maps, masks))


@protocols
@few
@given(seed=seeds, levels=st.sampled_from([None, 10]))
def test_every_metric_lies_between_zero_and_one(protocol, seed, levels):
    results = evaluate_maps(*random_category(seed, levels=levels), protocol=protocol)
    assert tuple(results) == METRICS
    assert all(isinstance(value, float) and 0 <= value <= 1 for value in results.values())


@protocols
def test_perfect_maps_score_one_exactly_in_every_metric(protocol):
    _, masks = random_category(0)
    maps = masks + np.linspace(0, 0.1, masks.size).reshape(masks.shape)
    maps[masks] = 2.0
    results = evaluate_maps(maps, masks, protocol=protocol)
    assert results == dict.fromkeys(METRICS, 1.0)


def test_constant_maps_are_no_better_than_chance():
    _, masks = random_category(0)
    results = evaluate_maps(np.ones(masks.shape), masks)
    assert results["image_auroc"] == results["pixel_auroc"] == 0.5
    assert results["pixel_ap"] == pytest.approx(masks.mean())
    assert results["au_pro"] == pytest.approx(0.15)


def test_ader_steps_are_undefined_on_constant_maps():
    _, masks = random_category(0)
    results = evaluate_maps(np.ones(masks.shape), masks, protocol="ader")
    assert results["pixel_auroc"] == 0.5
    assert results["pixel_f1_max"] is None
    assert results["au_pro"] is None


@protocols
@pytest.mark.parametrize("value", [False, True])
def test_one_class_alone_leaves_every_metric_undefined(protocol, value):
    maps, masks = random_category(0)
    results = evaluate_maps(maps, np.full_like(masks, value), protocol=protocol)
    assert results == dict.fromkeys(METRICS)


def test_without_masks_only_image_metrics_are_defined():
    maps, masks = random_category(0)
    results = evaluate_maps(maps, None, labels=[bool(mask.any()) for mask in masks])
    with_masks = evaluate_maps(maps, masks)
    for name in METRICS:
        assert results[name] == (with_masks[name] if name.startswith("image_") else None)


def test_only_anomalous_images_still_have_pixel_metrics():
    maps, masks = random_category(0)
    results = evaluate_maps(maps[:4], masks[:4])
    assert results["image_auroc"] is None
    assert results["pixel_auroc"] is not None
    assert results["au_pro"] is not None


def test_label_of_a_defect_that_vanished_from_its_mask_counts_in_exact_but_not_in_ader():
    maps, masks = three_images()
    labels = [True, True, True]  # the first mask is empty
    assert evaluate_maps(maps, masks, labels=labels)["image_auroc"] is None
    assert evaluate_maps(maps, masks, labels=labels, protocol="ader")["image_auroc"] == 0.5


@pytest.mark.parametrize("encode", [np.uint8, np.float32, lambda masks: masks * np.uint8(255)])
def test_masks_may_be_numbers(encode):
    maps, masks = random_category(0)
    assert evaluate_maps(maps, encode(masks)) == evaluate_maps(maps, masks)


def test_interpolated_masks_are_cut_above_one_half():
    maps, masks = random_category(0)
    assert evaluate_maps(maps, np.where(masks, 0.51, 0.5)) == evaluate_maps(maps, masks)


def test_float16_maps_are_ranked_like_their_float32_copy():
    maps, masks = random_category(0)
    halves = maps.astype(np.float16)
    for protocol in ("exact", "ader"):
        expected = evaluate_maps(halves.astype(np.float32), masks, protocol=protocol)
        assert evaluate_maps(halves, masks, protocol=protocol) == expected


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_maps_that_are_not_finite_are_refused_by_number(bad):
    maps, masks = random_category(0)
    maps[3, 5, 5] = bad
    with pytest.raises(ValueError, match=r"1 of 6 anomaly maps hold NaN or infinite .*number 3"):
        evaluate_maps(maps, masks)


def test_inputs_are_left_untouched():
    maps, masks = random_category(0)
    evaluate_maps(maps, masks)
    for before, after in zip(random_category(0), (maps, masks), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"maps": np.zeros((2, 4))}, r"shape \(2, 4\)"),
        ({"maps": np.zeros((0, 4, 4))}, r"shape \(0, 4, 4\)"),
        ({"masks": np.zeros((3, 2, 3), dtype=bool)}, "resize the masks"),
        ({"labels": [True]}, "1 labels for 3 anomaly maps"),
        ({"masks": None}, "Neither masks nor labels"),
        ({"protocol": "fast"}, "Unknown protocol 'fast'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    maps, masks = three_images()
    with pytest.raises(ValueError, match=message):
        evaluate_maps(**({"maps": maps, "masks": masks} | arguments))
