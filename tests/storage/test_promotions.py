"""Which version is active, and who may change that when."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mambaad_demo.errors import InputError
from mambaad_demo.storage import audit, promotions, removal
from mambaad_demo.storage.promotions import NOTHING, Action, NewStep
from tests.storage.parts import everything

CAP = "bottle_cap"


def step(checkpoint, action=Action.PROMOTE, *, category=CAP, **changes):
    values = {
        "category": category,
        "checkpoint": checkpoint,
        "checkpoint_sha256": "ab" * 32 if checkpoint else "",
        "action": action,
        "note": "more photos",
        "golden": {"before": None, "after": None},
    }
    return NewStep(**values | changes)


def promote(workspace, checkpoint, *, category=CAP):
    seen = next((one.id for one in promotions.history(workspace, category)), NOTHING)
    return promotions.add(workspace, step(checkpoint, category=category), actor="Mira", seen=seen)


def take_back(workspace, to):
    seen = promotions.history(workspace, CAP)[0].id
    return promotions.add(workspace, step(to, Action.ROLLBACK), actor="Mira", seen=seen)


def test_nothing_is_active_before_the_first_promotion(workspace):
    assert promotions.active(workspace, CAP) is None
    assert promotions.active_checkpoints(workspace) == {}
    assert promotions.history(workspace, CAP) == []


def test_the_newest_promotion_of_a_category_holds(workspace):
    for version in ("cap-1", "cap-2"):
        promote(workspace, version)
    promote(workspace, "gear-1", category="gear")
    assert promotions.active(workspace, CAP) == "cap-2"
    assert promotions.active_checkpoints(workspace) == {CAP: "cap-2", "gear": "gear-1"}


def test_after_a_rollback_to_nothing_no_version_is_active(workspace):
    promote(workspace, "cap-1")
    promote(workspace, "gear-1", category="gear")
    take_back(workspace, None)
    assert promotions.active(workspace, CAP) is None
    assert promotions.active_checkpoints(workspace) == {"gear": "gear-1"}


def test_history_tells_who_did_what_and_why_newest_first(workspace):
    promote(workspace, "cap-1")
    new = step("cap-2", note=" two\r\nlines \x00", override_reason="a customer accepted these")
    added = promotions.add(workspace, new, actor=" Ben\n", seen=promotions.history(workspace, CAP)[0].id)
    newest, oldest = promotions.history(workspace, CAP)
    assert newest == added
    assert (newest.checkpoint, newest.action, newest.actor) == ("cap-2", Action.PROMOTE, "Ben")
    assert (newest.note, newest.override_reason) == ("two\nlines", "a customer accepted these")
    assert (oldest.checkpoint, oldest.override_reason) == ("cap-1", "")


def test_the_golden_set_comes_back_as_it_was_kept(workspace):
    kept = {"before": None, "after": {"pictures": [{"score": 0.1234567890123456}]}}
    added = promotions.add(workspace, step("cap-1", golden=kept), actor="Mira", seen=NOTHING)
    assert promotions.golden(workspace, added.id) == kept
    assert promotions.golden(workspace.of("others"), added.id) == {}


def test_a_rollback_takes_away_one_promotion_and_a_second_one_goes_further_back(workspace):
    for version in ("cap-1", "cap-2", "cap-3"):
        promote(workspace, version)
    take_back(workspace, "cap-2")
    take_back(workspace, "cap-1")
    promote(workspace, "cap-4")
    standing = promotions.standing(promotions.history(workspace, CAP))
    assert [one.checkpoint for one in standing] == ["cap-4", "cap-1"]


def test_a_rollback_past_a_version_leaves_the_one_it_went_back_to_on_top(workspace):
    for version in ("cap-1", "cap-2", "cap-3"):
        promote(workspace, version)
    take_back(workspace, "cap-1")
    history = promotions.history(workspace, CAP)
    assert [one.checkpoint for one in promotions.standing(history)] == ["cap-1"]
    assert promotions.passed_over(history) == ["cap-2"]


def test_a_rollback_past_all_versions_leaves_nothing(workspace):
    for version in ("cap-1", "cap-2", "cap-1", "cap-3"):
        promote(workspace, version)
    take_back(workspace, None)
    history = promotions.history(workspace, CAP)
    assert promotions.standing(history) == []
    assert promotions.passed_over(history) == ["cap-1", "cap-2"]


def test_a_rollback_goes_to_the_nearest_promotion_of_a_version_and_passes_over_nothing(workspace):
    for version in ("cap-1", "cap-2", "cap-1", "cap-3"):
        promote(workspace, version)
    take_back(workspace, "cap-1")
    history = promotions.history(workspace, CAP)
    assert [one.checkpoint for one in promotions.standing(history)] == ["cap-1", "cap-2", "cap-1"]
    assert promotions.passed_over(history) == []


def test_going_back_never_means_the_weights_that_are_active(workspace):
    for version in ("cap-1", "cap-2", "cap-1"):
        promote(workspace, version)
    assert [one.checkpoint for one in promotions.before(promotions.history(workspace, CAP))] == ["cap-2"]


def test_a_check_that_fails_leaves_nothing_behind(workspace):
    def gone():
        raise InputError("cap-1 is gone")

    before = everything(workspace.database)
    with pytest.raises(InputError, match="cap-1 is gone"):
        promotions.add(workspace, step("cap-1"), actor="Mira", seen=NOTHING, check=gone)
    assert everything(workspace.database) == before


def test_a_version_cannot_be_discarded_between_the_check_and_the_row(workspace):
    deleted = []

    def discard():
        try:
            promotions.discard(workspace, "cap-1", delete=lambda: deleted.append("cap-1"), actor="Ben")
        except InputError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(1) as thread:
        discards = []
        promotions.add(
            workspace,
            step("cap-1"),
            actor="Mira",
            seen=NOTHING,
            check=lambda: discards.append(thread.submit(discard)),
        )
        assert "cap-1 is the active version" in discards[0].result(60)
    assert deleted == []


def test_who_saw_another_version_active_is_refused_and_nothing_is_written(workspace):
    promote(workspace, "cap-1")
    before = everything(workspace.database)
    with pytest.raises(InputError, match="Meanwhile somebody else changed"):
        promotions.add(workspace, step("cap-2"), actor="Ben", seen=NOTHING)
    assert everything(workspace.database) == before


def test_of_many_who_decide_at_once_one_wins(workspace):
    start = threading.Barrier(4, timeout=60)

    def decide(number):
        start.wait()
        try:
            promotions.add(workspace, step(f"cap-{number}"), actor="Mira", seen=NOTHING)
        except InputError:
            return None
        return f"cap-{number}"

    with ThreadPoolExecutor(4) as threads:
        winners = [name for name in threads.map(decide, range(4)) if name]
    assert winners == [promotions.active(workspace, CAP)]
    assert len(promotions.history(workspace, CAP)) == 1


def test_each_step_stands_in_the_audit_trail(workspace):
    promote(workspace, "cap-1")
    take_back(workspace, None)
    last, first = audit.entries(workspace, subject=f"category {CAP}")
    assert (first.action, first.actor, first.details["checkpoint"]) == ("promoted", "Mira", "cap-1")
    assert (last.action, last.details["checkpoint"], last.details["note"]) == (
        "rolled back",
        None,
        "more photos",
    )


def test_others_have_their_own_active_versions(workspace):
    promote(workspace, "cap-1")
    others = workspace.of("others")
    assert promotions.active(others, CAP) is None
    assert promotions.history(others, CAP) == []
    promote(others, "cap-2")
    assert promotions.active_checkpoints(workspace) == {CAP: "cap-1"}


def test_deleting_a_workspace_deletes_its_promotions_alone(workspace):
    others = workspace.of("others")
    promote(workspace, "cap-1")
    promote(others, "cap-2")
    removal.delete_workspace(others)
    assert promotions.active(others, CAP) is None
    assert promotions.active(workspace, CAP) == "cap-1"


def test_an_active_version_is_not_discarded_even_where_others_made_it_active(workspace):
    promote(workspace.of("others"), "cap-1")
    deleted = []
    with pytest.raises(InputError, match="cap-1 is the active version of 'bottle_cap'"):
        promotions.discard(workspace, "cap-1", delete=lambda: deleted.append("cap-1"), actor="Mira")
    assert deleted == []
    assert audit.entries(workspace) == []


def test_a_version_that_was_active_once_can_be_discarded(workspace):
    promote(workspace, "cap-1")
    promote(workspace, "cap-2")
    deleted = []
    promotions.discard(workspace, "cap-1", delete=lambda: deleted.append("cap-1"), actor="Mira")
    assert deleted == ["cap-1"]
    (entry,) = audit.entries(workspace, subject="version cap-1")
    assert (entry.action, entry.actor) == ("version discarded", "Mira")


def test_a_version_that_cannot_be_deleted_is_not_called_discarded(workspace):
    def fail():
        raise InputError("the folder is in use")

    with pytest.raises(InputError, match="in use"):
        promotions.discard(workspace, "cap-1", delete=fail, actor="Mira")
    assert audit.entries(workspace) == []
