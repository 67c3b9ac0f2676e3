"""What changed since the first pictures, and how sure that is."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from mambaad_demo.pipeline.labeling import Finding, Label
from mambaad_demo.pipeline.prediction import Limits
from mambaad_demo.storage.inspections import inspections
from mambaad_demo.storage.labels import decide, labeled_images
from mambaad_demo.workflow.figures.drift import FEWEST, REFERENCE, WINDOW, drift
from mambaad_demo.workflow.figures.labeled_scores import labeled_set, versions


def followed(store):
    found = inspections(store.workspace)
    return drift(labeled_set(versions(found)[0], found, labeled_images(store.workspace)))


def run(store, count, *, gray=128, distance=1.0, finding=None, seed=0, **how):
    """Pictures with a little noise in everything."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        image = store.inspect(
            float(random.uniform(0.1, 0.3)),
            gray=gray + int(random.integers(-9, 10)),
            distance=None if distance is None else distance + float(random.uniform(-0.2, 0.2)),
            **how,
        )
        if finding is not None:
            store.say(image, finding)


def named(found):
    return {series.name: series for series in found.series}


def test_p_values_are_those_of_scipy_corrected_by_statsmodels(store):
    run(store, 30, finding=Finding.GOOD)
    run(store, 30, gray=140, seed=1)

    found = named(followed(store))

    bare = [stats.mannwhitneyu(series.values[:30], series.values[30:]).pvalue for series in found.values()]
    corrected = multipletests(bare, method="bonferroni")[1]
    assert [series.shift.p_value for series in found.values()] == pytest.approx(corrected.tolist())
    assert [name for name, series in found.items() if series.shift.is_told] == ["brightness"]
    assert found["brightness"].shift.now > found["brightness"].shift.before


def test_nothing_is_told_where_nothing_changed(store):
    run(store, 40, finding=Finding.GOOD)
    run(store, 40, seed=1)
    assert not any(series.shift.is_told for series in followed(store).series)


def test_a_step_of_the_embedding_is_told(store):
    run(store, 30, finding=Finding.GOOD)
    run(store, 30, distance=1.6, seed=1)
    assert named(followed(store))["embedding"].shift.is_told


def test_labels_move_nothing(store):
    run(store, 40)
    bare = followed(store)
    for label, one in zip((Finding.GOOD, Finding.DEFECT) * 20, inspections(store.workspace), strict=True):
        decide(store.workspace, one.image_id, Label(finding=label), reviewer="mira")
    for before, after in zip(bare.series, followed(store).series, strict=True):
        assert (before.shift, before.band) == (after.shift, after.band)


def test_too_few_pictures_make_no_reference(store):
    run(store, 2 * FEWEST - 1)
    found = followed(store)
    assert (found.n_reference, found.reference_from) == (0, None)
    assert all(series.band is None and series.shift is None for series in found.series)


def test_the_reference_is_the_first_pictures_and_its_band_holds_nine_of_ten(store):
    run(store, 2 * REFERENCE + 10)
    found = followed(store)
    assert found.n_reference == REFERENCE
    brightness = named(found)["brightness"]
    expected = np.quantile(brightness.values[:REFERENCE], [0.05, 0.95])
    assert brightness.band == pytest.approx(tuple(expected))
    assert found.reference_from == brightness.times[0]


def test_medians_roll_over_each_picture_and_those_before_it(store):
    run(store, WINDOW + 3)
    score = named(followed(store))["score"]
    assert len(score.medians) == 4
    assert score.medians[-1] == pytest.approx(np.median(score.values[-WINDOW:]))


def test_the_same_picture_again_says_nothing_new(store):
    image = store.inspect(0.2)
    store.inspect(0.2, same_as=image)
    assert len(named(followed(store))["score"].values) == 1


def test_what_is_unknown_has_no_series(store):
    run(store, 3, distance=None, limits=Limits())
    assert set(named(followed(store))) == {"brightness", "sharpness"}


def test_nothing_inspected_has_no_series(store):
    image = store.inspect(0.2)
    found = inspections(store.workspace)
    assert image
    assert drift(labeled_set(versions(found)[0], [], [])).series == ()
