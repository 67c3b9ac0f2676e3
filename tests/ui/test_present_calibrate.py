"""Limits as HTML, sentences and a chart."""

from dataclasses import replace

import numpy as np
import pytest

from mambaad_demo.hub.schemas import Rates
from mambaad_demo.pipeline.calibration import aimed_at, limits_from_scores, moved_to
from mambaad_demo.pipeline.prediction import Limits
from mambaad_demo.storage.limits import Source
from mambaad_demo.ui import present_calibrate
from mambaad_demo.ui.present_calibrate_figure import histogram_figure
from mambaad_demo.workflow.calibrating import Measured
from mambaad_demo.workflow.limit_overview import overview
from tests.ui.fakes import calibration
from tests.workflow.gray_line import line_predictor
from tests.workflow.stored import workspace

__all__ = ["workspace"]

SCORES = tuple(np.sort(np.exp(np.random.default_rng(1).normal(-2, 0.2, 24))).tolist())


def good(scores=SCORES, rates=Rates(check=0.05, reject=0.02)):  # noqa: B008
    known = calibration().model_copy(
        update={"scores": scores, "images": len(scores), "embedding_distances": (1.0,) * len(scores)}
    )
    return aimed_at(known, rates)


@pytest.fixture
def seen(workspace):
    """The overview of limits that are tried on."""
    predictor = line_predictor()

    def look(known, *, is_moved=False):
        tried = Measured(category="gray", tiles=1, calibration=known, source=Source.PHOTOS, is_moved=is_moved)
        return overview(workspace, predictor, "gray", tried)

    return look


def test_an_aim_is_told_from_what_24_photos_can_show(seen):
    aim, shown, needed = present_calibrate.promise_text(seen(good()))
    assert aim.startswith("The reject limit aims at 2 % false rejects, the check limit at 5 %")
    assert "nothing better than < 11.7 % false rejects can be shown" in shown
    assert "861 good photos in all: 837 more" in needed


def test_a_limit_that_spares_the_highest_good_part_says_so(seen):
    outlier = (*SCORES[:-1], 3 * SCORES[-1])
    assert limits_from_scores(outlier, Rates(check=0.05, reject=0.02)).reject > 3 * SCORES[-1]
    aim, *_ = present_calibrate.promise_text(seen(good(outlier)))
    assert "A rate of 2 % was asked for; the limit stands higher" in aim


def test_limits_that_reject_good_parts_give_the_interval_of_their_rate(seen):
    moved = moved_to(good(), Limits(check=SCORES[-3], reject=SCORES[-2]))
    _, shown, _ = present_calibrate.promise_text(seen(moved, is_moved=True))
    assert "2 of these 24 good parts would be rejected" in shown
    assert "between 1.03 % and 27 %" in shown


def test_too_few_good_parts_promise_nothing(seen):
    known = good().model_copy(update={"scores": SCORES[:2], "images": 2, "embedding_distances": (1.0, 1.0)})
    assert len(present_calibrate.promise_text(seen(known, is_moved=True))) == 1


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.117, "11.7 %"), (0.05, "5 %"), (0.005, "0.5 %"), (0.00017, "0.017 %")],
)
def test_shares_have_as_many_digits_as_help(share, text):
    assert present_calibrate.percent(share) == text


def test_the_chart_shows_both_limits_and_the_good_parts(seen):
    look = seen(good())
    figure = histogram_figure(look)
    assert [int(np.sum(trace.y)) for trace in figure.data] == [24]
    lines = [shape.x0 for shape in figure.layout.shapes if shape.type == "line"]
    assert lines == pytest.approx([look.limits.check, look.limits.reject])
    bands = [(shape.x0, shape.x1) for shape in figure.layout.shapes if shape.type == "rect"]
    assert bands[0][1] == bands[1][0] == look.limits.check
    assert bands[1][1] == bands[2][0] == look.limits.reject


def test_a_long_list_of_refusals_is_cut_and_escaped():
    plain = Measured(category="gray", tiles=1, calibration=good(), source=Source.PHOTOS)
    measured = replace(plain, refused=(("<b>", "no & never"),) * 25, notes=("<i> was left out.",))
    markup = present_calibrate.left_out_html(measured)
    assert markup.count("<li>") == 21
    assert "and 5 more" in markup
    assert "&lt;b&gt;" in markup
    assert "&lt;i&gt; was left out." in markup
    assert present_calibrate.left_out_html(plain).strip() == ""


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "None labeled good yet"),
        (500, "Use 500 labeled good"),
        (501, "Use the newest 500 of 501 labeled good"),
    ],
)
def test_the_button_says_how_many_labels_it_uses(count, text):
    assert present_calibrate.labeled_text(count) == text
