"""The Compare page built in an empty Blocks, and its handlers called as functions."""

from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from mambaad_demo.errors import CheckpointCorruptError, HubUnreachableError, InputError
from mambaad_demo.pipeline.catalog import Loading
from mambaad_demo.pipeline.cost import Cost
from mambaad_demo.ui import comparing
from mambaad_demo.ui.compare_tab import build_compare_tab
from mambaad_demo.ui.comparing import Comparer
from mambaad_demo.ui.inspect_tab import build_inspect_tab, opening
from mambaad_demo.ui.inspection import Inspector, Photo
from mambaad_demo.ui.present_comparison import column_html
from tests.ui.allowances import few_pictures
from tests.ui.fakes import FakeCatalog, FakePredictor, bright_spots, prediction
from tests.ui.test_inspect_tab import DEFECTIVE, GOOD, DrawnShelf, photo, upload

__all__ = ["upload"]

COLUMNS = [f"compare-column-{number}" for number in range(3)]


def blind(pixels):
    return np.zeros(pixels.shape[:2], np.float32)


@pytest.fixture
def measured(monkeypatch):
    """Detectors whose cost was measured, in order."""
    detectors = []

    def measure(detector, *, repeats):
        detectors.append(detector)
        return Cost(
            parameters=3_250_000,
            decoder_parameters=2_170_000,
            gmacs=0.83,
            milliseconds=66.0,
            peak_megabytes=15,
        )

    def passes(detectors, *, repeats):
        return [[66.0] * repeats for _ in detectors]

    monkeypatch.setattr(comparing, "measure_cost", measure)
    monkeypatch.setattr(comparing, "time_passes", passes)
    return detectors


class Page:
    """Inspect and Compare in a Blocks of their own."""

    def __init__(self, *predictors):
        self.inspector = Inspector(FakeCatalog(*predictors), DrawnShelf([DEFECTIVE, GOOD]))
        self.first = opening(self.inspector)
        with gr.Blocks(analytics_enabled=False) as self.blocks, gr.Tabs():
            with gr.Tab("Inspect"):
                inspect_page = build_inspect_tab(
                    self.inspector, self.first, chips=gr.HTML(""), retention_minutes=60
                )
            with gr.Tab("Compare") as tab:
                build_compare_tab(
                    self.inspector, Comparer(self.inspector), tab=tab, inspect_page=inspect_page
                )

    def steps(self, name, *arguments):
        """What a handler changes, step by step: component id or label → new value."""
        handler = next(fn.fn for fn in self.blocks.fns.values() if fn.name == name)
        return [
            {self._name(component): value for component, value in step.items()}
            for step in handler(*arguments)
        ]

    @staticmethod
    def _name(block):
        return getattr(block, "elem_id", None) or getattr(block, "label", None) or type(block).__name__


@pytest.fixture
def page(measured):
    return Page(FakePredictor(), FakePredictor(name="other", map_of=blind))


NAMES = ["mambaad", "other"]


def test_columns_fill_one_by_one_and_costs_come_last(page, measured):
    first, second, verdict, costs = page.steps("compare_first", NAMES, None, page.first.question)

    assert "pill-reject" in first["compare-column-0"]
    assert "waiting" in first["compare-column-1"]
    assert first["compare-column-2"] == ""
    assert second["compare-column-0"] == gr.skip()
    assert "pill-accept" in second["compare-column-1"]
    assert "being measured" in verdict["compare-costs"]
    assert "being measured" not in costs["compare-costs"]
    assert costs["compare-costs"].count("3.25 M") == 2
    assert len(measured) == 2


def test_a_split_vote_shows_the_more_severe_verdict_and_where_they_disagree(page):
    steps = page.steps("compare_first", NAMES, None, page.first.question)

    (agreement,) = [step["compare-agreement"] for step in steps if step.get("compare-agreement")]
    assert "1 of 2 reject" in agreement
    assert "aims at 0.5 % false rejects" in agreement
    assert agreement.count("data:image/") == 2
    (figure,) = [step["compare-scores"] for step in steps if step.get("compare-scores")]
    multiples = list(figure.data[0].y)
    assert multiples[0] > 1 > multiples[1] == 0


def test_parameters_arithmetic_and_memory_are_measured_once(page, measured):
    for _ in range(3):
        page.steps("compare_first", NAMES, None, page.first.question)
    assert len(measured) == 2


def test_opening_the_tab_again_changes_nothing(page):
    (step,) = page.steps("compare_first", NAMES, DEFECTIVE, page.first.question)
    assert step == {"State": DEFECTIVE}


@pytest.mark.parametrize("names", [[], ["mambaad"] * 2, ["mambaad", "other", "third", "fourth"]], ids=len)
def test_a_choice_that_cannot_stand_side_by_side_is_explained_and_the_page_stays(page, names):
    (step,) = page.steps("compare_first", names, None, page.first.question)
    notice, source = step.values()
    assert source == DEFECTIVE  # another choice of checkpoints then compares it
    assert "Choose one to 3 different checkpoints" in notice


def test_an_own_photo_is_compared_under_its_escaped_name(page, upload):
    file = upload("<img onerror=x>.png", photo())
    steps = page.steps("compare_photo", file, NAMES, "", None, [])

    assert steps[0]["State"] == [file["path"]]
    first = steps[1]["compare-column-0"]
    assert "&lt;img onerror=x&gt;" in first
    assert "<img onerror" not in first


def test_a_damaged_photo_gets_a_notice_beside_what_was_shown(page, upload):
    _, step = page.steps("compare_photo", upload("a.png", b"no picture"), NAMES, "", GOOD, [])
    notice, source = step.values()
    assert source == GOOD
    assert "notice" in notice
    assert GOOD.title in notice


def test_another_product_judges_the_same_picture_again(page, upload):
    file = upload("a.png", photo())
    steps = page.steps("compare_again", NAMES, "circuit_board", Photo(Path(file["path"])))
    assert "circuit board (chosen by you)" in steps[0]["compare-column-0"]


def test_a_product_that_one_of_them_does_not_know_is_suggested_anew(measured):
    page = Page(FakePredictor(), FakePredictor(name="other", categories=("bottle_cap",)))
    steps = page.steps("compare_again", NAMES, "circuit_board", GOOD)
    assert "bottle cap (suggested" in steps[0]["compare-column-0"]


def test_our_reading_of_mambaad_v2_is_said_beside_its_verdict(make_image):
    pixels = make_image(40, 40) / 255
    assert "Our reading" in column_html(prediction(pixels, decoder="mambaad_v2", map_of=bright_spots), "a")
    assert "Our reading" not in column_html(prediction(pixels), "a")


def test_deleting_files_empties_the_page(page):
    handler = next(fn.fn for fn in page.blocks.fns.values() if fn.name == "clear")
    cleared = {page._name(component): value for component, value in handler().items()}
    assert not any(cleared[name] for name in (*COLUMNS, "compare-agreement", "compare-costs", "State"))
    assert cleared["Product"]["value"] == ""


def test_a_busy_moment_is_outweighed_by_later_passes(page, monkeypatch):
    comparer = Comparer(page.inspector)
    turns = iter([[[400.0] * 5], [[60.0] * 5], [[60.0] * 5]])
    monkeypatch.setattr(comparing, "time_passes", lambda detectors, *, repeats: next(turns))
    assert [comparer.costs(["mambaad"])[0].milliseconds for _ in range(3)] == [400, 230, 60]


def test_a_failure_in_the_middle_leaves_no_half_comparison(page):
    def broken(pixels):
        raise CheckpointCorruptError("The file is damaged.")

    page.inspector.catalog.predictors["other"].map_of = broken
    first, emptied, problem = page.steps("compare_first", NAMES, None, page.first.question)
    assert "waiting" in first["compare-column-1"]
    assert [emptied[name] for name in (*COLUMNS, "compare-agreement", "compare-costs")] == [""] * 5
    assert any("damaged" in str(value) and "still shows" not in str(value) for value in problem.values())


def test_a_new_picture_clears_what_was_said_of_the_one_before(page):
    first = page.steps("compare_first", NAMES, None, page.first.question)[0]
    assert (first["compare-agreement"], first["compare-costs"], first["compare-scores"]) == ("", "", None)


def test_one_checkpoint_alone_disagrees_with_nobody(page):
    steps = page.steps("compare_first", ["mambaad"], None, page.first.question)
    (agreement,) = [step["compare-agreement"] for step in steps if step.get("compare-agreement")]
    assert "One vote: reject" in agreement
    assert "disagree" not in agreement


@pytest.fixture
def slow_release(page, monkeypatch):
    """The checkpoint `other` comes from the Hub; returns a list, into which an error may be put."""
    problems = []

    def fetching(name):
        if name == "other":
            yield Loading(name=name, done=1_500_000, total=6_000_000)
            if problems:
                raise problems[0]

    monkeypatch.setattr(page.inspector.catalog, "fetching", fetching)
    return problems


@pytest.mark.parametrize("event", ["fetch_compared", "fetch_first"])
def test_a_release_that_is_chosen_says_how_far_it_is(page, slow_release, event):
    _, told = page.steps(event, NAMES, None)

    assert list(told) == ["HTML"]
    assert "Fetching other from the Hub: 1.5 of 6.0 MB" in told["HTML"]


def test_releases_are_fetched_before_the_lane_of_the_model_is_taken(page):
    handlers = {fn.name: fn for fn in page.blocks.fns.values()}
    lanes = {
        name: handlers[name].concurrency_id for name in ("fetch_compared", "fetch_first", "compare_again")
    }

    assert lanes == {"fetch_compared": "fetch", "fetch_first": "fetch", "compare_again": "model"}
    assert [event for _, event in handlers["fetch_compared"].targets] == ["input"]
    assert [event for _, event in handlers["fetch_first"].targets] == ["select"]


def test_a_release_that_is_refused_is_told_once_and_loses_its_tick(page, slow_release):
    slow_release.append(HubUnreachableError("The Hub refused mira/parts."))
    fetch = next(fn.fn for fn in page.blocks.fns.values() if fn.name == "fetch_compared")
    steps = fetch(NAMES, GOOD)

    *_, refused = (next(steps) for _ in range(3))
    named = {page._name(component): value for component, value in refused.items()}
    assert "The Hub refused mira/parts." in named["HTML"]
    assert GOOD.title in named["HTML"]
    assert named["Checkpoints"] == ["mambaad"]
    with pytest.raises(gr.Error) as caught:
        next(steps)
    assert caught.value.visible is False


def test_a_release_that_is_not_here_when_a_sample_is_chosen_says_how_far_it_is(page, slow_release):
    told, first, *_ = page.steps("compare_sample", NAMES, None, gr.EventData(None, {"index": 0}))

    assert "1.5 of 6.0 MB" in told["HTML"]
    assert "pill-reject" in first["compare-column-0"]


def test_more_releases_than_fit_are_not_fetched(page, slow_release):
    assert len(page.steps("fetch_compared", [*NAMES, "third", "fourth"], GOOD)) == 1


def test_opening_the_tab_again_fetches_nothing(page, slow_release):
    assert len(page.steps("fetch_first", NAMES, GOOD)) == 1


def test_a_picture_counts_for_each_checkpoint_that_judges_it(page):
    source, names = page.first.question.source, ["mambaad", "other"]
    with few_pictures(1), pytest.raises(InputError, match="count as 2 pictures"):
        list(Comparer(page.inspector).predictions(source, names, None))
    with few_pictures(2):
        assert len(list(Comparer(page.inspector).predictions(source, names, None))) == 2
