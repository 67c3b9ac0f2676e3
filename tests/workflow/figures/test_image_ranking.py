"""Image metrics, their intervals and curves, against scikit-learn and scipy."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import auc, average_precision_score, f1_score, precision_recall_curve, roc_auc_score

from mambaad_demo.workflow.figures.bootstrap import stratified_draws
from mambaad_demo.workflow.figures.image_ranking import IMAGE_METRICS, image_ranking


def scored(n_good=60, n_defect=30, *, levels=None, seed=0):
    """(n,) scores, shuffled, and what they belong to; `levels` makes ties."""
    random = np.random.default_rng(seed)
    scores = np.concatenate([random.normal(0, 1, n_good), random.normal(1, 1, n_defect)])
    is_defective = np.arange(n_good + n_defect) >= n_good
    if levels:
        scores = np.round(scores * levels) / levels
    order = random.permutation(len(scores))
    return scores[order], is_defective[order]


def best_f1(truth, scores):
    precision, recall, _ = precision_recall_curve(truth, scores)
    return (2 * precision * recall / np.maximum(precision + recall, 1e-9)).max()


@pytest.mark.parametrize("levels", [None, 2])
def test_metrics_equal_scikit_learn(levels):
    scores, is_defective = scored(levels=levels)
    found = {name: estimate.value for name, estimate in image_ranking(scores, is_defective).metrics.items()}
    assert found == pytest.approx(
        {
            "image_auroc": roc_auc_score(is_defective, scores),
            "image_ap": average_precision_score(is_defective, scores),
            "image_f1_max": max(f1_score(is_defective, scores >= limit) for limit in scores),
        }
    )


@pytest.mark.parametrize("levels", [None, 2])
def test_the_interval_of_auroc_is_the_percentile_bootstrap_of_scipy(levels):
    """Both draw 2000 times; with a standard error of 0.025, an end varies by 0.0015 from seed to seed."""
    scores, is_defective = scored(300, 150, levels=levels)

    def auroc(defective, good, axis=-1):
        return stats.mannwhitneyu(defective, good, axis=axis).statistic / (
            defective.shape[axis] * good.shape[axis]
        )

    expected = stats.bootstrap(
        (scores[is_defective], scores[~is_defective]),
        auroc,
        method="percentile",
        n_resamples=2000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    found = image_ranking(scores, is_defective).metrics["image_auroc"].interval
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.006)


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("image_auroc", roc_auc_score),
        ("image_ap", average_precision_score),
        ("image_f1_max", best_f1),
    ],
)
def test_each_draw_is_measured_as_scikit_learn_would(name, metric, monkeypatch):
    monkeypatch.setattr("mambaad_demo.workflow.figures.bootstrap.RESAMPLES", 250)
    scores, is_defective = scored(12, 9, levels=3)
    (draws,) = stratified_draws(is_defective)
    values = [
        metric(np.repeat(is_defective, draw.astype(int)), np.repeat(scores, draw.astype(int)))
        for draw in draws
    ]
    found = image_ranking(scores, is_defective).metrics[name].interval
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))


def test_draws_keep_the_number_of_good_and_defective_pictures():
    is_defective = np.arange(20) < 6
    for draws in stratified_draws(is_defective):
        assert (draws[:, is_defective].sum(axis=1) == 6).all()
        assert (draws[:, ~is_defective].sum(axis=1) == 14).all()


def test_the_same_pictures_always_have_the_same_interval():
    assert image_ranking(*scored()).metrics == image_ranking(*scored()).metrics


def test_fewer_than_five_pictures_of_a_kind_have_no_interval_and_say_so():
    estimate = image_ranking(*scored(60, 4)).metrics["image_auroc"]
    assert estimate.interval.low is None
    assert "fewer than 5" in estimate.reason


def test_a_perfect_ranking_has_no_interval_of_no_width():
    is_defective = np.arange(20) >= 10
    estimate = image_ranking(np.arange(20.0), is_defective).metrics["image_auroc"]
    assert (estimate.value, estimate.interval.low) == (1.0, None)
    assert "the same" in estimate.reason


@pytest.mark.parametrize("labels", [[], [True] * 6, [False] * 6])
def test_without_both_kinds_everything_is_undefined_and_says_why(labels):
    ranking = image_ranking(np.arange(float(len(labels))), np.array(labels, bool))
    assert set(ranking.metrics) == set(IMAGE_METRICS)
    assert all(one.interval is None and one.reason for one in ranking.metrics.values())
    assert (ranking.roc, ranking.precision_recall) == (None, None)


def test_the_area_under_the_roc_curve_is_the_auroc():
    ranking = image_ranking(*scored())
    assert auc(ranking.roc.x, ranking.roc.y) == pytest.approx(ranking.metrics["image_auroc"].value)


def test_curves_of_many_pictures_are_thinned_to_points_that_lie_on_them():
    scores, is_defective = scored(1500, 1000)
    curve = image_ranking(scores, is_defective).roc
    assert len(curve.x) <= 500
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    good, bad = np.sort(scores[~is_defective]), np.sort(scores[is_defective])
    passing = 1 - np.searchsorted(bad, scores) / len(bad)
    alarms = 1 - np.searchsorted(good, scores) / len(good)
    on_curve = set(zip(alarms.round(9), passing.round(9), strict=True)) | {(0, 0)}
    assert {*zip(curve.x.round(9), curve.y.round(9), strict=True)} <= on_curve
