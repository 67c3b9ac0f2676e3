"""Trainings and versions as markup and curves."""

import pytest

from mambaad_demo.storage.jobs import JobState
from mambaad_demo.ui import present_train, present_version
from tests.ui.trainings import JUDGMENT, at_step, facts, report_of, status

HOSTILE = "<img src=x onerror=alert(1)>${alert(2)}.png"


@pytest.mark.parametrize(
    ("is_private", "on_zero_gpu", "reason"),
    [(True, False, "visitors share"), (True, True, "ZeroGPU"), (False, True, "ZeroGPU")],
)
def test_a_refusal_to_fine_tune_names_its_reason_and_both_ways_out(is_private, on_zero_gpu, reason):
    words = present_train.refusal_of(is_private=is_private, on_zero_gpu=on_zero_gpu)
    assert reason in words
    for way_out in ("duplicate the Space", "MAMBAAD_SHARED=1", "make demo", "train.finetune_decoder"):
        assert way_out in words
    assert words.split(".")[0] in present_train.off_html(words)


def test_where_people_know_each_other_and_have_a_machine_nothing_is_refused():
    assert present_train.refusal_of(is_private=False, on_zero_gpu=False) == ""


def test_without_a_training_the_page_says_what_to_do():
    assert "No training yet" in present_train.status_html(None)


def test_a_training_at_work_shows_step_share_time_left_and_best_state():
    shown = present_train.status_html(at_step(100))
    assert "cookie, 31 photos" in shown
    assert "step 100 of 400" in shown
    assert 'value="25"' in shown
    assert "about 4 min 30 s left" in shown
    assert "best after step 40" in shown


def test_before_the_first_step_the_bar_claims_no_share():
    shown = present_train.status_html(status())
    assert "reading photos 3 of 31" in shown
    assert "value=" not in shown
    assert "left" not in shown


def test_a_stopped_training_says_what_can_be_done_with_its_best_state():
    stopped = at_step(100, job=facts(JobState.STOPPED), can_finish=True)
    assert "The best state, after step 40, is kept" in present_train.status_html(stopped)
    assert "<progress" not in present_train.status_html(stopped)
    hopeless = status(facts(JobState.STOPPED))
    assert "learned nothing that could be kept" in present_train.status_html(hopeless)


def test_a_failed_training_says_why_and_names_what_was_left_out_as_text():
    failed = status(facts(JobState.FAILED, name=HOSTILE, error=HOSTILE), notes=[f"{HOSTILE} was left out"])
    shown = present_train.status_html(failed)
    assert 'role="alert"' in shown
    assert "1 note<" in shown
    assert "<img" not in shown
    assert shown.count("&lt;img src=x") >= 3


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (75, "1 min 15 s"), (599.6, "10 min"), (7200, "2.0 h")],
)
def test_a_duration_is_said_as_people_say_it(seconds, words):
    assert present_train.duration(seconds) == words


def test_curves_hold_all_points_and_mark_the_best_state():
    figure = present_train.curves_figure(at_step(100))
    learned, held_out, noise, best = figure.data
    assert (len(learned.x), len(held_out.x), len(noise.x)) == (100, 5, 5)
    assert figure.layout.yaxis.type == "log"
    assert (list(best.x), list(best.y)) == ([40], [4.0])


def test_curves_can_be_drawn_before_the_first_validation():
    assert len(present_train.curves_figure(at_step(1)).data) == 3


def test_curves_are_drawn_anew_at_each_validation_and_change_of_state_but_not_at_each_step():
    mark = present_train.drawn_mark(at_step(81))
    assert present_train.drawn_mark(at_step(82)) == mark
    assert present_train.drawn_mark(at_step(100)) != mark
    assert present_train.drawn_mark(at_step(81, job=facts(JobState.STOPPED))) != mark


def test_the_list_of_trainings_tells_names_states_and_places_in_the_queue():
    waiting = facts(JobState.WAITING, id="w")
    choices = present_train.training_choices([waiting, facts()], {"w": 2, facts().id: 0})
    assert choices == [
        ("cookie, 31 photos · 21 Nov 09:30 · 2 before it", "w"),
        ("cookie, 31 photos · 21 Nov 09:30 · running", facts().id),
    ]


def test_previews_and_log_show_strange_names_as_text():
    shown = present_train.previews_html([(HOSTILE, b"jpeg")]) + present_train.log_html(HOSTILE)
    assert "<img src=x" not in shown
    assert shown.count("&lt;img src=x") >= 3
    assert present_train.previews_html([]).strip() == ""


def test_a_version_says_what_its_limits_rest_on():
    shown = present_version.result_html("cookie-1", report_of())
    assert "<dd>cookie-1</dd>" in shown
    assert "8 photos it never learned from" in shown
    assert "0.5 % good parts rejected" in shown
    assert "8 held-out photos say little" in shown


def test_known_parts_that_became_worse_are_marked_and_others_are_not():
    shown = present_version.result_html("cookie-1", report_of())
    cap, nut = shown.index("bottle cap"), shown.index("hex nut")
    assert shown.count("tone-reject") == 1
    assert cap < nut < shown.index("tone-reject")


def test_a_version_that_learned_nothing_or_forgot_limits_says_so():
    report = report_of(best_step=0, not_rehearsed=["old <b>part"], best=JUDGMENT)
    shown = present_version.result_html("cookie-1", report)
    assert "No state was better" in shown
    assert "old &lt;b&gt;part" in shown


def test_limits_are_shown_where_the_report_holds_them():
    assert "check 0.400, reject 0.500" in present_version.result_html(
        "cookie-1", report_of(limits={"check": 0.4, "reject": 0.5})
    )


def test_without_a_version_there_is_nothing_to_show():
    assert present_version.result_html(None, report_of()) == ""
    assert present_version.result_html("cookie-1", None) == ""
