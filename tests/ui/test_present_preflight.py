"""What the check of a good set found, as markup."""

import re

import pytest

from mambaad_demo.pipeline.good_set_outliers import Finding
from mambaad_demo.ui import present_preflight
from mambaad_demo.ui.good_set_look import MOST_SHOWN, Look, Pace, named
from mambaad_demo.ui.told import Told
from tests.ui.trainings import ESTIMATE, good_set, odd

HOSTILE = '"><img src=x onerror=alert(1)>.png'


def html(thumbnails=None, **changes):
    return present_preflight.report_html(Look(report=good_set(**changes), thumbnails=thumbnails or {}))


def test_a_faultless_set_shows_its_numbers_and_nothing_to_leave_out():
    shown = html()
    assert "31 photos" in shown
    assert (
        "about three quarters to learn from, the others to choose the best state and to set limits" in shown
    )
    assert "320 × 427 px (31)" in shown
    assert "data-leave" not in shown
    assert "problem" not in shown


def test_a_set_that_cannot_be_trained_on_says_why_as_an_alert():
    shown = html(count=3, usable=3)
    assert 'class="problem" role="alert"' in shown
    assert "3 photos can be used" in shown
    assert "will be used" not in shown


def test_odd_photos_come_with_picture_reason_and_box():
    shown = html({"a.png": b"jpeg"}, odd=odd("a.png", "b.png"))
    assert shown.count("data:image/jpeg") == 1
    assert shown.count("2.7 times as unlike") == 2
    assert re.findall(r'data-leave="([^"]+)"', shown) == ["a.png", "b.png"]


def test_what_is_said_beside_photos_is_not_said_twice():
    shown = html(odd=odd("a.png"))
    assert shown.count("This one of your good parts looks odd") == 1
    assert 'class="warning"' not in shown


def test_of_copies_the_first_is_the_one_to_keep():
    shown = html(duplicates=(("a.png", "b.png", "c.png"),))
    boxes = re.findall(r'<input type="checkbox" data-leave="([^"]+)"[^>]*?( data-first)?>', shown)
    assert boxes == [("a.png", " data-first"), ("b.png", ""), ("c.png", "")]


def test_every_kind_of_finding_has_its_own_group():
    found = (Finding("a.png", 0.1, "words"),)
    shown = html(odd=found, blurred=found, exposure=found, blank=("a.png",), duplicates=(("a.png", "b.png"),))
    assert shown.count("<h4>") == 5


def test_what_cannot_be_read_is_left_out_without_asking():
    shown = html(refused=(("bad.png", "It is damaged."),))
    assert "bad.png: It is damaged." in shown
    assert re.search(r"<input[^>]*hidden checked data-leave=\"bad.png\" data-refused>", shown)


def test_strange_names_are_text_everywhere():
    shown = html(
        refused=((HOSTILE, HOSTILE),), odd=odd(HOSTILE), duplicates=((HOSTILE, HOSTILE),), blank=(HOSTILE,)
    )
    assert "<img src=x" not in shown
    assert "&lt;img src=x" in shown


def test_only_so_many_photos_are_drawn_each_of_them_once():
    names = [f"{number}.png" for number in range(MOST_SHOWN + 10)]
    report = good_set(odd=odd(*names), duplicates=(tuple(names),))
    assert named(report) == names[:MOST_SHOWN]


def test_progress_counts_where_somebody_does():
    assert "Reading the photos, 3 of 31" in present_preflight.progress_html(Told("Reading the photos", 3, 31))
    assert "value" not in present_preflight.progress_html(Told("Drawing what stands out"))


def test_the_estimate_says_steps_start_and_memory():
    shown = present_preflight.estimate_html(Pace(estimate=ESTIMATE, photos=31), "10")
    assert "About 666 steps in 10 min, after 18 s of reading, with 1.4 GB of memory" in shown


def test_the_estimate_grows_with_the_pictures_that_are_made_of_each_photo():
    shown = present_preflight.estimate_html(Pace(estimate=ESTIMATE, photos=400), "10", variants=7)
    assert "after 16 min of reading, with 5.2 GB of memory" in shown


@pytest.mark.parametrize("minutes", [None, "", "ten", 0, -3, "inf", "nan"])
def test_without_a_sensible_budget_nothing_is_estimated(minutes):
    assert "steps" not in present_preflight.estimate_html(Pace(estimate=ESTIMATE, photos=31), minutes)


def test_an_estimate_that_failed_says_why():
    assert "No memory &lt;b&gt;" in present_preflight.estimate_html(None, "10", problem="No memory <b>")
    assert "Measuring" in present_preflight.estimate_html(None, "10", is_measuring=True)
