"""The Review page built in an empty Blocks, and its handlers called as functions."""

import json
import re
from contextlib import suppress
from html import escape
from types import SimpleNamespace

import gradio as gr
import pytest

from mambaad_demo.errors import StorageError
from mambaad_demo.pipeline.labeling import Finding, Label
from mambaad_demo.storage import labels, removal
from mambaad_demo.storage.listing import Decided, Filters, Order
from mambaad_demo.ui.assets import text
from mambaad_demo.ui.batch_tab import build_batch_tab
from mambaad_demo.ui.review_history import MOST_LINES
from mambaad_demo.ui.review_page import SHARED
from mambaad_demo.ui.review_tab import TAB, build_review_tab, filters_of
from tests.ui.desks import desk_in, desks_for
from tests.workflow.stored import Scorer, Shelf, found, image_ids, inspected, part, parts

ADA = SimpleNamespace(session_hash="ada")
EVERYTHING = ("", "", "", "any", "", "", "", "doubt")
"""The controls as the page opens."""


class Page:
    """Batch and Review in a Blocks of their own; remembers the sitting as Gradio does."""

    def __init__(self, desk):
        self.desk, self.sitting = desk, None
        with gr.Blocks(analytics_enabled=False) as self.blocks, gr.Tabs() as tabs:
            with gr.Tab("Batch") as tab:
                batch_page = build_batch_tab(desk, tab=tab)
            with gr.Tab("Review", id=TAB) as tab:
                self.parts = build_review_tab(desk, tabs=tabs, tab=tab, batch_page=batch_page)
        fields = {id(getattr(self.parts, name)): name for name in self.parts.__slots__}
        controls = self.parts.filters
        fields |= {id(getattr(controls, name)): name for name in controls.__slots__} | {id(tabs): "tabs"}
        self._name = lambda component: fields[id(component)]

    def call(self, name, *arguments):
        """What a handler changes: field of the page → new value."""
        handlers = [fn.fn for fn in self.blocks.fns.values() if fn.name == name]
        changes = handlers[-1](*arguments)  # the last tab is this one
        changed = {self._name(component): value for component, value in (changes or {}).items()}
        self.sitting = changed.get("sitting", self.sitting)
        return changed

    def handler(self, name):
        (fn,) = [fn.fn for fn in self.blocks.fns.values() if fn.name == name]
        return fn

    def start(self, reviewer="mira", mode=SHARED, values=EVERYTHING, request=ADA):
        return self.call("start", request, reviewer, mode, *values)

    def press(self, request=ADA, **data):
        """The card after a press."""
        return self.call("pressed", self.sitting, SimpleNamespace(_data=data), request)["card"]

    def decide(self, card, finding, **form):
        return self.press(do="decide", image=card["item"]["image"], finding=finding, seconds=1.5, form=form)

    def open(self, *, reviewer="", remembered="", product="", batch="", request=ADA):
        return self.call("open_page", reviewer, remembered, self.sitting, product, batch, request)

    @property
    def workspace(self):
        return self.desk.workspace(ADA)


def hash_of(page):
    """Of the only picture."""
    return found(page.workspace)[0].sha256


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The page over an empty desk; building it takes longest."""
    page = Page(desk_in(tmp_path_factory.mktemp("built"), catalog=Shelf(Scorer())))
    page.desk.close()
    return page


@pytest.fixture
def new_page(built, tmp_path):
    """Makes the page work over a desk of the test's own."""
    built.sitting = None
    with desks_for(built, tmp_path) as new:
        yield new


@pytest.fixture
def page(new_page):
    return new_page()


def test_a_queue_is_worked_through_by_key(page):
    inspected(page.workspace, {"a": part(0.5, 1), "b": part(0.3, 2)})
    shown = page.start()
    card = shown["card"]
    assert (card["item"]["name"], card["queue"]["left"], shown["remembered"]) == ("a", 1, "mira")
    card = page.decide(card, "defect", defect_type="bent", note="n")
    assert (card["item"]["name"], card["queue"]["left"], card["problem"]) == ("b", 0, "")
    card = page.press(do="undo")
    assert (card["item"]["name"], card["item"]["form"]["defect_type"]) == ("a", "bent")
    card = page.press(do="redo")
    card = page.press(do="next")
    while card["item"] is not None:
        card = page.decide(card, "good")
    assert {one.name: one.finding for one in labels.labeled_images(page.workspace)} == {
        "a": Finding.DEFECT,
        "b": Finding.GOOD,
    }
    assert card["pace"] == "2 decided · 1.5 s each"


def test_each_answer_differs_from_the_one_before_so_that_the_page_redraws(page):
    inspected(page.workspace, {"a": part(0.5)})
    cards = [page.start()["card"], page.press(do="previous"), page.press(do="previous")]
    assert len({card["turn"] for card in cards}) == 3
    json.dumps(cards)


def test_what_does_not_work_is_told_on_the_card_and_the_part_stays(page):
    inspected(page.workspace, {"a": part(0.5, 1), "b": part(0.3, 2)})
    card = page.start()["card"]
    image = card["item"]["image"]
    for data in (
        {"do": "decide", "image": image},
        {"do": "decide", "image": image + 1, "finding": "good"},
        {"do": "explode"},
        {"do": "decide", "image": image, "finding": "defect", "form": {"mask": "data:image/png;base64,AAAA"}},
        {"do": "open", "image": 999},
        {"do": "undo"},
    ):
        card = page.press(**data)
        assert card["problem"]
        assert card["item"]["image"] == image
    assert labels.labeled_images(page.workspace) == []
    assert page.decide(card, "good")["problem"] == ""


def test_a_store_that_fails_is_told_and_the_decision_can_be_made_again(page, monkeypatch):
    def failing(*arguments, **options):
        raise StorageError("The disk of the store is full.")

    inspected(page.workspace, {"a": part(0.5)})
    card = page.start()["card"]
    with monkeypatch.context() as patch:
        patch.setattr(labels, "decide", failing)
        card = page.decide(card, "good")
    assert card["problem"] == "The disk of the store is full."
    assert page.decide(card, "good")["item"] is None
    assert len(labels.labeled_images(page.workspace)) == 1


def test_a_key_before_the_start_does_nothing(page):
    inspected(page.workspace, {"a": part(0.5)})
    card = page.press(do="undo")
    assert card["problem"] == "Press Start first."
    assert page.call("keep_draft", None, SimpleNamespace(_data={"do": "draft"}), ADA) == {}


def test_a_reviewer_has_to_give_a_name(page):
    shown = page.start(reviewer="  ")
    assert list(shown) == ["notice"]
    assert "type a name" in shown["notice"]


def test_drafts_are_kept_without_redrawing(page):
    inspected(page.workspace, {"a": part(0.5)})
    image = page.start()["card"]["item"]["image"]
    event = SimpleNamespace(_data={"do": "draft", "image": image, "form": {"note": "half"}})
    assert page.call("keep_draft", page.sitting, event, ADA) == {}
    assert page.start()["card"]["item"]["form"]["note"] == "half"


def test_filters_make_the_queue(page):
    first = inspected(page.workspace, {"ok": part(0.1, 1), "odd": part(0.45, 2)})
    inspected(page.workspace, {"bad_1": part(0.9, 3)})

    def first_of(**changes):
        names = ("product", "batch", "verdict", "decided", "finding", "collection", "search", "order")
        values = [changes.get(name, value) for name, value in zip(names, EVERYTHING, strict=True)]
        item = page.start(values=values)["card"]["item"]
        return item and item["name"]

    assert first_of() == "odd"
    assert first_of(batch=first, verdict="accept") == "ok"
    assert first_of(order="score") == "bad_1"
    assert first_of(search=" D_ ") == "bad_1"
    assert first_of(product="nothing") is None
    assert first_of(decided="somebody") is None
    assert filters_of([None] * 3 + ["nobody", None, None, None, "newest"]) == Filters(
        decided=Decided.NOBODY, order=Order.NEWEST
    )


def test_two_reviewers_share_a_queue_or_see_every_part(page):
    inspected(page.workspace, {"a": part(0.5, 1), "b": part(0.3, 2)})
    assert page.start("mira")["card"]["item"]["name"] == "a"
    assert page.start("jo")["card"]["item"]["name"] == "b"
    assert page.start("ada", mode="everybody every part")["card"]["item"]["name"] == "a"


def test_opening_the_tab_offers_what_there_is_and_keeps_what_was_chosen(page):
    job_id = inspected(page.workspace, parts(2), name="<b>monday</b>")
    shown = page.open(remembered="mira", product="cap", batch=job_id)
    assert shown["reviewer"] == "mira"
    assert shown["product"] == gr.update(choices=[("all", ""), ("cap", "cap")])
    assert "value" not in shown["batch"]
    assert shown["batch"]["choices"][1][0].startswith("<b>monday</b> · ")
    assert shown["card"]["item"] is None
    assert page.open(reviewer="jo", remembered="mira", product="gone", batch="gone")["product"]["value"] == ""


def test_opening_the_tab_again_keeps_the_part_on_the_screen(page):
    inspected(page.workspace, {"a": part(0.5)})
    page.start()
    assert page.open()["card"]["item"]["name"] == "a"


def test_the_tab_opens_after_the_part_on_the_screen_was_deleted(page):
    job_id = inspected(page.workspace, {"a": part(0.5)})
    page.start()
    removal.delete_job(page.workspace, job_id, actor="jo")
    shown = page.open()
    assert shown["batch"]["choices"] == [("all", "")]
    assert shown["card"]["item"] is None


def test_a_batch_is_taken_over_from_its_page(page):
    job_id = inspected(page.workspace, parts(1))
    shown = page.call("take_over", job_id, ADA)
    assert shown["batch"]["value"] == job_id
    assert shown["tabs"].selected == TAB
    assert page.call("take_over", None, ADA)["batch"]["value"] == ""


def test_views_are_saved_and_used(page):
    values = ("cap", "", "reject", "somebody", "defect", "golden", "a_%", "score")
    shown = page.call("save_view", ADA, " rejects ", *values)
    assert shown["view"] == gr.update(choices=[("none", ""), ("rejects", "rejects")], value="rejects")
    assert shown["view_name"] == ""
    used = page.call("use_view", "rejects", ADA)
    assert tuple(used[name] for name in page.parts.filters.__slots__) == values
    none = page.call("use_view", "", ADA)
    assert tuple(none[name] for name in page.parts.filters.__slots__) == EVERYTHING
    with pytest.raises(gr.Error, match="name"):
        page.call("save_view", ADA, " ", *values)


def test_a_view_can_be_deleted(page):
    for name in ("rejects", "mine"):
        page.call("save_view", ADA, name, *EVERYTHING)
    shown = page.call("delete_view", "rejects", ADA)
    assert shown["view"] == gr.update(choices=[("none", ""), ("mine", "mine")], value="")
    assert page.call("delete_view", "", ADA)["view"]["choices"] == [("none", ""), ("mine", "mine")]


def test_the_history_tells_who_did_what_and_never_what_was_found(page):
    hostile = "<img src=x onerror=alert(1)>"
    inspected(page.workspace, {"a": part(0.5)}, name=hostile)
    card = page.start(hostile)["card"]
    page.decide(card, "defect", defect_type="secret", note="secret")
    markup = page.handler("read_history")(ADA)
    newest, *_, oldest = re.findall("<tr><td>(.*?)</tr>", markup)
    assert "decided: image" in newest
    assert hash_of(page) not in markup
    assert hash_of(page)[:12] in newest
    assert "batch created" in oldest
    assert escape(hostile) in newest
    assert escape(hostile) in oldest
    assert "<img" not in markup
    assert "secret" not in markup
    assert page.handler("read_history")(ADA).count("<tr>") <= MOST_LINES + 1


def test_an_empty_history_says_so(page):
    assert "Nothing has been done yet" in page.handler("read_history")(ADA)


def test_a_type_of_defect_is_renamed_for_the_chosen_product(page):
    inspected(page.workspace, {"a": part(0.5)})
    page.decide(page.start()["card"], "defect", defect_type="scrach")
    for product, known in (("cap", ["scrach"]), ("", [])):
        offered, _ = page.handler("list_types")(product, ADA).values()
        assert offered["choices"] == known
    with suppress(LookupError):  # gr.Info outside a request
        page.handler("rename_type")("cap", "scrach", "scratch", "mira", ADA)
    assert labels.products(page.workspace) == {"cap": ["scratch"]}


@pytest.mark.parametrize(
    ("product", "old", "new", "reviewer"),
    [
        ("", "bent", "x", "mira"),
        ("cap", None, "x", "mira"),
        ("cap", "bent", " ", "mira"),
        ("cap", "bent", "x", ""),
    ],
)
def test_what_cannot_be_renamed_is_said_on_the_page(page, product, old, new, reviewer):
    inspected(page.workspace, {"a": part(0.5)})
    page.decide(page.start()["card"], "defect", defect_type="bent")
    (notice,) = page.handler("rename_type")(product, old, new, reviewer, ADA).values()
    assert 'role="alert"' in notice
    assert labels.products(page.workspace) == {"cap": ["bent"]}


def test_problems_are_announced():
    assert '<p class="notice" role="alert" hidden>' in text("review.html")


def test_hostile_text_reaches_the_card_as_data_alone(page):
    hostile = "<img src=x onerror=alert(1)>"
    inspected(page.workspace, {hostile: part(0.5)})
    page.start(hostile)
    card = page.press(do="next")
    assert card["item"] is None
    assert "<img" not in page.start(" \n")["notice"]


def test_every_event_of_the_page_is_private_and_none_waits_behind_the_model(page):
    quick = ("start", "pressed", "keep_draft", "save_view", "delete_view", "read_history", "rename_type")
    ours = [fn for fn in page.blocks.fns.values() if fn.name in quick]
    assert {fn.api_visibility for fn in page.blocks.fns.values()} == {"private"}
    assert not any(fn.concurrency_id == "model" for fn in ours)


class TestOnASpace:
    """Where strangers share a server."""

    def test_a_sitting_sees_its_own_visit_alone(self, new_page):
        page = new_page(is_private=True)
        inspected(page.workspace, {"secret": part(0.5)})
        eve = SimpleNamespace(session_hash="eve")
        page.start()
        image = image_ids(page.workspace)["secret"]
        assert page.start(request=eve)["card"]["item"] is None
        for data in (
            {"do": "open", "image": image},
            {"do": "decide", "image": image, "finding": "good"},
            {"do": "draft", "image": image},
        ):
            card = page.press(request=eve, **data)
            assert card["item"] is None
        assert labels.labeled_images(page.workspace) == []
        assert page.open(request=eve)["batch"]["choices"] == [("all", "")]
        labels.decide(page.workspace, image, Label(finding=Finding.GOOD), reviewer="mira")
        assert "nothing to undo" in page.press(request=eve, do="undo")["problem"]

    def test_a_stolen_sitting_opens_nothing(self, new_page):
        page = new_page(is_private=True)
        inspected(page.workspace, {"secret": part(0.5)})
        card = page.start()["card"]
        eve = SimpleNamespace(session_hash="eve")
        data = {"do": "decide", "image": card["item"]["image"], "finding": "good"}
        with suppress(gr.Error):
            assert page.press(request=eve, **data)["item"] is None
        assert labels.labeled_images(page.workspace) == []

    def test_views_are_each_visits_own(self, new_page):
        page = new_page(is_private=True)
        page.call("save_view", ADA, "mine", *EVERYTHING)
        eve = SimpleNamespace(session_hash="eve")
        assert page.open(request=eve)["view"]["choices"] == [("none", "")]

    def test_a_request_that_belongs_to_no_visit_is_refused(self, new_page):
        page = new_page(is_private=True)
        nobody = SimpleNamespace(session_hash=None)
        for call in (lambda: page.start(request=nobody), lambda: page.open(request=nobody)):
            with pytest.raises(gr.Error, match="Open the page first"):
                call()
