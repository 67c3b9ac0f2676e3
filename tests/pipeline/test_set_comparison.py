"""Checkpoints on a set of pictures: ranking, rejects, and intervals that say how sure that is."""

import gc
import io
import json
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import binomtest, mannwhitneyu

from mambaad_demo.data.picture_sets import Picture
from mambaad_demo.errors import TooFewImagesError, UnknownCategoryError, UnreadableImageError
from mambaad_demo.hub.schemas import Rates
from mambaad_demo.pipeline.calibration import DEFAULT_RATES
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.pipeline.set_comparison import Progress, SetComparison, SetResult, compare_set
from tests.pipeline.conftest import gray_images

LENIENT = Rates(check=0.01, reject=0.0001)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def picture(name, pixels, is_anomalous=None):
    data = png(pixels)
    return Picture(name=name, is_anomalous=is_anomalous, read=lambda: data)


@pytest.fixture
def labeled():
    """Twelve good gray parts and six with a white square that is larger from one to the next."""
    good = [np.rint(pixels * 255).astype(np.uint8) for pixels in gray_images(18, seed=11)]
    for number, pixels in enumerate(good[12:], 1):
        pixels[10 : 10 + 2 * number, 20:40] = 255
    return [picture(f"{number}.png", pixels, number >= 12) for number, pixels in enumerate(good)]


def last(steps):
    *_, comparison = steps
    assert isinstance(comparison, SetComparison)
    return comparison


def result(multiples, name="one", *, has_limits=True):
    multiples = np.asarray(multiples, float)
    return SetResult(
        checkpoint=name,
        decoder="mambaad",
        multiples=multiples,
        rejected=(multiples >= 1) & has_limits,
        has_limits=has_limits,
    )


def comparison(labels, *results):
    return SetComparison(
        names=tuple(str(number) for number in range(len(results[0].multiples))),
        labels=None if labels is None else np.asarray(labels, bool),
        results=results,
        refused=(),
        rates=DEFAULT_RATES,
    )


def test_progress_comes_before_the_result(predictor, labeled):
    steps = list(compare_set([predictor], labeled, category="gray"))
    assert [(step.done, step.total) for step in steps[:-1]] == [(done, 18) for done in range(19)]
    assert all(isinstance(step, Progress) for step in steps[:-1])


def test_each_picture_has_the_score_and_verdict_that_it_has_alone(predictor, squared, labeled):
    compared = last(compare_set([predictor, squared], labeled, category="gray", rates=LENIENT))
    for one, judged in zip((predictor, squared), compared.results, strict=True):
        limit = one.at_rates(LENIENT).limits("gray").reject
        scores = [one.predict(part.read(), category="gray").image_score for part in labeled]
        np.testing.assert_allclose(judged.multiples, np.array(scores) / limit, rtol=1e-6)
        np.testing.assert_array_equal(judged.rejected, np.array(scores) >= limit)


def test_the_category_of_a_picture_is_what_the_first_checkpoint_suggests(predictor, labeled):
    suggested = last(compare_set([predictor], labeled))
    given_ = last(compare_set([predictor], labeled, category="gray"))
    np.testing.assert_allclose(suggested.results[0].multiples[:12], given_.results[0].multiples[:12])


def test_a_picture_that_cannot_be_read_is_named_and_the_others_are_judged(predictor, labeled):
    def damaged():
        raise UnreadableImageError("zip.png is damaged in the zip file.")

    odd = [
        Picture(name="zip.png", is_anomalous=False, read=damaged),
        Picture(name="text.png", is_anomalous=True, read=lambda: b"no picture"),
    ]
    compared = last(compare_set([predictor], [*labeled[:9], *odd, *labeled[9:]], category="gray"))
    assert compared.names == tuple(part.name for part in labeled)
    assert [name for name, _ in compared.refused] == ["zip.png", "text.png"]
    assert "damaged in the zip file" in compared.refused[0][1]


def test_a_set_of_unreadable_pictures_is_refused(predictor):
    broken = [Picture(name="1.png", is_anomalous=None, read=lambda: b"no picture")]
    with pytest.raises(TooFewImagesError, match="None of the 1 pictures"):
        list(compare_set([predictor], broken))


def test_an_unknown_category_is_refused(predictor, labeled):
    with pytest.raises(UnknownCategoryError, match="lilac"):
        list(compare_set([predictor], labeled, category="lilac"))


def test_a_checkpoint_without_limits_ranks_but_has_no_reject_rate(predictor, uncalibrated, labeled):
    compared = last(compare_set([predictor, uncalibrated], labeled, category=None))
    with_limits, without = compared.results
    assert compared.auroc(without).value == pytest.approx(compared.auroc(with_limits).value)
    assert compared.reject_rate(without) is None
    assert compared.reject_difference(with_limits, without) is None


def test_one_kind_of_label_is_none(predictor, labeled):
    compared = last(compare_set([predictor], labeled[:12], category="gray"))
    assert compared.labels is None
    assert compared.auroc(compared.results[0]) is None
    assert compared.reject_rate(compared.results[0]).value == 0


@settings(derandomize=True, max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=4, max_size=20), st.randoms(use_true_random=False))
def test_auroc_is_the_chance_that_a_defective_part_scores_higher(scores, random):
    labels = [True, True, False, False, *(random.random() < 0.5 for _ in scores[4:])]
    one = result(scores)
    statistic = mannwhitneyu(
        [s for s, is_bad in zip(scores, labels, strict=True) if is_bad],
        [s for s, is_bad in zip(scores, labels, strict=True) if not is_bad],
    ).statistic
    interval = comparison(labels, one).auroc(one)
    assert interval.value == pytest.approx(statistic / (sum(labels) * (len(labels) - sum(labels))))
    if interval.low is not None:
        assert interval.low <= interval.value <= interval.high


def test_a_difference_is_paired_hence_narrower_than_its_parts():
    generator = np.random.default_rng(0)
    labels = np.arange(80) >= 40
    shared = generator.normal(size=80) + labels
    one, other = result(shared), result(shared + generator.normal(0, 0.05, 80), "other")
    compared = comparison(labels, one, other)
    difference, alone = compared.auroc_difference(one, other), compared.auroc(one)
    assert difference.high - difference.low < 0.25 * (alone.high - alone.low)


def test_a_clear_difference_is_apart_from_zero_and_none_is_not():
    labels = np.arange(60) >= 30
    generator = np.random.default_rng(1)
    good, blind = result(labels + generator.normal(0, 0.2, 60)), result(generator.normal(size=60), "blind")
    compared = comparison(labels, good, blind)
    assert compared.auroc_difference(good, blind).is_apart_from_zero
    assert compared.auroc_difference(good, blind).value == pytest.approx(
        -compared.auroc_difference(blind, good).value
    )
    assert not compared.auroc_difference(good, good).is_apart_from_zero


def test_intervals_of_a_difference_hold_the_truth_about_as_often_as_they_claim():
    """Of 100 sets in which both checkpoints are equally good, the interval excludes zero in a few."""
    generator = np.random.default_rng(2)
    labels = np.arange(40) >= 20
    wrong = 0
    for _ in range(100):
        parts = generator.normal(size=40) + labels
        one, other = (result(parts + generator.normal(0, 0.7, 40), name) for name in ("one", "other"))
        wrong += comparison(labels, one, other).auroc_difference(one, other).is_apart_from_zero
    assert 1 <= wrong <= 12


def test_the_reject_rate_has_wilsons_interval():
    rate = comparison(None, result([2.0, *[0.5] * 9])).reject_rate(result([2.0, *[0.5] * 9]))
    assert (rate.value, rate.low, rate.high) == pytest.approx((0.1, 0.0179, 0.4042), abs=1e-4)


def test_false_rejects_are_counted_among_good_parts_alone():
    one = result([0.5, 1.5, 2.0, 2.0])
    compared = comparison([False, False, True, True], one)
    assert compared.reject_rate(one, anomalous=False).value == 0.5
    assert compared.reject_rate(one, anomalous=True).value == 1
    assert compared.reject_rate(one).value == 0.75


@pytest.mark.parametrize(("good", "defective"), [(1, 30), (4, 30), (30, 4), (30, 30)])
def test_few_parts_or_parts_that_all_say_the_same_give_auroc_without_an_interval(good, defective):
    one = result([0.5] * good + [1.5] * defective)
    auroc = comparison([False] * good + [True] * defective, one).auroc(one)
    assert (auroc.value, auroc.low, auroc.high) == (1.0, None, None)


@pytest.mark.parametrize(
    ("more", "fewer", "total", "is_certain"),
    [
        (0, 0, 16, False),
        (2, 0, 2, False),
        (4, 0, 16, False),
        (5, 0, 50, False),
        (6, 0, 50, True),
        (30, 5, 99, True),
    ],
)
def test_a_difference_in_rejects_is_claimed_only_where_an_exact_test_claims_it(
    more, fewer, total, is_certain
):
    one, other = np.full(total, 0.5), np.full(total, 0.5)
    one[:more], other[more : more + fewer] = 2, 2
    one, other = result(one), result(other, "other")
    difference = comparison(None, one, other).reject_difference(one, other)
    assert difference.value == pytest.approx((more - fewer) / total)
    assert difference.low <= difference.value <= difference.high
    assert difference.high - difference.low > 0.05
    assert difference.is_apart_from_zero == is_certain
    assert (binomtest(more, max(more + fewer, 1)).pvalue < 0.05 and more + fewer > 0) == is_certain


def test_no_predictions_are_kept_while_a_set_is_judged(predictor, labeled, monkeypatch):
    alive = []
    whole = Predictor.predict_batch

    def watched(self, images, **options):
        answers = whole(self, images, **options)
        alive.extend(weakref.ref(answer.anomaly_map) for answer in answers)
        return answers

    monkeypatch.setattr(Predictor, "predict_batch", watched)
    steps = compare_set([predictor], labeled, category="gray")
    for _ in range(10):
        next(steps)
    gc.collect()
    assert len(alive) == 9
    assert sum(ref() is not None for ref in alive) <= 1


def test_a_checkpoint_without_limits_takes_none_from_those_behind_it(predictor, uncalibrated, labeled):
    compared = last(compare_set([uncalibrated, predictor], labeled))
    assert [judged.has_limits for judged in compared.results] == [False, True]


def test_the_same_set_gives_the_same_intervals():
    labels = np.arange(30) >= 15
    one = result(np.random.default_rng(3).normal(size=30) + labels)
    assert comparison(labels, one).auroc(one) == comparison(labels, one).auroc(one)


def test_the_report_is_json_with_everything_in_it(predictor, squared, labeled):
    report = json.loads(json.dumps(last(compare_set([predictor, squared], labeled)).to_json()))
    assert report["images"] == 18
    assert [entry["checkpoint"] for entry in report["checkpoints"]] == ["stub", "stub"]
    assert report["checkpoints"][0]["auroc"]["value"] == 1.0
    assert report["checkpoints"][0]["detection_rate"]["value"] == 1.0
    assert len(report["differences"]) == 1
    assert report["pictures"][12] == {
        "name": "12.png",
        "anomalous": True,
        "multiples": report["pictures"][12]["multiples"],
        "rejected": [True, True],
    }
    assert report["refused"] == []
