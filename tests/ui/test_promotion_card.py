"""The promotion card, and its handlers called as functions."""

from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import pytest

from mambaad_demo.errors import CheckpointCorruptError
from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.storage import audit
from mambaad_demo.ui import present_promotion
from mambaad_demo.ui.desk import SOMEBODY
from mambaad_demo.ui.promotion_card import Tried, build_promotion_card
from mambaad_demo.workflow.promotion import active, history, promote
from tests.ui.allowances import few_pictures
from tests.workflow.stored import image_ids, workspace
from tests.workflow.versions import CATEGORY, KNOWN, Version, Versions, add_golden, know

__all__ = ["workspace"]

REQUEST = SimpleNamespace(session_hash="visitor")
HOSTILE = "<img src=x onerror=alert(1)>${alert(1)}"
REASON = "the customer accepts scratches"


class FakeDesk:
    """Stands in for `Desk`: everybody shares one workspace."""

    def __init__(self, workspace, catalog, *, is_private=False):
        self.shared = workspace
        self.catalog = catalog
        self.is_private = is_private
        self.asked = []

    def workspace(self, request):
        self.asked.append(request)
        return self.shared


class Card:
    """The card in a Blocks of its own."""

    def __init__(self, desk):
        self.desk = desk
        self.deleted = []
        with gr.Blocks(analytics_enabled=False) as self.blocks, gr.Tabs(), gr.Tab("Train") as tab:
            self.parts = build_promotion_card(desk, tab=tab, delete_version=self.delete)

    def delete(self, name):
        self.deleted.append(name)
        del self.desk.catalog.versions[name]

    def event(self, name):
        return next(fn for fn in self.blocks.fns.values() if fn.name == name)

    def call(self, name, *arguments):
        return self.event(name).fn(*arguments, REQUEST)

    def steps(self, name, *arguments):
        return list(self.event(name).fn(*arguments, REQUEST))

    def tried(self, version, *, product=CATEGORY):
        """What the page holds after a version was tried."""
        page = {}
        for step in self.steps("try_version", version, CATEGORY, product):
            page |= step
        return page

    def promoted(self, tried, note="31 more photos", reason="", actor="Mira", **chosen):
        version = chosen.get("version", tried.version if tried else None)
        category = chosen.get("category", tried.category if tried else None)
        page = {}
        for step in self.steps("promote_version", tried, version, category, note, reason, actor):
            page |= step
        return page


@pytest.fixture
def catalog():
    return Versions(
        Version("mambaad"),
        Version("cap-1"),
        Version("cap-2", check=0.7, reject=0.8),
        own=("cap-1", "cap-2"),
    )


@pytest.fixture
def card(workspace, catalog):
    """With nothing active, cap-1 as good as mambaad, and cap-2 that accepts a golden defect."""
    add_golden(workspace, KNOWN)
    return Card(FakeDesk(workspace, catalog))


def activate(card, name):
    catalog = card.desk.catalog
    promote(
        card.desk.shared,
        catalog.predictor(name),
        category=CATEGORY,
        note="n",
        override_reason=REASON,
        actor="Mira",
        load=catalog.predictor,
    )


def test_opening_the_page_offers_own_versions_first_and_says_what_is_active(card):
    page = card.call("open_page", None, None, None, "", "Mira")
    parts = card.parts
    assert page[parts.version]["choices"] == ["cap-1", "cap-2", "mambaad"]
    assert (page[parts.version]["value"], page[parts.category]["value"]) == ("cap-1", CATEGORY)
    assert page[parts.product]["choices"] == [("cap (4)", "cap")]
    assert page[parts.actor] == "Mira"
    assert "No version of <strong>cap</strong> is active" in page[parts.status]
    assert "2 good and 2 defective parts" in page[parts.status]
    assert page[parts.history].strip() == ""
    assert page[parts.undo]["interactive"] is False
    assert page[parts.try_out]["interactive"] is True


def test_an_empty_golden_set_is_said_loudly_before_anything_is_tried(workspace, catalog):
    card = Card(FakeDesk(workspace, catalog))
    page = card.call("open_page", None, None, None, "", "")
    assert "Nothing stands between a bad version and production" in page[card.parts.status]
    assert "mark known parts as golden on the Review page" in card.tried("cap-1")[card.parts.result]


def test_choices_stay_as_they_were_when_the_page_is_opened_again(card):
    add_golden(card.desk.shared, {"x.png": (0.9, Finding.DEFECT)}, product="second line", start=9)
    page = card.call("open_page", "cap-2", CATEGORY, "second line", "Ben", "Mira")
    parts = card.parts
    assert "value" not in page[parts.version]
    assert page[parts.product] == gr.update(choices=[("cap (4)", "cap"), ("second line (1)", "second line")])
    assert page[parts.actor] == "Ben"
    assert "0 good and 1 defective part." in page[parts.status]


def test_a_version_that_cannot_be_loaded_is_explained_and_the_page_still_opens(card):
    def corrupt(name):
        raise CheckpointCorruptError("The weights of cap-1 are damaged.")

    card.desk.catalog.predictor = corrupt
    page = card.call("open_page", "cap-1", CATEGORY, CATEGORY, "", "")
    assert "The weights of cap-1 are damaged." in page[card.parts.notice]
    assert page[card.parts.try_out]["interactive"] is False


def test_a_trial_shows_progress_then_the_verdict_and_what_changed(card):
    steps = card.steps("try_version", "cap-2", CATEGORY, CATEGORY)
    assert "0 of 8 golden pictures replayed" in steps[1][card.parts.result]
    assert steps[0][card.parts.try_out]["interactive"] is False
    last = steps[-1]
    assert "Blocked: 1 defective part" in last[card.parts.result]
    assert "scratch.png" in last[card.parts.result]
    assert "×1.20" in last[card.parts.result]  # 0.6 of 0.5
    assert "×0.75" in last[card.parts.result]  # 0.6 of 0.8
    assert "crack.png" not in last[card.parts.result]  # judged alike
    assert last[card.parts.try_out]["interactive"] is True


def test_the_reason_is_asked_for_only_where_the_golden_set_speaks_against_it(card):
    blocked, passed = card.tried("cap-2"), card.tried("cap-1")
    assert blocked[card.parts.reason]["visible"] is True
    assert blocked[card.parts.promote] == gr.update(value="Promote in spite of it", interactive=True)
    assert passed[card.parts.reason]["visible"] is False
    assert passed[card.parts.promote] == gr.update(value="Promote", interactive=True)
    assert "Passed" in passed[card.parts.result]


def test_a_version_that_passed_is_promoted_with_its_note_and_name(card):
    page = card.promoted(card.tried("cap-1")[card.parts.tried])
    assert active(card.desk.shared, CATEGORY) == "cap-1"
    (step,) = history(card.desk.shared, CATEGORY)
    assert (step.note, step.actor) == ("31 more photos", "Mira")
    assert "cap-1 is now the active version." in page[card.parts.notice]
    assert "promoted cap-1" in page[card.parts.history]
    assert page[card.parts.undo] == gr.update(value="Roll back to mambaad", interactive=True)
    assert (page[card.parts.tried], page[card.parts.note]) == (None, "")


def test_a_blocked_version_needs_a_written_reason(card):
    tried = card.tried("cap-2")[card.parts.tried]
    page = card.promoted(tried)
    assert "Nothing was changed." in page[card.parts.notice]
    assert "write down in a few words" in page[card.parts.notice]
    assert page[card.parts.promote]["interactive"] is True
    assert history(card.desk.shared, CATEGORY) == []
    page = card.promoted(tried, reason=REASON)
    assert f"<strong>In spite of the golden set:</strong> {REASON}" in page[card.parts.history]
    assert active(card.desk.shared, CATEGORY) == "cap-2"


def test_without_a_name_somebody_decides(card):
    card.promoted(card.tried("cap-1")[card.parts.tried], actor=" \n")
    assert history(card.desk.shared, CATEGORY)[0].actor == SOMEBODY


def test_without_a_note_nothing_is_promoted(card):
    page = card.promoted(card.tried("cap-1")[card.parts.tried], note=" ")
    assert "Write a change note first" in page[card.parts.notice]
    assert active(card.desk.shared, CATEGORY) is None


def test_nothing_is_promoted_that_was_not_tried(card):
    page = card.promoted(None, version="cap-1", category=CATEGORY)
    assert "Try cap-1 on the golden set first." in page[card.parts.notice]
    assert page[card.parts.promote]["interactive"] is False


@pytest.mark.parametrize(
    "chosen", [{"version": "cap-2"}, {"category": "gear"}, {"version": None}, {"category": ["cap"]}]
)
def test_nothing_is_promoted_but_what_the_page_shows_as_chosen(card, chosen):
    page = card.promoted(card.tried("cap-1")[card.parts.tried], **chosen)
    assert "on the golden set first. What was tried is cap-1 for cap." in page[card.parts.notice]
    assert page[card.parts.promote]["interactive"] is False
    assert history(card.desk.shared, CATEGORY) == []


def test_promoting_sends_what_is_chosen_besides_what_was_tried(card):
    inputs = card.event("promote_version").inputs
    parts = card.parts
    assert inputs == [parts.tried, parts.version, parts.category, parts.note, parts.reason, parts.actor]


def test_a_reason_does_not_cover_an_escape_that_the_page_did_not_show(card):
    tried = card.tried("cap-2")[card.parts.tried]
    add_golden(card.desk.shared, {"dent.png": (0.6, Finding.DEFECT)}, start=9)
    page = card.promoted(tried, reason=REASON)
    assert "That was not so when the version was tried: dent.png." in page[card.parts.notice]
    assert history(card.desk.shared, CATEGORY) == []
    assert "dent.png" in page[card.parts.result]
    card.promoted(page[card.parts.tried], reason=REASON)
    assert active(card.desk.shared, CATEGORY) == "cap-2"


def test_who_was_slower_has_to_look_again(card):
    tried = card.tried("cap-2")[card.parts.tried]
    activate(card, "cap-1")
    page = card.promoted(tried, reason=REASON)
    assert "Meanwhile somebody else changed which version" in page[card.parts.notice]
    assert active(card.desk.shared, CATEGORY) == "cap-1"


def test_a_rollback_goes_back_and_says_that_nothing_was_replayed(card):
    activate(card, "cap-1")
    activate(card, "cap-2")
    seen = history(card.desk.shared, CATEGORY)[0].id
    page = card.call("roll_back", "cap-2", CATEGORY, CATEGORY, seen, "too many escapes", "Ben")
    assert active(card.desk.shared, CATEGORY) == "cap-1"
    assert "the golden set was not replayed" in page[card.parts.notice]
    assert "rolled back to cap-1" in page[card.parts.history]
    assert page[card.parts.undo]["value"] == "Roll back to mambaad"


def test_the_button_and_the_rollback_pass_over_a_version_that_was_discarded(card, monkeypatch):
    monkeypatch.setattr(gr, "Info", lambda words: None)
    activate(card, "cap-1")
    activate(card, "cap-2")
    assert card.call("choose_version", "cap-2", CATEGORY, CATEGORY)[card.parts.undo]["value"] == (
        "Roll back to cap-1"
    )
    card.call("discard", "cap-1", CATEGORY, CATEGORY, "Mira")
    assert card.call("choose_version", "cap-2", CATEGORY, CATEGORY)[card.parts.undo]["value"] == (
        "Roll back to mambaad"
    )
    seen = history(card.desk.shared, CATEGORY)[0].id
    page = card.call("roll_back", "cap-2", CATEGORY, CATEGORY, seen, "bad", "Ben")
    assert "mambaad judges cap again, since cap-1 cannot be used any more;" in page[card.parts.notice]
    assert active(card.desk.shared, CATEGORY) is None


@pytest.mark.parametrize("is_private", [False, True])
def test_a_decision_says_whether_it_holds_on_this_page_alone(workspace, catalog, is_private):
    card = Card(FakeDesk(workspace, catalog, is_private=is_private))
    here = "Recorded for your visit; choose the version yourself on the other pages."
    page = card.promoted(card.tried("cap-1")[card.parts.tried])
    assert (here in page[card.parts.notice]) is is_private
    seen = history(workspace, CATEGORY)[0].id
    page = card.call("roll_back", "cap-1", CATEGORY, CATEGORY, seen, "bad", "Ben")
    assert (here in page[card.parts.notice]) is is_private


@pytest.mark.parametrize(("seen", "note"), [(99, "too many escapes"), (None, "")])
def test_a_refused_rollback_is_explained_and_changes_nothing(card, seen, note):
    activate(card, "cap-1")
    page = card.call("roll_back", "cap-1", CATEGORY, CATEGORY, seen, note, "Ben")
    assert "Nothing was changed." in page[card.parts.notice]
    assert active(card.desk.shared, CATEGORY) == "cap-1"


def test_a_version_of_ones_own_is_discarded_and_another_one_chosen(card, monkeypatch):
    said = []
    monkeypatch.setattr(gr, "Info", said.append)
    page = card.call("discard", "cap-2", CATEGORY, CATEGORY, "Mira")
    assert (card.deleted, said) == (["cap-2"], ["cap-2 is deleted."])
    assert page[card.parts.version] == gr.update(choices=["cap-1", "mambaad"], value="cap-1")
    assert audit.entries(card.desk.shared, subject="version cap-2")[0].actor == "Mira"


@pytest.mark.parametrize("version", ["mambaad", "../../etc", "", None, {"path": "/etc"}, ["cap-2"]])
def test_only_own_versions_are_discarded(card, version):
    page = card.call("discard", version, CATEGORY, CATEGORY, "Mira")
    assert "Only a version that was fine-tuned here" in page[card.parts.notice]
    assert card.deleted == []


def test_an_active_version_is_not_discarded(card):
    activate(card, "cap-1")
    page = card.call("discard", "cap-1", CATEGORY, CATEGORY, "Mira")
    assert "cap-1 is the active version" in page[card.parts.notice]
    assert card.call("choose_version", "cap-1", CATEGORY, CATEGORY)[card.parts.discard] == gr.update(
        interactive=False
    )
    assert card.deleted == []


def test_strangers_who_share_a_server_discard_nothing(workspace, catalog):
    card = Card(FakeDesk(workspace, catalog, is_private=True))
    assert card.parts.discard.visible is False
    page = card.call("discard", "cap-2", CATEGORY, CATEGORY, "Mira")
    assert "Only a version" in page[card.parts.notice]
    assert card.deleted == []


@pytest.mark.parametrize("event", ["choose_version", "choose_product"])
def test_another_choice_takes_the_result_away(card, event):
    page = card.call(event, "cap-2", CATEGORY, CATEGORY)
    assert (page[card.parts.result], page[card.parts.tried]) == ("", None)
    assert page[card.parts.promote]["interactive"] is False
    assert page[card.parts.reason]["visible"] is False


def test_another_category_brings_its_own_golden_set(card):
    page = card.call("choose_category", "cap-1", "gear")
    assert page[card.parts.product]["value"] == "gear"
    assert page[card.parts.product]["choices"] == [("gear (empty)", "gear"), ("cap (4)", "cap")]
    assert page[card.parts.tried] is None


def test_a_slow_answer_about_another_version_leaves_the_golden_set_that_was_chosen_meanwhile(card):
    slow = card.call("choose_version", "cap-1", CATEGORY, CATEGORY)
    assert "value" not in slow[card.parts.product]
    assert "value" not in slow[card.parts.category]
    assert slow.keys() >= card.call("catch_up", "cap-1", "gear", "gear").keys()

    after = card.call("catch_up", "cap-1", "gear", "gear")
    assert after[card.parts.product] == gr.update(choices=[("gear (empty)", "gear"), ("cap (4)", "cap")])
    assert "gear" in after[card.parts.status]


def test_a_golden_set_of_nothing_gives_way_to_that_of_the_category(card):
    page = card.call("open_page", "cap-1", CATEGORY, "bottle_cap", "", "")

    assert page[card.parts.product] == gr.update(choices=[("cap (4)", "cap")], value="cap")
    assert "2 good and 2 defective parts" in page[card.parts.status]


@pytest.mark.parametrize("given", [None, "", 7, ["cap-1"], {"value": "cap-1"}])
def test_whatever_a_browser_sends_is_checked(card, given):
    (_, last) = [{}, *card.steps("try_version", given, CATEGORY, CATEGORY)]
    assert "Choose a version and a product first." in last[card.parts.notice]
    (_, last) = [{}, *card.steps("try_version", "cap-1", given, CATEGORY)]
    assert "Choose a version and a product first." in last[card.parts.notice]


def test_an_unknown_version_is_explained_and_the_buttons_are_free(card):
    page = card.tried("../../etc")
    assert "There is no checkpoint" in page[card.parts.notice]
    assert page[card.parts.try_out]["interactive"] is True


def test_a_failure_of_ours_frees_the_buttons(card):
    def broken(images, *, category):
        raise RuntimeError("out of memory")

    card.desk.catalog.predictor("cap-1").predict_batch = broken
    steps = card.event("try_version").fn("cap-1", CATEGORY, CATEGORY, REQUEST)
    page = {}
    with pytest.raises(gr.Error, match="went wrong on our side"):
        page.update(entry for step in steps for entry in step.items())
    assert page[card.parts.try_out]["interactive"] is True
    assert "out of memory" not in page[card.parts.notice]


def test_names_notes_and_reasons_are_escaped(card):
    add_golden(card.desk.shared, {f"{HOSTILE}.png": (0.6, Finding.DEFECT)}, start=9)
    page = card.tried("cap-2")
    assert "<img src=x" not in page[card.parts.result]
    assert "&lt;img src=x onerror=alert(1)&gt;" in page[card.parts.result]
    tried = page[card.parts.tried]
    page = card.promoted(tried, note=HOSTILE, reason=f"{REASON} {HOSTILE}", actor=HOSTILE)
    for place in (card.parts.history, card.parts.status):
        assert "<img" not in page[place]
        assert "&lt;img" in page[place]


def test_many_changes_are_counted_and_not_all_drawn(card, monkeypatch):
    monkeypatch.setattr(present_promotion, "MOST_PICTURES", 3)
    scores = {f"dent {number}.png": (0.6, Finding.DEFECT) for number in range(4)}
    add_golden(card.desk.shared, scores, start=9)
    result = card.tried("cap-2")[card.parts.result]
    assert result.count("<img") == 3
    assert "And 3 more." in result  # with the scratch, and a good part that is no longer checked


def test_a_thumbnail_that_is_gone_hides_nothing_else(card, monkeypatch):
    monkeypatch.setattr(
        "mambaad_demo.ui.promotion_card.thumbnail_uri", lambda workspace, sha256: "data:image/gif;base64,"
    )
    assert "scratch.png" in card.tried("cap-2")[card.parts.result]


def test_the_active_version_itself_is_shown_in_one_column(card):
    activate(card, "cap-2")
    result = card.tried("cap-2")[card.parts.result]
    assert "cap-2 is the active version itself." in result
    assert result.count('<th scope="col">cap-2</th>') == 3
    assert "still an escape" in result


def test_a_finished_training_can_choose_its_version(card):
    assert card.parts.show("cap-2", CATEGORY) == {
        card.parts.version: gr.update(choices=["cap-1", "cap-2", "mambaad"], value="cap-2"),
        card.parts.category: gr.update(choices=[("cap", CATEGORY)], value=CATEGORY),
    }


def test_a_golden_set_of_another_product_is_tried_when_chosen(card):
    add_golden(card.desk.shared, {"old.png": (0.6, Finding.DEFECT)}, product="old line", start=9)
    page = card.tried("cap-2", product="old line")
    tried = page[card.parts.tried]
    assert replace(tried, escapes=frozenset()) == Tried(
        version="cap-2", category=CATEGORY, product="old line"
    )
    assert len(tried.escapes) == 1
    assert "old.png" in page[card.parts.result]
    assert "4 pictures, was not tried" in page[card.parts.result]


def test_nothing_is_public_and_replays_have_a_lane_of_their_own(card):
    assert {fn.api_visibility for fn in card.blocks.fns.values()} == {"private"}
    for name in ("try_version", "promote_version"):
        assert card.event(name).concurrency_id == "golden"


def test_every_handler_asks_whose_store_it_is(card, monkeypatch):
    monkeypatch.setattr(gr, "Info", lambda words: None)
    card.call("open_page", None, None, None, "", "")
    for name in ("choose_version", "choose_product", "catch_up"):
        card.call(name, "cap-1", CATEGORY, CATEGORY)
    card.call("choose_category", "cap-1", CATEGORY)
    card.tried("cap-1")
    card.promoted(None)
    card.call("roll_back", "cap-1", CATEGORY, CATEGORY, 0, "note", "")
    card.call("discard", "cap-2", CATEGORY, CATEGORY, "")
    assert card.desk.asked == [REQUEST] * 9


def test_others_see_neither_golden_pictures_nor_promotions(card):
    activate(card, "cap-1")
    card.desk.shared = card.desk.shared.of("others")
    page = card.call("open_page", "cap-1", CATEGORY, CATEGORY, "", "")
    assert "is empty" in page[card.parts.status]
    assert page[card.parts.history].strip() == ""
    assert "scratch.png" not in card.tried("cap-2")[card.parts.result]


def test_a_part_that_leaves_the_golden_set_is_no_longer_tried(card):
    before = card.tried("cap-2")[card.parts.result]
    assert "scratch.png" in before
    know(card.desk.shared, image_ids(card.desk.shared)["scratch.png"], Finding.DEFECT, is_golden=False)
    assert "Blocked" not in card.tried("cap-2")[card.parts.result]


def test_a_stranger_may_have_so_many_pictures_of_a_golden_set_judged(card):
    with few_pictures(7):
        page = card.tried("cap-1")
    assert "count as 8 pictures" in page[card.parts.notice]  # four under each version
    assert page[card.parts.try_out]["interactive"]
    with few_pictures(8):
        assert card.tried("cap-1")[card.parts.tried] is not None
