"""What the Review page is given to draw: enough to decide, and nothing that gives a hidden repeat away."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from mambaad_demo.pipeline.labeling import Finding, Label, Severity
from mambaad_demo.pipeline.prediction import Limits
from mambaad_demo.storage import labels, review
from mambaad_demo.storage.inspections import inspections
from mambaad_demo.storage.masks import mask_png
from mambaad_demo.storage.review import Pace
from mambaad_demo.ui.present_review import pace_text, review_value
from mambaad_demo.ui.reviewing import Form, Shown, Sitting, begin
from mambaad_demo.workflow import rendering
from mambaad_demo.workflow.batches import BatchSpec
from tests.workflow.stored import (
    HEIGHT,
    WIDTH,
    Scorer,
    image_ids,
    inspected,
    part,
    parts,
    queue_of,
    workspace,
)

__all__ = ["workspace"]


def picture(uri, kind="png"):
    start = f"data:image/{kind};base64,"
    assert uri.startswith(start)
    with Image.open(io.BytesIO(base64.b64decode(uri.removeprefix(start)))) as image:
        return np.asarray(image.convert("RGBA"))


def shown(workspace, name="a", *, reviewer="mira", is_repeat=False):
    """What the page draws of one part."""
    sitting = Sitting(
        queue=queue_of(reviewer), seen=(Shown(image_ids(workspace)[name], is_repeat),), position=0
    )
    return review_value(workspace, sitting)["item"]


def say(workspace, name="a", finding="defect", *, reviewer="mira", mask=None, is_golden=None, **label):
    said = Label(finding=Finding(finding), mask=None if mask is None else mask_png(mask), **label)
    return labels.decide(workspace, image_ids(workspace)[name], said, reviewer=reviewer, is_golden=is_golden)


def block(width=WIDTH, height=HEIGHT):
    mask = np.zeros((height, width), bool)
    mask[height // 3 : height // 2, width // 4 : width // 2] = True
    return mask


def test_before_a_sitting_there_is_nothing_to_draw(workspace):
    value = review_value(workspace, None)
    assert value["item"] is None
    assert value["queue"]["items"] == []
    json.dumps(value)


def test_a_part_comes_with_its_picture_heat_map_and_facts(workspace):
    inspected(
        workspace,
        {"a": part(0.6)},
        predictor=Scorer(name="newer"),
        spec=BatchSpec(checkpoint="newer", product="bottle_cap"),
    )
    item = shown(workspace)
    (one,) = inspections(workspace)
    assert (item["image"], item["name"], item["product"], item["verdict"]) == (
        one.image_id,
        "a",
        "bottle cap",
        "reject",
    )
    facts = dict(item["facts"])
    assert facts["score"] == "0.600 · ×1.20 of limit"
    assert facts["first verdict"].startswith("reject, by newer ")
    assert picture(item["preview"], "jpeg").shape == (HEIGHT, WIDTH, 4)
    assert picture(item["heat"]).shape == (12, 16, 4)  # at model resolution, without padding
    assert item["form"] == Form().model_dump(mode="json") | {"finding": ""}
    assert (item["history"], item["kept"], item["types"]) == ([], "", [])


def test_a_part_without_limits_says_so(workspace):
    inspected(workspace, {"a": part(0.6)}, predictor=Scorer(limits=Limits()))
    item = shown(workspace)
    assert dict(item["facts"])["score"].endswith("no limit")
    assert item["predicted"] == ""


def test_the_mask_starts_from_what_the_model_would_mark(workspace):
    inspected(workspace, {"a": part(0.6, width=300, height=200), "good": part(0.1, 1)})
    (rejected, _) = (
        inspections(workspace) if inspections(workspace)[0].name == "a" else reversed(inspections(workspace))
    )
    drawn = picture(shown(workspace)["predicted"])
    expected = rendering.predicted_mask_at(workspace, rejected, 300, 200)
    assert np.array_equal(drawn[..., 3] > 127, expected)
    assert set(np.unique(drawn[..., 3])) == {0, 255}
    assert (drawn[expected] == 255).all()
    assert shown(workspace, "good")["predicted"] == ""


def test_the_form_shows_the_reviewers_own_word_and_the_history_everybodys(workspace):
    inspected(workspace, {"a": part(0.6)})
    say(workspace, reviewer="jo", finding="good", note="looks fine")
    say(workspace, defect_type="bent", severity=Severity.MAJOR, note="<b>left</b>\nedge", mask=block())
    item = shown(workspace)
    assert item["form"] == {
        "finding": "defect",
        "defect_type": "bent",
        "severity": "major",
        "note": "<b>left</b>\nedge",
        "is_golden": False,
        "mask": "",
    }
    assert [line["text"] for line in item["history"]] == ["jo: good", "mira: defect, bent, major, with mask"]
    assert [line["undone"] for line in item["history"]] == [False, False]
    assert item["types"] == ["bent"]
    assert shown(workspace, reviewer="jo")["form"]["finding"] == "good"
    assert shown(workspace, reviewer="ada")["form"]["finding"] == ""


def test_what_was_taken_back_stands_in_the_form_without_its_finding(workspace):
    inspected(workspace, {"a": part(0.6)})
    say(workspace, note="kept text")
    labels.undo(workspace, reviewer="mira")
    item = shown(workspace)
    assert (item["form"]["finding"], item["form"]["note"]) == ("", "kept text")
    assert [line["undone"] for line in item["history"]] == [True]


def test_the_golden_box_is_ticked_where_the_part_is_in_the_set(workspace):
    inspected(workspace, {"a": part(0.6)})
    say(workspace, reviewer="jo", is_golden=True)
    assert shown(workspace)["form"]["is_golden"] is True


def test_a_stored_mask_is_drawn_to_the_pixel(workspace):
    inspected(workspace, {"a": part(0.6, width=300, height=200)})
    mask = block(300, 200)
    say(workspace, mask=mask)
    assert np.array_equal(picture(shown(workspace)["kept"])[..., 3] > 127, mask)
    assert np.array_equal(picture(shown(workspace, reviewer="jo")["kept"])[..., 3] > 127, mask)


def test_a_stored_mask_that_is_too_fine_for_the_screen_is_still_kept(workspace):
    inspected(workspace, {"a": part(0.6, width=2048, height=1200)})
    mask = np.zeros((1200, 2048), bool)
    mask[500, 1000] = True  # between the pixels of the copy that the page draws
    say(workspace, mask=mask)
    assert (
        shown(workspace)["kept"] != ""
    )  # else the page sends no mask with the next decision, and it is lost


class TestBlind:
    """Where everybody sees every part, nobody knows what the others said before they have spoken."""

    def item(self, workspace, reviewer):
        queue = queue_of(reviewer, is_shared=False)
        sitting = Sitting(queue=queue, seen=(Shown(image_ids(workspace)["a"]),), position=0)
        return review_value(workspace, sitting)["item"]

    @pytest.fixture
    def spoken_by_jo(self, workspace):
        inspected(workspace, {"a": part(0.6)})
        say(workspace, reviewer="jo", note="jo says bent", mask=block())
        return workspace

    def test_before_the_own_word_nothing_of_others_is_shown(self, spoken_by_jo):
        item = self.item(spoken_by_jo, "mira")
        assert (item["history"], item["kept"], item["form"]["finding"]) == ([], "", "")
        assert "jo" not in json.dumps({key: item[key] for key in ("history", "form", "facts")})

    def test_after_it_the_page_tells_everything(self, spoken_by_jo):
        say(spoken_by_jo, finding="good")
        assert len(self.item(spoken_by_jo, "mira")["history"]) == 2

    def test_ones_own_word_is_always_known(self, spoken_by_jo):
        item = self.item(spoken_by_jo, "jo")
        assert item["form"]["note"] == "jo says bent"
        assert item["kept"]

    def test_taking_the_own_word_back_hides_the_others_again(self, spoken_by_jo):
        say(spoken_by_jo, finding="good", note="mine")
        labels.undo(spoken_by_jo, reviewer="mira")
        item = self.item(spoken_by_jo, "mira")
        assert [line["note"] for line in item["history"]] == ["mine"]
        assert item["kept"] == ""


class TestHiddenRepeats:
    """Nothing tells a repeat from a fresh part."""

    @pytest.fixture
    def full(self, workspace):
        """A part about which everything has been said, beside one about which nothing has."""
        inspected(workspace, {"a": part(0.6, 1)})
        inspected(workspace, {"fresh": part(0.6, 2)})
        words = {"defect_type": "bent", "severity": Severity.MAJOR, "note": "secret"}
        say(workspace, **words, mask=block(), is_golden=True)
        labels.save_draft(
            workspace,
            image_ids(workspace)["a"],
            Form(note="secret draft", is_golden=True).model_dump(mode="json"),
            reviewer="mira",
        )
        return workspace

    def test_a_repeat_shows_what_a_fresh_part_shows(self, full):
        repeat, fresh = shown(full, is_repeat=True), shown(full, "fresh")
        own = {"image", "name", "facts", "preview", "heat"}
        assert {key: value for key, value in repeat.items() if key not in own} == {
            key: value for key, value in fresh.items() if key not in own
        }
        assert [term for term, _ in repeat["facts"]] == [term for term, _ in fresh["facts"]]
        assert "secret" not in json.dumps(repeat)

    def test_the_same_part_shown_openly_tells_everything(self, full):
        item = shown(full)
        assert item["form"]["note"] == "secret draft"
        assert item["kept"]
        assert item["history"]
        assert item["form"]["is_golden"]

    def test_the_queue_beside_it_gives_nothing_away(self, workspace):
        inspected(workspace, parts(12))
        ids = list(image_ids(workspace).values())
        for image in ids[:10]:
            labels.decide(workspace, image, Label(finding=Finding.GOOD), reviewer="mira")
        sitting = begin(workspace, queue_of("mira"))
        assert sitting.shown.is_repeat
        value = review_value(workspace, sitting)
        assert value["queue"]["left"] == 2
        assert sitting.shown.image not in {one["image"] for one in value["queue"]["items"]}
        assert "repeat" not in json.dumps(value).lower()


class TestQueue:
    """Who comes next, beside the part."""

    def test_it_lists_the_next_parts_without_the_one_on_the_screen(self, workspace):
        inspected(workspace, {f"{number}": part(number / 10, number) for number in range(10)})
        sitting = begin(workspace, queue_of("mira"))
        queue = review_value(workspace, sitting)["queue"]
        assert queue["left"] == 9
        assert len(queue["items"]) == 6
        assert sitting.shown.image not in {one["image"] for one in queue["items"]}
        first = queue["items"][0]
        assert (
            first["image"]
            == review.waiting(workspace, sitting.queue, seen=[sitting.shown.image])[1][0].image_id
        )
        assert picture(first["picture"], "jpeg").shape == (HEIGHT, WIDTH, 4)

    def test_at_the_end_it_says_how_many_were_seen(self, workspace):
        inspected(workspace, {"a": part(0.5)})
        sitting = begin(workspace, queue_of("mira"))
        ended = Sitting(queue=sitting.queue, seen=sitting.seen, position=1)
        value = review_value(workspace, ended)
        assert value["item"] is None
        assert (value["queue"]["left"], value["queue"]["seen"]) == (0, 1)

    def test_the_problem_of_the_last_press_is_told(self, workspace):
        assert review_value(workspace, Sitting(queue=queue_of("mira"), problem="No."))["problem"] == "No."


@pytest.mark.parametrize(
    ("pace", "text"),
    [
        (Pace(decided=0, median_seconds=None), "0 decided"),
        (Pace(decided=63, median_seconds=4.125), "63 decided · 4.1 s each"),
    ],
)
def test_pace_in_words(pace, text):
    assert pace_text(pace) == text


def test_text_from_people_stays_text(workspace):
    hostile = "<img src=x onerror=alert(1)>${7*7}{{7*7}}"
    inspected(workspace, {hostile: part(0.6)}, spec=BatchSpec(checkpoint="scorer", product=hostile))
    say(workspace, hostile, reviewer=hostile, defect_type=hostile, note=hostile)
    item = shown(workspace, hostile, reviewer=hostile)
    assert item["name"] == hostile  # for `textContent`, which escapes nothing twice
    assert item["form"]["note"] == item["history"][0]["note"] == hostile
    assert item["types"] == [hostile]
    json.loads(json.dumps(item))
