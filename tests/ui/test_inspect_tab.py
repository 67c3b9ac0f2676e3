"""The Inspect page built in an empty Blocks, and its handlers called as functions."""

import io
import threading

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from mambaad_demo.errors import CheckpointCorruptError, HubUnreachableError
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.catalog import Loading
from mambaad_demo.ui.allowance import Allowances
from mambaad_demo.ui.caps import Caps
from mambaad_demo.ui.inspect_tab import build_inspect_tab, opening
from mambaad_demo.ui.inspection import Inspector, Photo, Question
from mambaad_demo.ui.layout import build_app
from mambaad_demo.ui.samples import SamplePart, SampleShelf
from mambaad_demo.ui.visits import Visits
from tests.ui.allowances import asking
from tests.ui.desks import desk_in
from tests.ui.fakes import CATEGORIES, FakeCatalog, FakePredictor

GOOD, DEFECTIVE = SamplePart("bottle_cap", None, 1), SamplePart("bottle_cap", "crack", 1)


class DrawnShelf(SampleShelf):
    """A shelf whose pictures are plain, so that tests need not render parts."""

    def _file(self, part, side):
        pixels = np.full((side, side, 3), 110, np.uint8)
        if part.defect:
            pixels[10:40, 10:40] = 250
        return png(pixels)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class Page:
    """The tab in a Blocks of its own."""

    def __init__(self, *predictors, **how):
        self.predictors = predictors
        self.inspector = Inspector(FakeCatalog(*predictors), DrawnShelf([DEFECTIVE, GOOD]))
        self.first = opening(self.inspector)
        with gr.Blocks(analytics_enabled=False) as self.blocks:
            chips = gr.HTML("", elem_id="chips")
            build_inspect_tab(self.inspector, self.first, chips=chips, retention_minutes=60, **how)

    def call(self, name, *arguments):
        """What a handler changes: component id or label → new value."""
        (handler,) = [fn.fn for fn in self.blocks.fns.values() if fn.name == name][:1]
        changes = handler(*arguments)
        return {self._name(component): value for component, value in changes.items()}

    def shows(self, name):
        (component,) = [block for block in self.blocks.blocks.values() if self._name(block) == name]
        return component.value

    @staticmethod
    def _name(block):
        if isinstance(block, gr.State):
            return "files" if block.value == [] else "shown"
        return getattr(block, "elem_id", None) or getattr(block, "label", None)


@pytest.fixture
def page():
    return Page(FakePredictor(), FakePredictor(name="other", categories=("gear",)))


@pytest.fixture
def upload(tmp_path, monkeypatch):
    """A function that puts a file where Gradio puts uploads and returns its description."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))

    def put(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        return {"path": str(path), "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    return put


def photo(*, defect=True):
    pixels = np.full((60, 80, 3), 100, np.uint8)
    if defect:
        pixels[20:40, 20:40] = 255
    return png(pixels)


def test_the_page_opens_with_an_inspected_sample_part(page):
    assert page.first.question == Question(source=DEFECTIVE, checkpoint="mambaad")
    assert page.shows("viewer")["title"] == "bottle cap, crack"
    assert "Reject" in page.shows("verdict")


def test_a_photo_is_inspected_and_the_box_is_free_again(page, upload):
    changes = page.call("inspect_photo", upload("mine.png", photo()), "mambaad", "", None, [])

    assert changes["viewer"]["title"] == "mine.png"
    assert "verdict-reject" in changes["verdict"]
    assert changes["photo"] is None
    assert changes["files"] == [str(changes["shown"].source.path)]
    assert changes["notice"].strip() == ""


def test_a_good_photo_is_accepted(page, upload):
    changes = page.call("inspect_photo", upload("good.png", photo(defect=False)), "mambaad", "", None, [])

    assert "verdict-accept" in changes["verdict"]
    assert changes["viewer"]["regions"] == []


def test_a_bad_file_leaves_the_page_as_it_is_and_says_why(page, upload):
    shown = page.first.question
    changes = page.call("inspect_photo", upload("no.png", b"PK"), "mambaad", "", shown, [])

    assert changes.keys() == {"photo", "files", "notice"}
    assert "no.png" in changes["notice"]
    assert "still shows bottle cap, crack" in changes["notice"]


def test_emptying_the_box_changes_nothing(page):
    assert page.call("inspect_photo", None, "mambaad", "", page.first.question, ["a"]) == {"files": ["a"]}


def test_a_path_that_was_never_uploaded_is_refused(page):
    with pytest.raises(gr.Error, match="no uploaded file"):
        page.call("inspect_photo", {"path": "/etc/passwd"}, "mambaad", "", None, [])


def test_a_sample_part_is_inspected_with_a_suggested_product(page):
    event = gr.EventData(None, {"index": 1})
    changes = page.call("inspect_sample", "mambaad", page.first.question, event)

    assert changes["viewer"]["title"] == "bottle cap, good part"
    assert changes["viewer"]["sample"] == 1
    assert changes["Product"]["value"] == ""


def test_a_sample_that_does_not_exist_is_refused(page):
    with pytest.raises(gr.Error, match="no such sample part"):
        page.call("inspect_sample", "mambaad", None, gr.EventData(None, {"index": 99}))


def test_choosing_the_product_judges_the_same_picture_again(page):
    changes = page.call("inspect_again", "mambaad", CATEGORIES[1], page.first.question)

    assert changes["viewer"]["title"] == "bottle cap, crack"
    assert "circuit board" in changes["verdict"]
    assert page.predictors[0].asked[-1] == CATEGORIES[1]


def test_a_choice_that_the_browser_reports_twice_is_judged_once(page):
    chosen = page.call("inspect_again", "mambaad", CATEGORIES[1], page.first.question)["shown"]
    asked = len(page.predictors[0].asked)

    assert page.call("inspect_again", "mambaad", CATEGORIES[1], chosen) == {"shown": chosen}
    assert len(page.predictors[0].asked) == asked


def test_another_checkpoint_that_does_not_know_the_product_suggests_one(page):
    changes = page.call("inspect_again", "other", CATEGORIES[1], page.first.question)

    assert changes["shown"] == Question(source=DEFECTIVE, checkpoint="other", category=None)
    assert changes["Product"]["choices"] == [("gear (suggested)", ""), ("gear", "gear")]


def test_an_unknown_checkpoint_is_refused_in_words(page):
    changes = page.call("inspect_again", "../secret", "", page.first.question)

    assert "no checkpoint" in changes["notice"]
    assert changes["Checkpoint"] == "mambaad"


def test_a_picture_that_was_deleted_in_time_is_missed_in_words(page, tmp_path):
    gone = Question(source=Photo(tmp_path / "gone.png"), checkpoint="mambaad")
    changes = page.call("inspect_again", "mambaad", CATEGORIES[1], gone)

    assert "no longer here" in changes["notice"]


@pytest.fixture
def infos(monkeypatch):
    """What the page says in passing."""
    said = []
    monkeypatch.setattr(gr, "Info", said.append)
    return said


def test_without_a_cookie_a_visitor_deletes_the_files_of_this_page_and_is_told_so(page, upload, infos):
    kept, path = upload("other.png", photo())["path"], upload("mine.png", photo())["path"]
    changes = page.call("delete_files", [path], None)

    assert not gr.utils.abspath(path).exists()
    assert gr.utils.abspath(kept).exists()
    assert changes["files"] == []
    assert changes["viewer"]["title"] == "bottle cap, crack"
    (info,) = infos
    assert "1 file that you sent or downloaded on this page" in info
    assert "other tabs" in info


def test_a_browser_deletes_its_files_of_all_tabs_and_is_told_so(upload, infos):
    here, there = upload("here.png", photo())["path"], upload("there.png", photo())["path"]
    page = Page(FakePredictor(), files_of=lambda request: {here, there})

    page.call("delete_files", [here], None)

    assert not gr.utils.abspath(here).exists()
    assert not gr.utils.abspath(there).exists()
    (info,) = infos
    assert "2 files" in info
    assert "in all tabs of this browser" in info


def test_without_a_checkpoint_the_page_opens_empty_and_says_so():
    page = Page()

    assert page.shows("viewer") is None
    assert "no checkpoint" in page.shows("notice")


def test_a_checkpoint_that_cannot_be_loaded_does_not_stop_the_page(monkeypatch):
    def refuse(self, name):
        raise CheckpointCorruptError(f"{name} failed its self-test.")

    monkeypatch.setattr(FakeCatalog, "predictor", refuse)
    page = Page(FakePredictor())

    assert "failed its self-test" in page.shows("notice")


def test_a_bug_becomes_a_general_sentence(page, monkeypatch):
    def break_down(question):
        raise ZeroDivisionError("/srv/secret")

    monkeypatch.setattr(page.inspector, "inspect", break_down)
    with pytest.raises(gr.Error, match="went wrong on our side"):
        page.call("inspect_again", "mambaad", CATEGORIES[1], page.first.question)


def test_the_whole_app_builds(tmp_path):
    desk = desk_in(tmp_path)
    app = build_app(FakeCatalog(FakePredictor()), desk, retention_minutes=60, visits=Visits(), caps=Caps())
    desk.close()

    assert app.title == "MambaAD Inspector"


def test_pictures_are_judged_on_the_model_thread():
    threads = []

    class Watching(FakePredictor):
        def predict(self, image, *, category=None):
            threads.append(threading.current_thread())
            return super().predict(image, category=category)

    inspector = Inspector(FakeCatalog(Watching()), DrawnShelf())
    inspector.inspect(Question(source=GOOD, checkpoint="mambaad"))

    assert threads == [model_thread.run(threading.current_thread)]


def handler(page, name):
    return next(fn for fn in page.blocks.fns.values() if fn.name == name)


def test_a_checkpoint_that_is_fetched_says_how_far_it_is_and_what_went_wrong(page, monkeypatch):
    def fetching(name):
        yield Loading(name=name, done=0, total=0)
        yield Loading(name=name, done=1_500_000, total=6_000_000)
        raise HubUnreachableError("The Hub did not answer. Try again later.")

    monkeypatch.setattr(page.inspector.catalog, "fetching", fetching)
    steps = handler(page, "fetch_chosen").fn("<parts>", page.first.question)
    told = ({page._name(component): value for component, value in step.items()} for step in steps)

    assert next(told) == {"notice": gr.skip()}
    assert "Fetching &lt;parts&gt;" in next(told)["notice"]
    assert "1.5 of 6.0 MB" in next(told)["notice"]
    refused = next(told)
    assert "The Hub did not answer" in refused["notice"]
    assert "still shows bottle cap, crack" in refused["notice"]
    assert refused["Checkpoint"] == "mambaad"
    with pytest.raises(gr.Error) as caught:
        next(told)
    assert caught.value.visible is False  # the notice says it


def test_a_checkpoint_that_is_here_is_inspected_with_at_once(page):
    (step,) = handler(page, "fetch_chosen").fn("other", page.first.question)

    assert list(step.values()) == [gr.skip()]
    changes = page.call("inspect_with", "other", "", page.first.question)
    assert changes["shown"].checkpoint == "other"


def test_a_choice_of_a_checkpoint_is_one_event(page):
    assert [event for _, event in handler(page, "fetch_chosen").targets] == ["change"]


def test_going_back_to_the_checkpoint_that_is_shown_keeps_what_was_said(page):
    shown = page.first.question

    assert page.call("inspect_with", "mambaad", CATEGORIES[1], shown) == {"shown": shown}


def test_a_checkpoint_that_cannot_be_loaded_is_not_left_chosen(page, monkeypatch):
    def refuse(name):
        raise CheckpointCorruptError(f"{name} failed its self-test.")

    monkeypatch.setattr(page.inspector.catalog, "predictor", refuse)
    changes = page.call("inspect_with", "other", "", page.first.question)

    assert "failed its self-test" in changes["notice"]
    assert changes["Checkpoint"] == "mambaad"


def test_a_stranger_who_had_many_pictures_judged_is_told_so(page):
    question = page.first.question
    with Allowances(Caps(pictures_per_hour=1)).of(asking("mira"), "mira"):
        page.inspector.inspect(question)
        told = page.call("inspect_again", "mambaad", CATEGORIES[1], question)
    assert "as many pictures as it may for one visitor" in told["notice"]
