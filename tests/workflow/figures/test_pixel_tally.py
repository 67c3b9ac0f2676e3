"""Counts over thresholds stand in for all pixels: how far off they are, and that draws of them are right."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.metrics import precision_recall_curve, roc_auc_score, roc_curve

from mambaad_demo.ops.metrics import evaluate_maps
from mambaad_demo.workflow.figures import bootstrap
from mambaad_demo.workflow.figures.bootstrap import stratified_draws
from mambaad_demo.workflow.figures.pixel_tally import PixelTally

QUANTIZATION = 0.002
"""How far a metric of the counts may be from the exact one, as the module promises."""
NAMES = {"pixel_auroc": "auroc", "pixel_ap": "ap", "pixel_f1_max": "f1_max", "au_pro": "au_pro"}


def category(seed=0, *, count=14, side=48, contrast=0.5, levels=None):
    """Smooth maps whose defects (in half of them, one to three a picture) score higher by chance; with
    `levels`, of few distinct values, none of them rare."""
    random = np.random.default_rng(seed)
    masks = np.zeros((count, side, side), bool)
    for mask in masks[: count // 2]:
        for _ in range(random.integers(1, 4)):
            top, left, size = *random.integers(0, side - 12, 2), random.integers(2, 12)
            mask[top : top + size, left : left + size] = True
    noise = np.stack([gaussian_filter(random.random((side, side)), 2) for _ in masks])
    lift = random.uniform(0, contrast, count)[:, None, None] * gaussian_filter(masks * 1.0, (0, 1, 1))
    maps = 5 * noise + lift
    if levels:
        maps = np.round(np.clip(maps, *np.quantile(maps, [0.02, 0.98])) * levels) / levels
    return maps.astype(np.float32), masks


def metrics(maps, masks):
    found = PixelTally.of(maps, masks).passing(np.ones((1, len(maps)))).metrics()
    return {name: found[short][0] for name, short in NAMES.items()}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("contrast", [0.0, 0.5, 3.0])
def test_metrics_of_the_counts_are_as_near_to_the_exact_ones_as_promised(seed, contrast):
    maps, masks = category(seed, contrast=contrast)
    exact = evaluate_maps(maps, masks)
    assert metrics(maps, masks) == pytest.approx({name: exact[name] for name in NAMES}, abs=QUANTIZATION)


def test_with_few_distinct_values_the_counts_are_exact():
    maps, masks = category(levels=20)
    exact = evaluate_maps(maps, masks)
    assert metrics(maps, masks) == pytest.approx({name: exact[name] for name in NAMES}, abs=1e-9)


def test_points_of_the_curves_are_those_of_scikit_learn():
    maps, masks = category(levels=20)
    counted = PixelTally.of(maps, masks).passing(np.ones((1, len(maps))))
    alarms, hits, _ = roc_curve(masks.ravel(), maps.ravel(), drop_intermediate=False)
    precision, recall, _ = precision_recall_curve(masks.ravel(), maps.ravel())
    assert counted.alarm_rate[0] == pytest.approx(alarms[1:])
    assert counted.hit_rate[0] == pytest.approx(hits[1:])
    found = dict(zip(counted.hit_rate[0].round(9), counted.precision[0], strict=True))
    expected = dict(zip(recall[::-1].round(9), precision[::-1], strict=True))
    assert found == pytest.approx({at: expected[at] for at in found})


@pytest.mark.parametrize("levels", [20, None])
def test_intervals_are_those_of_measuring_each_draw_exactly(levels, monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 250)
    maps, masks = category(levels=levels)
    kinds = masks.any(axis=(1, 2))
    exact = evaluate_maps(maps, masks)
    (draws,) = stratified_draws(kinds)
    drawn = [
        evaluate_maps(maps[picture], masks[picture])
        for picture in (np.repeat(np.arange(len(maps)), draw.astype(int)) for draw in draws)
    ]

    found = bootstrap.estimates(
        {short: exact[name] for name, short in NAMES.items()}, PixelTally.of(maps, masks), kinds, missing=""
    )

    for name, short in NAMES.items():
        low, high = np.quantile([one[name] for one in drawn], [0.025, 0.975])
        interval = found[short].interval
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-9 if levels else 1e-3)


def test_the_area_under_the_overlap_curve_is_au_pro():
    maps, masks = category()
    tally = PixelTally.of(maps, masks)
    rates = np.append(0, tally.passing(np.ones((1, len(maps)))).alarm_rate[0])
    overlap = np.append(0, tally.mean_overlap)
    grid = np.linspace(0, 0.3, 20_001)
    area = np.trapezoid(np.interp(grid, rates, overlap), grid) / 0.3
    assert area == pytest.approx(evaluate_maps(maps, masks)["au_pro"], abs=QUANTIZATION)


def test_a_picture_that_is_all_defect_has_no_normal_pixels_to_count():
    maps, masks = category(levels=20)
    masks[0] = True
    assert metrics(maps, masks)["pixel_auroc"] == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()))
