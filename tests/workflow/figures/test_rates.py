"""False rejects, missed defects and the table of verdicts."""

import numpy as np
import pytest
from scipy import stats

from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.pipeline.prediction import Limits, Verdict
from mambaad_demo.storage.inspections import inspections
from mambaad_demo.storage.labels import labeled_images
from mambaad_demo.workflow.figures.labeled_scores import labeled_set, versions
from mambaad_demo.workflow.figures.rates import confusion, error_rates, limit_sweep

GOOD = [0.1] * 20 + [0.45] * 3 + [0.55] * 2
DEFECTIVE = [0.2] * 1 + [0.42] * 2 + [0.7] * 7


def labeled(store):
    found = inspections(store.workspace)
    return labeled_set(versions(found)[0], found, labeled_images(store.workspace))


@pytest.fixture
def filled(store):
    for score in GOOD:
        store.add(score, Finding.GOOD)
    for score in DEFECTIVE:
        store.add(score, Finding.DEFECT)
    return store


def exact(count, total):
    ends = stats.binomtest(count, total).proportion_ci(method="exact")
    return pytest.approx((count / total, ends.low, ends.high))


def triple(estimate):
    return estimate.interval.value, estimate.interval.low, estimate.interval.high


def test_rates_and_their_intervals_are_those_of_scipy(filled):
    rates = error_rates(labeled(filled))
    assert triple(rates.false_reject) == exact(2, 25)
    assert triple(rates.false_check) == exact(3, 25)
    assert triple(rates.missed_defect) == exact(1, 10)
    assert (rates.n_good, rates.n_defect, rates.n_without_limits) == (25, 10, 0)


def test_verdicts_are_counted_by_what_people_say(filled):
    filled.add(0.9, Finding.UNSURE)
    divided = filled.add(0.9, Finding.DEFECT)
    filled.say(divided, Finding.GOOD, reviewer="noor")

    counts = confusion(labeled(filled))

    assert counts.good == {Verdict.ACCEPT: 20, Verdict.CHECK: 3, Verdict.REJECT: 2}
    assert counts.defective == {Verdict.ACCEPT: 1, Verdict.CHECK: 2, Verdict.REJECT: 7}
    assert (counts.unsure, counts.divided) == ({Verdict.REJECT: 1}, {Verdict.REJECT: 1})
    assert counts.to_json()["unsure"] == {"accept": 0, "check": 0, "reject": 1}


def test_at_the_limits_in_force_the_sweep_has_the_rates_of_the_verdicts(filled):
    pictures = labeled(filled)
    sweep, rates = limit_sweep(pictures), error_rates(pictures)
    (here,) = np.flatnonzero(sweep.factors == 1.0)
    for band, estimate in (
        (sweep.false_reject, rates.false_reject),
        (sweep.missed_defect, rates.missed_defect),
    ):
        assert (band.value[here], band.low[here], band.high[here]) == pytest.approx(triple(estimate))


def test_every_step_of_the_sweep_is_a_count_with_its_exact_interval(filled):
    sweep = limit_sweep(labeled(filled))
    for factor, value, low, high in zip(
        sweep.factors,
        sweep.missed_defect.value,
        sweep.missed_defect.low,
        sweep.missed_defect.high,
        strict=True,
    ):
        missed = sum(score < factor * 0.4 for score in DEFECTIVE)
        assert (value, low, high) == exact(missed, len(DEFECTIVE))


def test_higher_limits_reject_fewer_good_parts_and_miss_more_defects(filled):
    sweep = limit_sweep(labeled(filled))
    assert (np.diff(sweep.factors) > 0).all()
    assert (np.diff(sweep.false_reject.value) <= 0).all()
    assert (np.diff(sweep.missed_defect.value) >= 0).all()
    assert sweep.false_reject.value[-1] == 0


def test_each_picture_is_held_against_its_own_limits(store):
    store.add(0.55, Finding.GOOD)
    store.add(0.55, Finding.GOOD, limits=Limits(check=0.8, reject=1.0))
    pictures = labeled(store)
    sweep = limit_sweep(pictures)
    assert error_rates(pictures).false_reject.value == 0.5
    assert sweep.false_reject.value[sweep.factors == 1.0] == 0.5
    assert sweep.missed_defect is None


def test_pictures_without_limits_are_left_out_and_counted(store):
    store.add(0.9, Finding.GOOD, limits=Limits())
    pictures = labeled(store)
    rates = error_rates(pictures)
    assert (rates.n_good, rates.n_without_limits, rates.false_reject.value) == (0, 1, None)
    assert rates.false_reject.reason
    assert limit_sweep(pictures) is None
