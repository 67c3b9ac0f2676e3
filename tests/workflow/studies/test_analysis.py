"""Figures of a repeatability study, against hand-made tables and against libraries."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from mambaad_demo.workflow.studies.analysis import effects, scatter, steady, straddled
from mambaad_demo.workflow.studies.variations import Variation
from tests.workflow.studies.line import part


def test_the_share_of_steady_parts_has_an_exact_interval():
    parts = [part(0.5, 0.6, 0.7), part(0.5, 0.9, 0.7), part(0.9, 1.1, 1.2), part(2.0, 3.0, 4.0)]
    expected = stats.binomtest(2, 4).proportion_ci(0.95, method="exact")
    found = steady(parts)
    assert (found.count, found.total) == (2, 4)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_scatter_by_hand():
    found = scatter([part(0.4, 0.6), part(1.0, 1.2, 1.4)])
    assert found.degrees == 3
    assert found.value == pytest.approx(np.sqrt((0.02 + 0.08) / 3))
    assert found.low == pytest.approx(np.sqrt(0.10 / stats.chi2.ppf(0.975, 3)))
    assert found.high == pytest.approx(np.sqrt(0.10 / stats.chi2.ppf(0.025, 3)))


def test_scatter_is_the_residual_of_an_analysis_of_variance():
    generator = np.random.default_rng(0)
    table = generator.normal(generator.uniform(0.5, 2.0, (8, 1)), 0.05, (8, 5))
    long = pd.DataFrame({"score": table.ravel(), "part": np.repeat(np.arange(8), 5)})
    residual = anova_lm(ols("score ~ C(part)", long).fit()).loc["Residual", "mean_sq"]
    assert scatter([part(*row) for row in table]).value == pytest.approx(np.sqrt(residual))


def test_shots_that_score_alike_do_not_scatter():
    found = scatter([part(0.5, 0.5), part(1.5, 1.5)])
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("multiples", "limits"),
    [
        ((0.5, 0.7), ()),
        ((0.7, 0.9), ("check",)),
        ((0.9, 1.1), ("reject",)),
        ((0.7, 1.0), ("check", "reject")),
        ((1.0, 9.0), ()),  # who reaches the limit is beyond it
    ],
)
def test_a_part_straddles_the_limits_that_its_scores_lie_on_both_sides_of(multiples, limits):
    assert straddled(part(*multiples)) == limits


def test_the_variation_that_moves_scores_most_comes_first():
    parts = [
        part(0.5, 0.5, alone={Variation.SHIFT: 0.6, Variation.NOISE: 0.5, Variation.JPEG: 0.9}),
        part(1.0, 1.0, alone={Variation.SHIFT: 0.7, Variation.NOISE: 1.1, Variation.JPEG: 1.2}),
    ]
    jpeg, shift, noise = effects(parts)
    assert [jpeg.variation, shift.variation, noise.variation] == [
        Variation.JPEG,
        Variation.SHIFT,
        Variation.NOISE,
    ]
    assert (shift.mean, shift.mean_size, shift.largest) == pytest.approx((-0.1, 0.2, 0.3))
    assert shift.verdicts_changed == 1  # 0.7 is accepted, 1.0 was rejected
    assert (jpeg.mean, jpeg.mean_size, jpeg.verdicts_changed) == pytest.approx((0.3, 0.3, 1))
    assert noise.parts == 2


def test_without_parts_and_without_variations_there_is_nothing_to_say():
    assert steady([]) is None
    assert scatter([]) is None
    assert effects([part(0.5, 0.6)]) == []
