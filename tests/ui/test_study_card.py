"""The card for studies, and its handlers called as functions."""

from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.storage import studies
from mambaad_demo.ui.study_card import build_study_card, study_spec
from mambaad_demo.workflow.report import pdf
from tests.storage.parts import PRODUCT
from tests.ui.allowances import few_pictures
from tests.ui.fakes import FakeCatalog, FakePredictor
from tests.workflow.studies.conftest import line
from tests.workflow.studies.line import scripted

__all__ = ["line"]

ASKED = ("generated", "nearest", 5, 3, 0)
"""Kind of shots, choice of parts, parts, shots, seed."""
REQUEST = SimpleNamespace(session_hash="visitor")


class FakeDesk:
    """Stands in for `Desk`: everybody shares one workspace."""

    def __init__(self, workspace, *predictors):
        self.shared = workspace
        self.catalog = FakeCatalog(*predictors)
        self.asked = []

    def workspace(self, request):
        self.asked.append(request)
        return self.shared

    def predictor(self, workspace, name):
        assert workspace is self.shared
        return self.catalog.predictor(name)


class Card:
    """The card in a Blocks of its own."""

    def __init__(self, desk):
        self.desk = desk
        with gr.Blocks(analytics_enabled=False) as self.blocks, gr.Tabs(), gr.Tab("Metrics") as tab:
            self.parts = build_study_card(desk, tab=tab)

    def event(self, name):
        return next(fn for fn in self.blocks.fns.values() if fn.name == name)

    def steps(self, *arguments):
        return self.event("conduct_study").fn(*arguments, REQUEST)

    def run(self, *arguments):
        *_, last = self.steps(*arguments)
        return last

    def call(self, name, *arguments):
        return self.event(name).fn(*arguments, REQUEST)


@pytest.fixture
def card(line):
    """Two good parts and a defective one; the first good one sits on the check limit."""
    line.add("near.png", Finding.GOOD, score=0.39)
    line.add("far.png", Finding.GOOD, score=0.2)
    line.add("bad.png", Finding.DEFECT, score=0.9)
    near, far, bad = [0.39, 0.41, 0.39], [0.2] * 3, [0.9] * 3
    scores = [score for shots in (near, far, bad) for score in (*shots, *shots[:1] * 6)]
    return Card(FakeDesk(line.workspace, scripted(scores)))


def test_opening_the_page_lists_products_and_earlier_studies(card):
    card.run(PRODUCT, "mambaad", *ASKED)
    listed = card.call("list_studies", None, None)
    assert listed[card.parts.product]["choices"] == [("bottle cap", PRODUCT)]
    assert listed[card.parts.product]["value"] == PRODUCT
    ((label, number),) = listed[card.parts.earlier]["choices"]
    assert label.startswith("bottle_cap, mambaad: 3 parts")
    assert number == studies.studies(card.desk.shared)[0].id


def test_a_product_that_is_gone_is_no_longer_chosen(card):
    listed = card.call("list_studies", "gone", "gone")
    assert listed[card.parts.product]["value"] == PRODUCT
    assert listed[card.parts.checkpoint]["value"] == "mambaad"


def test_versions_that_came_since_can_be_studied(card):
    card.desk.catalog.predictors["cap-1"] = FakePredictor(name="cap-1")
    listed = card.call("list_studies", None, "mambaad")[card.parts.checkpoint]
    assert listed["choices"] == ["mambaad", "cap-1"]
    assert "value" not in listed  # the chosen one stays
    assert card.parts.checkpoint in card.event("list_studies").outputs


def test_a_study_shows_its_progress_then_its_figures_and_is_kept(card):
    steps = list(card.steps(PRODUCT, "mambaad", *ASKED))
    assert "0 of 27 shots judged" in steps[0][card.parts.result]
    assert "27 of 27 shots judged" in steps[-2][card.parts.result]
    result = steps[-1][card.parts.result]
    assert "66.7 % (9.4 to 99.2), 2 of 3" in result  # parts whose verdict never changes
    assert "Attribute agreement (MSA)" in result
    (kept,) = studies.studies(card.desk.shared)
    assert steps[-1][card.parts.shown] == kept.id
    assert steps[-1][card.parts.earlier]["value"] == kept.id


def test_buttons_rest_while_a_study_runs_and_reports_come_with_its_end(card):
    first, *_, last = card.steps(PRODUCT, "mambaad", *ASKED)
    parts = card.parts
    assert [first[button]["interactive"] for button in (parts.start, parts.stop, parts.html)] == [
        False,
        True,
        False,
    ]
    assert [last[button]["interactive"] for button in (parts.start, parts.stop, parts.html)] == [
        True,
        False,
        True,
    ]
    assert last[parts.pdf]["interactive"] is (pdf.chromium() is not None)


def test_without_chromium_only_html_is_offered(card, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    last = card.run(PRODUCT, "mambaad", *ASKED)
    assert last[card.parts.html]["interactive"]
    assert not last[card.parts.pdf]["interactive"]


def test_a_stopped_study_is_not_kept(card):
    steps = card.steps(PRODUCT, "mambaad", *ASKED)
    next(steps), next(steps)
    steps.close()
    stopped = card.event("say_stopped").fn()
    assert "nothing was kept" in stopped[card.parts.result]
    assert stopped[card.parts.start]["interactive"]
    assert studies.studies(card.desk.shared) == []


def test_an_earlier_study_opens_as_it_was(card):
    ran = card.run(PRODUCT, "mambaad", *ASKED)
    opened = card.call("open_study", ran[card.parts.shown])
    assert opened[card.parts.result] == ran[card.parts.result]
    assert opened[card.parts.shown] == ran[card.parts.shown]


def test_a_study_of_others_does_not_open(card):
    number = card.run(PRODUCT, "mambaad", *ASKED)[card.parts.shown]
    card.desk.shared = card.desk.shared.of("others")
    for handler in ("open_study", "prepare_html", "prepare_pdf"):
        with pytest.raises(gr.Error, match="no longer here"):
            card.call(handler, number)


@pytest.mark.parametrize("number", [None, "1", 1.5, {"path": "/etc/passwd"}])
def test_without_a_study_there_is_no_report(card, number):
    with pytest.raises(gr.Error, match="Run a study first"):
        card.call("prepare_html", number)


def test_the_html_report_is_handed_out_under_a_harmless_name(card, monkeypatch, tmp_path):
    monkeypatch.setattr(card.parts.delivery, "GRADIO_CACHE", str(tmp_path))
    number = card.run(PRODUCT, "mambaad", *ASKED)[card.parts.shown]
    delivered = Path(card.call("prepare_html", number)[card.parts.delivery])
    assert delivered.name == f"bottle_cap-study-{number}.html"
    assert b"Content-Security-Policy" in delivered.read_bytes()


def test_the_pdf_report_is_printed_from_the_same_html(card, monkeypatch, tmp_path):
    monkeypatch.setattr(card.parts.delivery, "GRADIO_CACHE", str(tmp_path))
    monkeypatch.setattr(pdf, "report_pdf", lambda html: b"%PDF-" + html[:15])
    number = card.run(PRODUCT, "mambaad", *ASKED)[card.parts.shown]
    delivered = Path(card.call("prepare_pdf", number)[card.parts.delivery])
    assert delivered.name == f"bottle_cap-study-{number}.pdf"
    assert delivered.read_bytes() == b"%PDF-<!doctype html>"


def test_names_of_files_and_people_are_escaped(line):
    hostile = "<img src=x onerror=alert(1)>${alert(1)}"
    part = line.add(f"{hostile}.png", Finding.GOOD, reviewer=hostile)
    line.decide(part, Finding.GOOD, reviewer="jo")
    card = Card(FakeDesk(line.workspace, scripted([0.3] * 9)))
    result = card.run(PRODUCT, "mambaad", *ASKED)[card.parts.result]
    assert "<img" not in result
    assert result.count("&lt;img src=x onerror=alert(1)&gt;") >= 2


def test_without_known_parts_the_page_says_what_to_do(line):
    line.add("part.png")
    card = Card(FakeDesk(line.workspace, scripted([])))
    (step,) = card.steps(PRODUCT, "mambaad", *ASKED)
    assert "Decide on some on the Review page" in step[card.parts.result]
    assert step[card.parts.start]["interactive"]


def test_a_failure_of_ours_frees_the_buttons(card):
    def broken(pixels):
        raise RuntimeError("out of memory")

    card.desk.catalog.predictors["mambaad"].map_of = broken
    steps = card.steps(PRODUCT, "mambaad", *ASKED)
    assert next(steps)[card.parts.stop]["interactive"]
    freed = next(steps)
    assert freed[card.parts.start]["interactive"]
    with pytest.raises(gr.Error, match="went wrong on our side"):
        next(steps)


def test_an_unknown_checkpoint_is_explained(card):
    (step,) = card.steps(PRODUCT, "../../etc", *ASKED)
    assert "There is no checkpoint" in step[card.parts.result]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"product": None}, "Choose a product"),
        ({"checkpoint": ""}, "Choose a product and a checkpoint"),
        ({"parts": None}, "whole numbers"),
        ({"shots": "many"}, "whole numbers"),
        ({"seed": float("inf")}, "whole numbers"),
        ({"seed": float("nan")}, "whole numbers"),
        ({"kind": "<script>"}, "whole numbers"),
        ({"choice": ["nearest"]}, "whole numbers"),
        ({"parts": 10**9}, "1 to 200 parts"),
    ],
)
def test_whatever_a_browser_sends_is_checked(changes, message):
    asked = {
        "product": PRODUCT,
        "checkpoint": "mambaad",
        "kind": "stored",
        "choice": "random",
        "parts": 5.0,
        "shots": 3,
        "seed": 0,
    }
    assert study_spec(**asked).parts == 5
    with pytest.raises(InputError, match=message):
        study_spec(**asked | changes)


def test_studies_have_a_lane_of_their_own_and_nothing_is_public(card):
    assert card.event("conduct_study").concurrency_id == "studies"
    assert {fn.api_visibility for fn in card.blocks.fns.values()} == {"private"}


def test_stopping_cancels_the_study(card):
    cancelled = [card.blocks.fns[run].name for fn in card.blocks.fns.values() for run in fn.cancels]
    assert cancelled == ["conduct_study"]


def test_every_handler_asks_whose_store_it_is(card):
    number = card.run(PRODUCT, "mambaad", *ASKED)[card.parts.shown]
    card.call("list_studies", None, None)
    card.call("open_study", number)
    assert card.desk.asked == [REQUEST] * 3


def test_shots_of_different_brightness_are_told_apart_by_their_scores(line):
    """The whole way: pictures are varied, judged and compared, with a predictor that looks at them."""
    line.add("part.png", Finding.GOOD)
    predictor = scripted([])
    predictor.map_of = lambda pixels: np.full(pixels.shape[:2], float(pixels.mean()) * 0.7)
    card = Card(FakeDesk(line.workspace, predictor))
    result = card.run(PRODUCT, "mambaad", *ASKED)[card.parts.result]
    first = result.index('<th scope="row">', result.index("Which variation moves scores most"))
    assert result[first:].startswith('<th scope="row">brightness')


def test_a_stranger_may_have_so_many_shots_of_a_study_judged(card):
    with few_pictures(26):
        (step,) = card.steps(PRODUCT, "mambaad", *ASKED)
    assert "count as 27 pictures" in step[card.parts.result]
    assert studies.studies(card.desk.shared) == []
    with few_pictures(27):
        assert card.run(PRODUCT, "mambaad", *ASKED)[card.parts.shown] is not None
