"""Decisions of reviewers, undone and redone, alone and beside others."""

import secrets
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from mambaad_demo.errors import InputError, StorageError
from mambaad_demo.pipeline.labeling import Collection, Finding, Label, Severity
from mambaad_demo.storage import audit, labels, text
from mambaad_demo.storage.audit import entries
from mambaad_demo.storage.collecting import members
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.labels import decide, draft, history, labeled_images, redo, save_draft, undo
from mambaad_demo.storage.masks import mask_of, mask_png
from mambaad_demo.storage.tables import Claim, now
from mambaad_demo.storage.workspace import Workspace
from tests.storage.parts import HEIGHT, PRODUCT, WIDTH, add, add_parts, judged

GOOD = Label(finding=Finding.GOOD)
SCRATCH = Label(finding=Finding.DEFECT, defect_type="scratch")
ANY_TEXT = st.text(st.characters(), max_size=300)
MANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)


@pytest.fixture
def part(workspace: Workspace) -> int:
    """The id of a picture to decide on."""
    return add_parts(workspace, 1)[0]


def standing(workspace: Workspace, image_id: int, reviewer: str) -> list[int]:
    return [
        decision.id
        for decision in history(workspace, image_id)
        if decision.reviewer == reviewer and decision.undone_at is None
    ]


class TestDeciding:
    def test_every_value_comes_back_equal(self, workspace):
        (stored,) = add(workspace, judged(1))
        mask = np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.3
        label = Label(
            finding=Finding.DEFECT,
            defect_type="Kratzer 🙂",
            severity=Severity.MAJOR,
            note="=cmd()\n<b>deep</b>",
            mask=mask_png(mask),
        )
        before = datetime.now(UTC)
        made = decide(
            workspace, stored.image_id, label, reviewer=" Mira  L", inspection_id=stored.id, seconds=1.25
        )
        assert history(workspace, stored.image_id) == [made]
        assert (made.image_id, made.inspection_id, made.reviewer) == (stored.image_id, stored.id, "Mira L")
        assert (made.finding, made.defect_type, made.severity) == (
            label.finding,
            label.defect_type,
            label.severity,
        )
        assert (made.note, made.seconds, made.is_repeat, made.undone_at) == (label.note, 1.25, False, None)
        assert before <= made.decided_at <= before + timedelta(minutes=1)
        assert np.array_equal(mask_of(workspace.files.read(FileKind.MASK, made.mask_sha256)), mask)

    @MANY
    @given(defect_type=ANY_TEXT, note=ANY_TEXT, reviewer=ANY_TEXT.filter(text.name))
    def test_any_text_comes_back_as_it_is_kept(self, workspace, part, defect_type, note, reviewer):
        label = Label(finding=Finding.DEFECT, defect_type=defect_type, note=note)
        made = decide(workspace, part, label, reviewer=reviewer)
        assert history(workspace, part)[-1] == made
        assert made.reviewer == text.name(reviewer)
        assert made.defect_type == text.name(defect_type)
        assert made.note == text.note(note)

    def test_what_says_nothing_about_a_good_part_is_not_kept(self, workspace, part):
        mask = mask_png(np.ones((HEIGHT, WIDTH), bool))
        label = Label(finding=Finding.GOOD, defect_type="dent", severity=Severity.MINOR, mask=mask, note="ok")
        made = decide(workspace, part, label, reviewer="Mira")
        assert (made.defect_type, made.severity, made.mask_sha256) == ("", Severity.UNSTATED, None)
        assert made.note == "ok"
        assert list(workspace.files.names(FileKind.MASK)) == []

    def test_a_mask_of_another_size_is_refused_and_nothing_recorded(self, workspace, part):
        label = Label(finding=Finding.DEFECT, mask=mask_png(np.ones((WIDTH, HEIGHT), bool)))
        with pytest.raises(InputError, match="are needed"):
            decide(workspace, part, label, reviewer="Mira")
        assert history(workspace, part) == []
        assert list(workspace.files.names(FileKind.MASK)) == []

    def test_equal_masks_are_one_file(self, workspace):
        label = Label(finding=Finding.DEFECT, mask=mask_png(np.ones((HEIGHT, WIDTH), bool)))
        for image_id in add_parts(workspace, 2):
            decide(workspace, image_id, label, reviewer="Mira")
        assert len(list(workspace.files.names(FileKind.MASK))) == 1

    def test_a_decision_is_kept_as_a_whole_or_not_at_all(self, workspace, part, monkeypatch):
        save_draft(workspace, part, {"note": "half"}, reviewer="Mira")
        before = entries(workspace)

        def fail(*arguments: object, **details: object) -> None:
            raise StorageError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(audit, "note", fail)
            with pytest.raises(StorageError, match="disk is full"):
                decide(workspace, part, SCRATCH, reviewer="Ben")
            with pytest.raises(StorageError, match="disk is full"):
                decide(workspace, part, SCRATCH, reviewer="Mira")
        assert history(workspace, part) == []
        assert labels.products(workspace) == {PRODUCT: []}
        assert labels.reviewers(workspace) == ["Mira"]
        assert draft(workspace, part, reviewer="Mira") == {"note": "half"}
        assert entries(workspace) == before

    def test_the_trail_says_who_decided_what(self, workspace, part):
        made = decide(workspace, part, SCRATCH, reviewer="Mira")
        (entry,) = entries(workspace)
        assert (entry.actor, entry.action) == ("Mira", "decided")
        assert entry.details == {
            "decision": made.id,
            "finding": "defect",
            "defect_type": "scratch",
            "severity": "",
            "mask": None,
            "repeat": False,
        }

    @pytest.mark.parametrize("reviewer", ["", "  ", "\x00\ud800"])
    def test_somebody_has_to_decide(self, workspace, part, reviewer):
        with pytest.raises(InputError, match="type a name"):
            decide(workspace, part, GOOD, reviewer=reviewer)

    @pytest.mark.parametrize("image_id", [0, -1, 7, 2**70])
    def test_a_picture_that_is_not_there_is_the_fault_of_who_asked(self, workspace, image_id):
        with pytest.raises(InputError, match="Load the page again"):
            decide(workspace, image_id, GOOD, reviewer="Mira")

    def test_an_inspection_of_another_picture_is_refused(self, workspace):
        first, second = add(workspace, judged(1), judged(2))
        with pytest.raises(InputError, match="another picture"):
            decide(workspace, first.image_id, GOOD, reviewer="Mira", inspection_id=second.id)
        assert history(workspace, first.image_id) == []


class TestCollections:
    def test_two_reviewers_may_put_a_part_into_the_golden_set_at_once(self, workspace, part):
        start = threading.Barrier(4, timeout=60)

        def keep(reviewer: str) -> int:
            start.wait()
            return decide(workspace, part, GOOD, reviewer=reviewer, is_golden=True).id

        with ThreadPoolExecutor(4) as threads:
            made = set(threads.map(keep, ("Mira", "Ben", "Ada", "Kim")))
        assert {decision.id for decision in history(workspace, part)} == made
        assert len(members(workspace, Collection.GOLDEN)) == 1


class TestTaxonomy:
    def test_new_types_of_defect_join_in_the_order_in_which_they_come(self, workspace, part):
        for name in ("scratch", "dent", "scratch", "", " dent "):
            decide(workspace, part, Label(finding=Finding.DEFECT, defect_type=name), reviewer="Mira")
        assert labels.products(workspace) == {PRODUCT: ["scratch", "dent"]}

    def test_types_that_come_at_once_all_join(self, workspace, part):
        start = threading.Barrier(2, timeout=60)

        def name_some(reviewer: str) -> None:
            start.wait()
            for number in range(8):
                label = Label(finding=Finding.DEFECT, defect_type=f"{reviewer} {number}")
                decide(workspace, part, label, reviewer=reviewer)

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(name_some, ("Mira", "Ben")))
        names = [f"{reviewer} {number}" for reviewer in ("Mira", "Ben") for number in range(8)]
        assert sorted(labels.products(workspace)[PRODUCT]) == sorted(names)


class TestDrafts:
    def test_a_draft_is_kept_for_each_reviewer_until_they_decide(self, workspace, part):
        save_draft(workspace, part, {"note": "ha"}, reviewer="Mira")
        save_draft(workspace, part, {"note": "half", "mask": [1, None]}, reviewer=" Mira ")
        save_draft(workspace, part, {"note": "other"}, reviewer="Ben")
        assert draft(workspace, part, reviewer=" Mira ") == {"note": "half", "mask": [1, None]}
        decide(workspace, part, GOOD, reviewer="Mira")
        assert draft(workspace, part, reviewer="Mira") is None
        assert draft(workspace, part, reviewer="Ben") == {"note": "other"}

    def test_a_draft_may_be_saved_from_two_tabs_at_once(self, workspace, part):
        start = threading.Barrier(4, timeout=60)

        def save(number: int) -> None:
            start.wait()
            save_draft(workspace, part, {"tab": number}, reviewer="Mira")

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(save, range(4)))
        assert draft(workspace, part, reviewer="Mira")["tab"] in range(4)

    def test_a_decision_ends_the_reviewers_claim_alone(self, workspace):
        mine, theirs = add_parts(workspace, 2)
        made = decide(workspace, mine, GOOD, reviewer="Mira")
        other = decide(workspace, theirs, GOOD, reviewer="Ben")
        assert made.id < other.id
        with workspace.database.writing() as session:
            for number, name in ((mine, "Mira"), (theirs, "Ben")):
                reviewer_id = labels._reviewer_id(session, workspace, name)
                session.add(Claim(image_id=number, reviewer_id=reviewer_id, until=now()))
        decide(workspace, mine, GOOD, reviewer="Mira")
        decide(workspace, theirs, GOOD, reviewer="Mira")
        with workspace.database.reading() as session:
            assert list(session.scalars(select(Claim.image_id))) == [theirs]


class TestUndoing:
    @MANY
    @given(
        st.lists(
            st.tuples(st.sampled_from(["decide", "decide", "undo", "undo", "redo"]), st.booleans()),
            min_size=1,
            max_size=14,
        )
    )
    def test_each_reviewer_goes_back_and_forth_as_in_an_editor(self, workspace, part, steps):
        names = (f"Mira {secrets.token_hex(4)}", f"Ben {secrets.token_hex(4)}")
        done: dict[str, list[int]] = {name: [] for name in names}
        undone: dict[str, list[int]] = {name: [] for name in names}
        for step, is_second in steps:
            name = names[is_second]
            if step == "decide":
                done[name].append(decide(workspace, part, GOOD, reviewer=name).id)
                undone[name].clear()
                continue
            source, target = (done, undone) if step == "undo" else (undone, done)
            moved = (undo if step == "undo" else redo)(workspace, reviewer=name)
            expected = source[name].pop() if source[name] else None
            assert (moved and moved.id) == expected
            if expected is not None:
                target[name].append(expected)
        assert {name: standing(workspace, part, name) for name in names} == done

    def test_what_is_undone_says_when_and_stays_in_the_history(self, workspace, part):
        made = decide(workspace, part, SCRATCH, reviewer="Mira")
        taken_back = undo(workspace, reviewer="Mira")
        assert history(workspace, part) == [taken_back]
        assert taken_back.undone_at >= made.decided_at
        assert redo(workspace, reviewer="Mira") == made
        assert history(workspace, part) == [made]
        assert [entry.action for entry in entries(workspace)] == ["redone", "undone", "decided"]

    def test_there_is_nothing_to_undo_or_redo_at_first(self, workspace, part):
        assert undo(workspace, reviewer="Mira") is None
        assert redo(workspace, reviewer="Mira") is None
        assert entries(workspace) == []

    def test_after_a_new_decision_nothing_is_brought_back(self, workspace, part):
        decide(workspace, part, SCRATCH, reviewer="Mira")
        undo(workspace, reviewer="Mira")
        decide(workspace, part, GOOD, reviewer="Mira")
        assert redo(workspace, reviewer="Mira") is None

    def test_a_decision_that_replaced_an_undone_one_is_the_one_brought_back(self, workspace, part):
        decide(workspace, part, GOOD, reviewer="Mira")
        decide(workspace, part, SCRATCH, reviewer="Mira")
        undo(workspace, reviewer="Mira")
        third = decide(workspace, part, GOOD, reviewer="Mira")
        undo(workspace, reviewer="Mira")
        assert redo(workspace, reviewer="Mira").id == third.id
        assert redo(workspace, reviewer="Mira") is None

    def test_two_undos_at_once_take_back_two_decisions(self, workspace, part):
        made = {decide(workspace, part, GOOD, reviewer="Mira").id for _ in range(4)}
        start = threading.Barrier(4, timeout=60)

        def take_back(_: int) -> int:
            start.wait()
            return undo(workspace, reviewer="Mira").id

        with ThreadPoolExecutor(4) as threads:
            assert set(threads.map(take_back, range(4))) == made


class TestReadingBack:
    def test_the_newest_word_of_each_reviewer_counts(self, workspace):
        first, second, third = add(workspace, *map(judged, range(3)))
        decide(workspace, first.image_id, SCRATCH, reviewer="Mira")
        decide(workspace, first.image_id, GOOD, reviewer="Mira")
        decide(workspace, first.image_id, GOOD, reviewer="Ben")
        decide(workspace, second.image_id, GOOD, reviewer="Mira")
        decide(workspace, second.image_id, SCRATCH, reviewer="Ben")
        decide(workspace, third.image_id, SCRATCH, reviewer="Mira")
        undo(workspace, reviewer="Mira")
        found = labeled_images(workspace)
        assert [(image.sha256, image.finding) for image in found] == [
            (first.sha256, Finding.GOOD),
            (second.sha256, None),
        ]
        assert found[0].reviewers == ("Mira", "Ben")
        assert (found[0].defect_type, found[1].defect_type) == ("", "scratch")
        (alone,) = labeled_images(workspace, reviewer="Ben", product=PRODUCT)[1:]
        assert (alone.finding, alone.reviewers) == (Finding.DEFECT, ("Ben",))
        assert labeled_images(workspace, product="other") == []

    def test_hidden_repeats_are_no_words_but_pairs(self, workspace):
        first, second = add_parts(workspace, 2)
        decide(workspace, first, GOOD, reviewer="Mira")
        decide(workspace, second, GOOD, reviewer="Mira")
        decide(workspace, first, SCRATCH, reviewer="Mira", is_repeat=True)
        decide(workspace, first, SCRATCH, reviewer="Ben", is_repeat=True)
        assert labels.repeats(workspace) == [("Mira", Finding.GOOD, Finding.DEFECT)]
        assert labels.repeats(workspace, product="other") == []
        assert [image.finding for image in labeled_images(workspace)] == [Finding.GOOD, Finding.GOOD]
        undo(workspace, reviewer="Mira")
        assert labels.repeats(workspace) == []


@pytest.mark.parametrize("same_picture", [True, False])
def test_of_what_two_reviewers_decide_at_once_nothing_is_lost(workspace, same_picture):
    parts = add_parts(workspace, 1 if same_picture else 10)
    start = threading.Barrier(2, timeout=60)

    def review(reviewer: str) -> list[int]:
        start.wait()
        return [
            decide(workspace, parts[number % len(parts)], SCRATCH, reviewer=reviewer).id
            for number in range(20)
        ]

    with ThreadPoolExecutor(2) as threads:
        confirmed = [number for numbers in threads.map(review, ("Mira", "Ben")) for number in numbers]
    kept = [decision for image_id in parts for decision in history(workspace, image_id)]
    assert sorted(decision.id for decision in kept) == sorted(confirmed)
    assert Counter(decision.reviewer for decision in kept) == {"Mira": 20, "Ben": 20}
    with workspace.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(audit.AuditEntry)) == 40
