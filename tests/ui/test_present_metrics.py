"""Words, tables and charts of the Metrics page."""

import json

import numpy as np
import pytest

from mambaad_demo.ops.metrics import METRICS
from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.pipeline.prediction import Limits
from mambaad_demo.pipeline.set_comparison import Interval
from mambaad_demo.ui import present_metrics
from mambaad_demo.ui import present_metrics_figures as charts
from mambaad_demo.workflow.figures.agreement import Agreement
from mambaad_demo.workflow.figures.estimate import Estimate, undefined, without_interval
from mambaad_demo.workflow.figures.labeled_scores import Version
from mambaad_demo.workflow.figures.pixel_ranking import full_ranking
from mambaad_demo.workflow.figures.summary import overview, product_versions
from tests.workflow.figures.labeled_store import LabeledStore

HOSTILE = "<img src=x onerror=alert(1)>${1}"


@pytest.fixture
def store(tmp_path):
    opened = LabeledStore(tmp_path)
    yield opened
    opened.workspace.database.close()


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A store as `line` fills it; tests only look at it."""
    opened = line(LabeledStore(tmp_path_factory.mktemp("busy")), name=HOSTILE)
    yield opened
    opened.workspace.database.close()


def shown(store, **whose):
    version = product_versions(store.workspace, "gear")[0]
    return overview(store.workspace, "gear", version, **whose)


def line(store, *, good=30, defective=8, newer=25, masked=True, name="part.png"):
    """A store with a reference, defects, newer pictures nobody labeled, and a second reviewer."""
    random = np.random.default_rng(0)
    mask = np.zeros((16, 16), bool)
    mask[4:9, 5:12] = True
    for number in range(good + defective):
        is_bad = number >= good
        anomaly_map = (0.5 * random.random((16, 16)) + 0.015 * is_bad * mask).astype(np.float32)
        image = store.inspect(
            float(anomaly_map.max()), anomaly_map=anomaly_map, name=name, gray=128 + number % 5
        )
        finding = Finding.DEFECT if is_bad else Finding.GOOD
        store.say(image, finding, mask=mask if is_bad and masked else None)
        if number % 2:
            store.say(image, finding, reviewer=HOSTILE)
    for number in range(newer):
        store.inspect(0.2, gray=160 + number % 5)
    return store


def test_figures_carry_their_interval_or_why_there_is_none():
    estimate = Estimate(interval=Interval(value=0.9, low=0.85, high=0.952))
    assert present_metrics.percent_text(estimate) == "90.0 % (85.0 to 95.2)"
    assert present_metrics.percent_text(without_interval(0.9, "few")) == "90.0 %"
    assert present_metrics.kappa_text(undefined("nothing")) == "–"


def test_rates_are_told_per_thousand_with_both_names(store):
    for score in (0.1, 0.1, 0.45, 0.9):
        store.add(score, Finding.GOOD)
    store.add(0.1, Finding.DEFECT, limits=Limits())

    html = present_metrics.rates_html(shown(store))

    assert "False reject (overkill)" in html
    assert "<strong>250</strong>" in html
    assert "6.31 to 806" in html  # one of four, Clopper and Pearson
    assert "There are no defective parts judged by a limit." in html
    assert "1 more were inspected without limits" in html


def test_what_is_left_out_is_counted(store):
    store.add(0.1, Finding.GOOD)
    store.add(0.2, Finding.UNSURE)
    store.say(store.add(0.3, Finding.GOOD), Finding.DEFECT, reviewer="noor")
    store.inspect(0.4)
    html = present_metrics.ground_html(shown(store))
    for expected in ("<dt>unsure, left out</dt><dd>1</dd>", "<dt>divided, left out</dt><dd>1</dd>"):
        assert expected in html
    assert "3 of 4 pictures are labeled" in html
    assert "not seen by this version" not in html


def test_all_seven_metrics_are_named_and_say_what_they_mean(busy):
    page = shown(busy)
    html = present_metrics.metrics_html(page, full_ranking(busy.workspace, page.labeled))
    assert set(present_metrics.METRIC_WORDS) == set(METRICS)
    for name, meaning in present_metrics.METRIC_WORDS.values():
        assert name in html
        assert meaning in html
    assert "pixel metrics on 30 good ones and 8 defective ones with a mask" in html
    assert html.count(" to ") >= len(METRICS)
    assert "being read" not in html


def test_before_maps_are_read_only_image_metrics_are_told(busy):
    html = present_metrics.metrics_html(shown(busy), None)
    assert html.count("maps are being read") == 4
    assert "pixel metrics on" not in html


def test_defects_without_masks_are_told(store):
    page = shown(line(store, masked=False))
    html = present_metrics.metrics_html(page, full_ranking(store.workspace, page.labeled))
    assert "8 defective ones without a mask are left out" in html
    assert "Draw where the defects are" in html


def test_a_shift_is_told_without_a_verdict_on_its_cause(busy):
    html = present_metrics.drift_html(shown(busy).drift)
    assert "differs from the reference" in html
    assert "look at light, camera and parts" in html
    assert "first 31 pictures, good and defective" in html


def test_without_enough_pictures_drift_says_what_it_takes(store):
    html = present_metrics.drift_html(shown(line(store, good=20, newer=3)).drift)
    assert "twice 20 pictures" in html
    assert "<table" not in html


def test_reviewers_are_compared_and_their_names_are_only_text(busy):
    html = present_metrics.agreement_html(shown(busy).agreement)
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert "<img" not in html
    assert "100.0 %" in html
    assert "kappa over 19 pictures with 2 reviewers each" in html


def test_one_reviewer_alone_is_told_how_to_measure_agreement():
    alone = Agreement(pairs=(), group=None, selves=(), n_labeled=3, n_reviewers=1)
    html = present_metrics.agreement_html(alone)
    assert "second person" in html
    assert "1 reviewer of" in html


def test_an_empty_page_says_what_to_do_first(store):
    assert "Batch" in present_metrics.empty_html(None)
    store.inspect(0.2)
    assert "1 picture inspected, none of them labeled" in present_metrics.empty_html(shown(store))


def test_versions_are_told_apart():
    versions = [
        Version(checkpoint="mambaad", sha256="ab" * 32, calibration_sha256=calibration * 32, tiles=tiles)
        for calibration, tiles in (("cd", 1), ("ef", 1), ("cd", 3))
    ]
    choices = present_metrics.version_choices(versions)
    assert len({label for label, _ in choices}) == len({key for _, key in choices}) == 3
    assert choices[2][0] == "mambaad · abababab · limits cdcdcdcd · 3 tiles"


def all_charts(store):
    page = shown(store)
    ranking = full_ranking(store.workspace, page.labeled)
    return [
        charts.sweep_figure(page.sweep),
        charts.roc_figure(ranking.images, ranking.pixels),
        charts.precision_recall_figure(ranking.images, ranking.pixels),
        charts.overlap_figure(ranking.pixels),
        charts.drift_figure(page.drift),
    ]


@pytest.mark.parametrize("how", [{}, {"defective": 0}, {"masked": False}, {"good": 3, "newer": 0}])
def test_charts_hold_numbers_only_and_fit_both_themes(store, how):
    for figure in all_charts(line(store, **how)):
        assert "NaN" not in figure.to_json()
        assert json.loads(figure.to_json())["layout"]["paper_bgcolor"] == "rgba(0,0,0,0)"


def test_curves_over_images_and_pixels_share_a_chart(busy):
    _, roc, precision_recall, overlap, _ = all_charts(busy)
    assert [trace.name for trace in roc.data] == ["images", "pixels"]
    assert [trace.name for trace in precision_recall.data] == ["images", "pixels"]
    assert tuple(overlap.layout.xaxis.range) == (0, 0.3)


def test_the_limit_in_force_is_marked(busy):
    sweep = all_charts(busy)[0]
    assert [shape.x0 for shape in sweep.layout.shapes] == [1]
    bands = [trace for trace in sweep.data if trace.fill == "toself"]
    assert len(bands) == 2


def test_names_of_pictures_are_no_markup_in_charts(busy):
    drift = all_charts(busy)[-1]
    assert "<img" not in drift.to_json()
    assert drift.data[0].customdata[0].startswith("&lt;img")


def test_many_pictures_are_drawn_as_some_of_their_dots(busy, monkeypatch):
    monkeypatch.setattr(charts, "_MOST_DOTS", 10)
    drift = all_charts(busy)[-1]
    assert len(drift.data[0].x) == 10
    assert (drift.data[0].x[0], drift.data[0].x[-1]) == (1, 63)
