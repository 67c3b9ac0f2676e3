"""A reviewer's sitting: what each key does, and that no decision lands on another part than was shown."""

import base64
import io
import struct
import zlib
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from PIL import Image

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Collection, Finding, Label, Severity
from mambaad_demo.storage import collecting, labels, review
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.listing import Decided
from mambaad_demo.storage.masks import mask_of, mask_png
from mambaad_demo.ui.present_review import review_value
from mambaad_demo.ui.reviewing import Action, Form, Sitting, act, begin, mask_of_form, stretched
from tests.workflow.stored import HEIGHT, WIDTH, image_ids, inspected, part, parts, queue_of, workspace

__all__ = ["workspace"]

LONGEST_MASK = 4 * 2**20


def decide(sitting, finding="good", **form):
    teach = form.pop("teach", False)
    return Action(
        do="decide",
        image=sitting.shown.image,
        finding=Finding(finding),
        teach=teach,
        seconds=2.5,
        form=Form(**form),
    )


def press(workspace, sitting, do, **values):
    return act(workspace, sitting, Action(do=do, **values))


def name_of(workspace, sitting):
    """What is on the screen."""
    if sitting.shown is None:
        return None
    return {image: name for name, image in image_ids(workspace).items()}[sitting.shown.image]


def drawn(mask):
    """A mask (h, w) as the page sends it: white where it is, nothing elsewhere."""
    pixels = np.zeros((*mask.shape, 4), np.uint8)
    pixels[mask] = 255
    return uri(png(Image.fromarray(pixels)))


def png(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def uri(content):
    return "data:image/png;base64," + base64.b64encode(content).decode()


def claiming(width, height, *first):
    """A small PNG that claims to be of any size, perhaps behind chunks that do not belong there."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    rows = height if width * height < 5 * 10**6 else 1  # what is larger must be refused by its header
    data = b"IDAT" + zlib.compress((b"\0" + b"\xff" * 4 * min(width, 5000)) * rows)
    chunks = b"".join(
        struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        for body in (*first, header, data, b"IEND")
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


def random_mask(width=WIDTH, height=HEIGHT, seed=0):
    return np.random.default_rng(seed).random((height, width)) < 0.3


def kept(workspace, image):
    """The mask of the newest decision, (H, W) bool, or None."""
    newest = labels.history(workspace, image)[-1]
    return (
        None
        if newest.mask_sha256 is None
        else mask_of(workspace.files.read(FileKind.MASK, newest.mask_sha256))
    )


def form_on_screen(workspace, sitting):
    return review_value(workspace, sitting)["item"]["form"]


@pytest.fixture
def five(workspace):
    """Five parts, a to e in the order of the queue."""
    scores = {"a": 0.5, "b": 0.45, "c": 0.56, "d": 0.3, "e": 0.2}
    inspected(workspace, {name: part(score, number) for number, (name, score) in enumerate(scores.items())})
    return workspace


class TestGoing:
    """Which part is on the screen."""

    def test_a_sitting_begins_with_the_most_doubtful_part(self, five):
        sitting = begin(five, queue_of("mira"))
        assert name_of(five, sitting) == "a"
        assert sitting.problem == ""

    def test_a_sitting_over_nothing_shows_nothing_and_takes_every_key(self, workspace):
        sitting = begin(workspace, queue_of("mira"))
        for do in ("next", "previous", "undo", "redo", "next"):
            sitting = press(workspace, sitting, do)
            assert sitting.shown is None

    def test_each_decision_brings_the_next_part_until_none_is_left(self, five):
        sitting, seen = begin(five, queue_of("mira")), []
        while sitting.shown is not None:
            seen.append(name_of(five, sitting))
            sitting = act(five, sitting, decide(sitting))
        assert seen == list("abcde")
        assert len(labels.labeled_images(five)) == 5

    def test_a_skipped_part_can_be_gone_back_to(self, five):
        sitting = begin(five, queue_of("mira"))
        shown = [name_of(five, sitting)]
        for do in ("next", "next", "previous", "previous", "previous", "next"):
            sitting = press(five, sitting, do)
            shown.append(name_of(five, sitting))
        assert shown == ["a", "b", "c", "b", "a", "a", "b"]
        assert labels.labeled_images(five) == []

    def test_a_skipped_part_comes_back_in_a_new_sitting(self, five):
        sitting = press(five, begin(five, queue_of("mira")), "next")
        while sitting.shown is not None:
            sitting = act(five, sitting, decide(sitting))
        assert name_of(five, begin(five, queue_of("mira"))) == "a"

    def test_past_the_end_previous_shows_the_last_part_again(self, workspace):
        inspected(workspace, {"a": part(0.5)})
        sitting = begin(workspace, queue_of("mira"))
        for do in ("next", "next"):
            sitting = press(workspace, sitting, do)
        assert sitting.shown is None
        assert name_of(workspace, press(workspace, sitting, "previous")) == "a"

    def test_a_part_chosen_by_hand_is_shown(self, five):
        sitting = begin(five, queue_of("mira"))
        sitting = press(five, sitting, "open", image=image_ids(five)["d"])
        assert name_of(five, sitting) == "d"

    @pytest.mark.parametrize("image", [0, -1, 999, 2**31, 2**63, 2**80])
    def test_a_part_that_is_not_there_cannot_be_opened(self, five, image):
        sitting = begin(five, queue_of("mira"))
        with pytest.raises(InputError):
            act(five, sitting, Action.read({"do": "open", "image": image}))

    def test_a_part_of_another_workspace_cannot_be_opened(self, five):
        stranger = five.of("stranger")
        inspected(stranger, parts(1))
        sitting = begin(stranger, queue_of("eve"))
        with pytest.raises(InputError):
            press(stranger, sitting, "open", image=image_ids(five)["a"])

    def test_a_reviewer_without_a_name_cannot_begin(self, five):
        with pytest.raises(InputError, match="name"):
            begin(five, queue_of(" "))

    def test_after_an_undo_the_part_that_waited_on_the_screen_comes_next(self, five):
        sitting = begin(five, queue_of("mira"))
        sitting = act(five, sitting, decide(sitting))
        assert name_of(five, sitting) == "b"
        sitting = press(five, sitting, "undo")
        assert name_of(five, sitting) == "a"
        sitting = act(five, sitting, decide(sitting, "defect"))
        assert name_of(five, sitting) == "b"

    def test_after_a_part_chosen_by_hand_the_one_that_was_on_the_screen_comes_next(self, five):
        sitting = begin(five, queue_of("mira"))
        sitting = press(five, sitting, "open", image=image_ids(five)["d"])
        sitting = act(five, sitting, decide(sitting))
        assert name_of(five, sitting) == "a"

    def test_every_part_gets_its_decision_whatever_is_taken_back_on_the_way(self, five):
        sitting = begin(five, queue_of("mira"))
        for _ in range(3):
            sitting = act(five, sitting, decide(sitting))
        for do in ("undo", "undo", "redo", "undo", "undo"):
            sitting = press(five, sitting, do)
        while sitting.shown is not None:
            sitting = act(five, sitting, decide(sitting, "defect"))
        assert {one.name: one.finding for one in labels.labeled_images(five)} == dict.fromkeys(
            "abcde", "defect"
        )

    @pytest.mark.parametrize("way", ["undo", "open", "previous"])
    def test_what_is_on_the_screen_is_not_given_to_others(self, five, way):
        sitting = begin(five, queue_of("mira"))
        if way == "undo":
            sitting = press(five, act(five, sitting, decide(sitting)), "undo")
        elif way == "open":
            sitting = press(five, sitting, "open", image=image_ids(five)["b"])
        else:
            sitting = press(five, press(five, sitting, "next"), "previous")
        other = begin(five, queue_of("jo"))
        assert other.shown.image != sitting.shown.image


class TestDeciding:
    """What is recorded."""

    def test_a_decision_says_all_that_stood_in_the_form(self, five):
        sitting = begin(five, queue_of("mira"))
        image = sitting.shown.image
        act(
            five,
            sitting,
            decide(
                sitting,
                "defect",
                defect_type=" bent\n",
                severity="major",
                note="=1+1\nedge <b>",
                is_golden=True,
            ),
        )
        (one,) = labels.history(five, image)
        assert (one.finding, one.defect_type, one.severity) == (Finding.DEFECT, "bent", Severity.MAJOR)
        assert (one.note, one.seconds, one.reviewer, one.is_repeat) == ("=1+1\nedge <b>", 2.5, "mira", False)
        assert one.inspection_id == review.turn_of(five, image).inspection.id
        assert collecting.collections_of(five, image) == {Collection.GOLDEN}
        assert labels.products(five) == {"cap": ["bent"]}

    def test_a_decision_on_a_part_that_left_the_screen_is_refused(self, five):
        before = begin(five, queue_of("mira"))
        late = decide(before)
        after = press(five, before, "next")
        with pytest.raises(InputError, match="changed meanwhile"):
            act(five, after, late)
        assert labels.labeled_images(five) == []

    def test_a_decision_with_nothing_on_the_screen_is_refused(self, five):
        action = Action(do="decide", image=image_ids(five)["a"], finding=Finding.GOOD)
        with pytest.raises(InputError):
            act(five, Sitting(queue=queue_of("mira")), action)

    def test_a_decision_without_a_word_is_refused(self, five):
        sitting = begin(five, queue_of("mira"))
        with pytest.raises(InputError, match="good or defective"):
            act(five, sitting, Action(do="decide", image=sitting.shown.image))
        with pytest.raises(InputError, match="no picture"):
            act(five, sitting, Action(do="decide", finding=Finding.GOOD))

    def test_a_good_part_that_was_rejected_can_be_taught(self, five):
        sitting = begin(five, queue_of("mira"))
        image = sitting.shown.image
        act(five, sitting, decide(sitting, "good", teach=True))
        assert collecting.collections_of(five, image) == {Collection.TEACH}
        assert labels.history(five, image)[-1].finding is Finding.GOOD

    @pytest.mark.parametrize("finding", ["defect", "unsure"])
    def test_what_is_not_good_cannot_be_taught_and_nothing_is_recorded(self, five, finding):
        sitting = begin(five, queue_of("mira"))
        with pytest.raises(InputError):
            act(five, sitting, decide(sitting, finding, teach=True))
        assert labels.labeled_images(five) == []

    def test_a_part_that_stays_unsure_does_not_join_the_golden_set(self, five):
        sitting = begin(five, queue_of("mira"))
        act(five, sitting, decide(sitting, "unsure", is_golden=True))
        assert collecting.members(five, Collection.GOLDEN) == []

    def test_a_part_leaves_the_golden_set_when_it_is_unticked(self, five):
        sitting = begin(five, queue_of("mira"))
        sitting = press(five, act(five, sitting, decide(sitting, is_golden=True)), "previous")
        assert form_on_screen(five, sitting)["is_golden"]
        act(five, sitting, decide(sitting, is_golden=False))
        assert collecting.members(five, Collection.GOLDEN) == []

    def test_a_mask_that_does_not_fit_leaves_everything_as_it_was(self, five):
        sitting = begin(five, queue_of("mira"))
        with pytest.raises(InputError):
            act(five, sitting, decide(sitting, "defect", mask="data:image/png;base64,AAAA"))
        assert labels.labeled_images(five) == []
        assert name_of(five, sitting) == "a"

    def test_a_new_word_on_a_part_replaces_the_one_before(self, five):
        sitting = begin(five, queue_of("mira"))
        image = sitting.shown.image
        sitting = press(five, act(five, sitting, decide(sitting, "good")), "previous")
        act(five, sitting, decide(sitting, "defect"))
        assert [one.finding for one in labels.history(five, image)] == [Finding.GOOD, Finding.DEFECT]
        assert labels.labeled_images(five)[0].finding is Finding.DEFECT


class TestUndo:
    """Taking back and bringing back."""

    def test_undo_shows_the_part_again_with_the_form_and_the_mask_as_they_were(self, five):
        mask = random_mask()
        sitting = begin(five, queue_of("mira"))
        image = sitting.shown.image
        said = {"defect_type": "bent", "severity": "minor", "note": "left edge"}
        sitting = act(five, sitting, decide(sitting, "defect", mask=drawn(mask), **said))

        sitting = press(five, sitting, "undo")

        assert sitting.shown.image == image
        assert labels.labeled_images(five) == []
        item = review_value(five, sitting)["item"]
        assert {name: item["form"][name] for name in said} == said
        assert item["form"]["finding"] == ""
        assert item["kept"]

        act(five, sitting, decide(sitting, "defect", mask="kept", **said))
        assert np.array_equal(kept(five, image), mask)

    def test_redo_brings_the_decision_back_as_it_was(self, five):
        mask = random_mask()
        sitting = begin(five, queue_of("mira"))
        image = sitting.shown.image
        sitting = act(five, sitting, decide(sitting, "defect", defect_type="bent", mask=drawn(mask)))
        (before,) = labels.labeled_images(five)
        sitting = press(five, press(five, sitting, "undo"), "redo")
        assert labels.labeled_images(five) == [before]
        assert sitting.shown.image == image
        item = review_value(five, sitting)["item"]
        assert (item["form"]["finding"], item["form"]["defect_type"]) == ("defect", "bent")
        assert item["kept"]

    def test_many_decisions_are_taken_back_and_brought_back_in_order(self, five):
        sitting = begin(five, queue_of("mira"))
        for finding in ("good", "defect", "unsure"):
            sitting = act(five, sitting, decide(sitting, finding))
        before = labels.labeled_images(five)
        shown = []
        for do in ("undo", "undo", "undo"):
            sitting = press(five, sitting, do)
            shown.append(name_of(five, sitting))
        assert shown == ["c", "b", "a"]
        assert labels.labeled_images(five) == []
        assert press(five, sitting, "undo").problem == "There is nothing to undo."
        for _ in range(3):
            sitting = press(five, sitting, "redo")
        assert labels.labeled_images(five) == before
        assert press(five, sitting, "redo").problem == "There is nothing to redo."

    def test_a_problem_is_told_once(self, five):
        sitting = press(five, begin(five, queue_of("mira")), "undo")
        assert sitting.problem
        assert press(five, sitting, "next").problem == ""

    @pytest.mark.parametrize("typed", ["mira ", "  mira", "Mira\tvan  Dijk"])
    def test_spaces_around_a_name_make_no_other_person(self, five, typed):
        sitting = begin(five, queue_of(typed))
        sitting = act(five, sitting, decide(sitting, "defect", note="mine", mask=drawn(random_mask())))
        sitting = press(five, sitting, "undo")
        item = review_value(five, sitting)["item"]
        assert item["form"]["note"] == "mine"
        act(five, sitting, decide(sitting, "defect", mask="kept"))
        assert np.array_equal(kept(five, sitting.shown.image), random_mask())

    def test_nobody_takes_back_what_another_said(self, five):
        sitting = begin(five, queue_of("mira"))
        act(five, sitting, decide(sitting))
        assert press(five, begin(five, queue_of("jo")), "undo").problem == "There is nothing to undo."
        assert len(labels.labeled_images(five)) == 1

    def test_undo_reaches_back_beyond_a_killed_tab(self, five):
        sitting = begin(five, queue_of("mira"))
        act(five, sitting, decide(sitting, "defect", note="before the crash"))
        sitting = press(five, begin(five, queue_of("mira")), "undo")
        assert name_of(five, sitting) == "a"
        assert form_on_screen(five, sitting)["note"] == "before the crash"


class TestDrafts:
    """What was typed and not decided."""

    FORM = Form(defect_type="bent", severity=Severity.MAJOR, note="half a sen", is_golden=True)

    def drafted(self, workspace, sitting, **changes):
        form = self.FORM.model_copy(update=changes)
        return press(workspace, sitting, "draft", image=sitting.shown.image, form=form)

    def test_a_draft_survives_a_killed_tab_and_ends_with_the_decision(self, five):
        sitting = begin(five, queue_of("mira"))
        mask = drawn(random_mask())
        assert self.drafted(five, sitting, mask=mask) == sitting

        sitting = begin(five, queue_of("mira"))
        form = form_on_screen(five, sitting)
        assert (form["note"], form["defect_type"], form["severity"]) == ("half a sen", "bent", "major")
        assert (form["is_golden"], form["mask"]) == (True, mask)
        assert labels.labeled_images(five) == []

        image = sitting.shown.image
        sitting = press(five, act(five, sitting, decide(sitting, "defect", note="whole")), "previous")
        assert sitting.shown.image == image
        assert form_on_screen(five, sitting)["note"] == "whole"
        assert form_on_screen(five, sitting)["mask"] == ""

    def test_the_newest_draft_counts(self, five):
        sitting = begin(five, queue_of("mira"))
        self.drafted(five, sitting, note="first")
        self.drafted(five, sitting, note="second")
        assert form_on_screen(five, sitting)["note"] == "second"

    def test_a_draft_is_its_writers_own(self, five):
        sitting = begin(five, queue_of("mira", is_shared=False))
        self.drafted(five, sitting)
        other = begin(five, queue_of("jo", is_shared=False))
        assert other.shown == sitting.shown
        assert form_on_screen(five, other)["note"] == ""

    def test_a_draft_that_comes_late_is_not_put_on_another_part(self, five):
        sitting = begin(five, queue_of("mira"))
        late = Action(do="draft", image=sitting.shown.image, form=self.FORM)
        after = act(five, sitting, decide(sitting, note="said"))
        act(five, after, late)
        assert labels.draft(five, sitting.shown.image, reviewer="mira") is None
        assert form_on_screen(five, after)["note"] == ""

    @pytest.mark.parametrize("do", ["draft", "renew"])
    def test_a_part_that_is_worked_on_is_kept_from_others(self, five, monkeypatch, do):
        sitting = begin(five, queue_of("mira"))
        for _ in range(3):
            later = review.now() + timedelta(seconds=review.CLAIM_SECONDS - 1)
            monkeypatch.setattr(review, "now", lambda moment=later: moment)
            assert press(five, sitting, do, image=sitting.shown.image) == sitting
        assert name_of(five, begin(five, queue_of("jo"))) != name_of(five, sitting)

    def test_where_everybody_sees_every_part_nothing_is_kept_from_others(self, five):
        sitting = begin(five, queue_of("mira", is_shared=False))
        press(five, sitting, "renew", image=sitting.shown.image)
        assert begin(five, queue_of("jo")).shown == sitting.shown

    def test_a_draft_changes_nothing_else(self, five):
        sitting = begin(five, queue_of("mira"))
        self.drafted(five, sitting)
        assert collecting.members(five, Collection.GOLDEN) == []
        assert labels.history(five, sitting.shown.image) == []


class TestRepeats:
    """A part shown once more without saying so."""

    @pytest.fixture
    def repeat(self, workspace, monkeypatch):
        """A sitting with a hidden repeat on the screen, which comes sooner than usual."""
        monkeypatch.setattr(review, "REPEAT_EVERY", 4)
        monkeypatch.setattr(review, "REPEAT_DISTANCE", 2)
        inspected(workspace, parts(8))
        sitting = begin(workspace, queue_of("mira"))
        for _ in range(4):
            sitting = act(
                workspace,
                sitting,
                decide(sitting, "defect", note="n", mask=drawn(random_mask()), is_golden=True),
            )
        assert sitting.shown.is_repeat
        return sitting

    def test_its_decision_is_a_measurement_and_not_the_reviewers_word(self, workspace, repeat):
        act(workspace, repeat, decide(repeat, "good"))
        assert labels.repeats(workspace) == [("mira", Finding.DEFECT, Finding.GOOD)]
        assert {one.finding for one in labels.labeled_images(workspace)} == {Finding.DEFECT}

    def test_the_next_part_is_a_fresh_one(self, workspace, repeat):
        sitting = act(workspace, repeat, decide(repeat))
        assert not sitting.shown.is_repeat
        assert sitting.shown.image not in {shown.image for shown in repeat.seen}

    def test_its_empty_form_takes_nothing_out_of_the_golden_set(self, workspace, repeat):
        act(workspace, repeat, decide(repeat))
        assert Collection.GOLDEN in collecting.collections_of(workspace, repeat.shown.image)

    def test_one_that_was_skipped_does_not_come_at_every_press(self, workspace, repeat):
        sitting = repeat
        for _ in range(3):
            sitting = press(workspace, sitting, "next")
            assert not sitting.shown.is_repeat

    def test_a_draft_on_it_is_not_kept(self, workspace, repeat):
        image = repeat.shown.image
        press(workspace, repeat, "draft", image=image, form=Form(note="secret"))
        assert labels.draft(workspace, image, reviewer="mira") is None

    def test_it_is_undone_like_any_other(self, workspace, repeat):
        sitting = press(workspace, act(workspace, repeat, decide(repeat)), "undo")
        assert sitting.shown == repeat.shown
        assert labels.repeats(workspace) == []

    def test_going_through_decided_parts_shows_the_word_that_stands(self, workspace, repeat):
        sitting = begin(workspace, queue_of("mira", decided=Decided.SOMEBODY))
        assert not sitting.shown.is_repeat
        assert form_on_screen(workspace, sitting)["finding"] == "defect"


class TestMasks:
    """From what the page drew to what is stored."""

    @pytest.fixture
    def turn(self, workspace):
        """Makes a part of some size and returns its turn."""

        def make(width, height):
            inspected(workspace, {f"{width} × {height}": part(0.6, width, width=width, height=height)})
            return review.turn_of(workspace, image_ids(workspace)[f"{width} × {height}"])

        return make

    def stored(self, workspace, turn, given):
        content = mask_of_form(workspace, turn, given, reviewer="mira")
        return None if content is None else mask_of(content)

    @pytest.mark.parametrize(("width", "height"), [(32, 24), (33, 17), (1024, 60)])
    def test_where_the_page_draws_on_the_picture_itself_every_bit_is_kept(
        self, workspace, turn, width, height
    ):
        mask = random_mask(width, height)
        assert np.array_equal(self.stored(workspace, turn(width, height), drawn(mask)), mask)

    def test_a_large_picture_takes_the_nearest_of_the_drawn_pixels(self, workspace, turn):
        part_shown = turn(2048, 1200)
        mask = random_mask(1024, 600)
        content = mask_of_form(workspace, part_shown, drawn(mask), reviewer="mira")
        assert content == mask_png(mask.repeat(2, axis=0).repeat(2, axis=1))

    def test_without_a_mask_there_is_none(self, workspace, turn):
        assert self.stored(workspace, turn(32, 24), "") is None
        assert self.stored(workspace, turn(32, 24), drawn(np.zeros((24, 32), bool))) is None
        assert self.stored(workspace, turn(32, 24), "kept") is None

    @pytest.mark.parametrize(
        ("mode", "is_marked"),
        [("RGBA", False), ("LA", False), ("1", True), ("L", True), ("RGB", True), ("I;16", True)],
    )
    def test_only_transparent_pixels_are_free(self, workspace, turn, mode, is_marked):
        mask = self.stored(workspace, turn(32, 24), uri(png(Image.new(mode, (32, 24)))))
        assert mask.all() if is_marked else mask is None

    def test_a_kept_mask_stays_to_the_bit_whatever_its_size(self, workspace, turn):
        part_shown = turn(2048, 1200)
        fine = mask_png(random_mask(2048, 1200))
        image = part_shown.inspection.image_id
        labels.decide(workspace, image, Label(finding=Finding.DEFECT, mask=fine), reviewer="mira")
        assert mask_of_form(workspace, part_shown, "kept", reviewer="mira") == fine

    def test_the_kept_mask_is_ones_own_where_one_has_spoken_and_else_the_newest(self, workspace, turn):
        part_shown = turn(32, 24)
        image = part_shown.inspection.image_id
        own, others, newest = (mask_png(random_mask(seed=seed)) for seed in range(3))
        for reviewer, mask in (("jo", others), ("mira", own), ("ada", newest)):
            labels.decide(workspace, image, Label(finding=Finding.DEFECT, mask=mask), reviewer=reviewer)
        assert mask_of_form(workspace, part_shown, "kept", reviewer="mira") == own
        assert mask_of_form(workspace, part_shown, "kept", reviewer="new one") == newest
        labels.decide(workspace, image, Label(finding=Finding.GOOD), reviewer="mira")
        assert mask_of_form(workspace, part_shown, "kept", reviewer="mira") is None

    @pytest.mark.parametrize(
        "given",
        [
            "kept ",
            "data:image/jpeg;base64,AAAA",
            "javascript:alert(1)",
            "/etc/passwd",
            "file:///etc/passwd",
            "http://127.0.0.1/mask.png",
            "data:image/png;base64,",
            "data:image/png;base64,????",
            "data:image/png;base64,é",
            uri(b"GIF89a no png"),
            uri(png(Image.new("RGBA", (32, 24), "white"))[:-30]),
            uri(png(Image.new("RGBA", (32, 24), "white"))[:60] + bytes(40)),
        ],
        ids=range(12),
    )
    def test_garbage_is_refused(self, workspace, turn, given):
        with pytest.raises(InputError):
            mask_of_form(workspace, turn(32, 24), given, reviewer="mira")

    @pytest.mark.parametrize(
        ("width", "height"),
        [(1025, 1), (1, 1025), (20_000, 20_000), (10_000, 10_000), (2**31 - 1, 2**31 - 1), (0, 5)],
    )
    def test_a_bomb_is_refused_before_it_is_unpacked(self, workspace, turn, width, height):
        with pytest.raises(InputError):
            mask_of_form(workspace, turn(32, 24), uri(claiming(width, height)), reviewer="mira")

    @pytest.mark.parametrize("side", [2000, 20_000])
    def test_a_bomb_is_refused_even_where_another_chunk_stands_before_its_size(self, workspace, turn, side):
        hiding = claiming(side, side, b"tEXt" + struct.pack(">II", 32, 24))
        with pytest.raises(InputError):
            mask_of_form(workspace, turn(32, 24), uri(hiding), reviewer="mira")

    def test_whatever_is_broken_in_a_mask_is_refused_or_harmless(self, workspace, turn):
        part_shown, random = turn(32, 24), np.random.default_rng(0)
        whole = png(Image.fromarray(random.integers(0, 256, (24, 32, 4), np.uint8)), pnginfo=None)
        for _ in range(400):
            content = bytearray(whole[: random.integers(20, len(whole) + 1)])
            for place in random.integers(8, len(content), random.integers(1, 4)):
                content[place] = random.integers(256)
            try:
                mask = self.stored(workspace, part_shown, uri(bytes(content)))
            except InputError:
                continue
            assert mask is None or mask.shape == (24, 32)

    def test_a_mask_of_another_shape_than_the_page_draws_is_refused(self, workspace, turn):
        part_shown = turn(64, 48)
        for shape in ((64, 48), (10, 10), (24, 32), (49, 64)):
            with pytest.raises(InputError):
                mask_of_form(workspace, part_shown, drawn(np.ones(shape, bool)), reviewer="mira")


class TestStretching:
    """Nearest pixels at any size."""

    @pytest.mark.parametrize(
        ("small", "large"),
        [((3, 2), (7, 5)), ((5, 4), (5, 4)), ((1, 1), (9, 3)), ((7, 5), (3, 2)), ((768, 1024), (2999, 4001))],
    )
    def test_each_pixel_takes_the_one_that_lies_at_its_center(self, small, large):
        mask = random_mask(small[1], small[0])
        result = stretched(mask, large[1], large[0])
        assert (result.shape, result.dtype) == (large, bool)
        for y, x in np.random.default_rng(1).integers((0, 0), large, (200, 2)):
            nearest = int((y + 0.5) * small[0] / large[0]), int((x + 0.5) * small[1] / large[1])
            assert result[y, x] == mask[nearest]

    def test_a_whole_multiple_repeats_every_pixel(self):
        mask = random_mask(4, 3)
        assert np.array_equal(stretched(mask, 12, 9), mask.repeat(3, axis=0).repeat(3, axis=1))

    def test_it_agrees_with_pillows_nearest(self):
        mask = random_mask(37, 23)
        pillow = Image.fromarray(mask).resize((101, 67), Image.Resampling.NEAREST)
        assert np.array_equal(stretched(mask, 101, 67), np.asarray(pillow))


class TestWhatComesFromTheBrowser:
    """Only what the page sends is taken."""

    @pytest.mark.parametrize(
        "data",
        [
            None,
            [],
            "undo",
            {},
            {"do": "delete"},
            {"do": "undo", "surprise": 1},
            {"do": "decide", "image": "one", "finding": "good"},
            {"do": "decide", "image": 1, "finding": "excellent"},
            {"do": "decide", "image": 1, "finding": "good", "seconds": -1},
            {"do": "decide", "image": 1, "finding": "good", "seconds": float("nan")},
            {"do": "decide", "image": 1, "finding": "good", "seconds": float("inf")},
            {"do": "decide", "image": 1, "finding": "good", "form": {"reviewer": "boss"}},
            {"do": "decide", "image": 1, "finding": "good", "form": {"severity": "fatal"}},
            {"do": "decide", "image": 1, "finding": "good", "form": {"note": "x" * 8001}},
            {"do": "decide", "image": 1, "finding": "good", "form": {"defect_type": "x" * 401}},
            {"do": "decide", "image": 1, "finding": "good", "form": {"mask": "x" * (LONGEST_MASK + 1)}},
            {"do": "decide", "image": 1, "finding": "good", "form": {"note": "\ud800"}},
            {"do": "draft", "image": 1, "form": [1]},
        ],
        ids=range(18),
    )
    def test_junk_is_refused(self, data):
        with pytest.raises(InputError):
            Action.read(data)

    def test_what_the_page_sends_is_read(self):
        action = Action.read(
            {
                "do": "decide",
                "image": 7,
                "finding": "defect",
                "teach": False,
                "seconds": 1.25,
                "form": {
                    "defect_type": "bent",
                    "severity": "",
                    "note": "",
                    "is_golden": False,
                    "mask": "kept",
                },
            }
        )
        assert (action.image, action.finding, action.form.mask) == (7, Finding.DEFECT, "kept")
        assert Action.read({"do": "undo"}) == Action(do="undo")

    def test_a_mask_as_large_as_the_page_can_draw_fits(self):
        worst = uri(
            png(
                Image.fromarray(
                    np.where(random_mask(1024, 1024)[..., None], 255, 0).astype(np.uint8).repeat(4, 2)
                )
            )
        )
        assert len(worst) < LONGEST_MASK
        Form(mask=worst)

    def test_a_part_looked_at_over_a_weekend_can_still_be_decided_on(self):
        Action.read({"do": "decide", "image": 7, "finding": "good", "seconds": 3 * 86_400.0})


def test_a_sitting_never_holds_more_than_it_showed(five):
    sitting = begin(five, queue_of("mira"))
    for do in ("next", "previous", "next", "next", "previous") * 4:
        sitting = press(five, sitting, do)
    assert len({shown.image for shown in sitting.seen}) == len(sitting.seen) <= 5
    assert replace(sitting, position=99).shown is None
