"""Promotion and rollback: what they demand, what they leave behind, and who is too late."""

import json

import pytest

from mambaad_demo.errors import (
    CheckpointError,
    InputError,
    PromotionBlockedError,
    StorageError,
    UnknownReleaseError,
)
from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.pipeline.set_comparison import Progress
from mambaad_demo.storage import audit, jobs, promotions
from mambaad_demo.storage.jobs import JobState
from mambaad_demo.storage.promotions import Action
from mambaad_demo.workflow.golden_set import report_from_json
from mambaad_demo.workflow.promotion import (
    Trial,
    active,
    active_checkpoints,
    discard,
    history,
    promote,
    promoting,
    rollback,
    skipped,
)
from tests.storage.parts import everything
from tests.workflow.stored import workspace
from tests.workflow.versions import CATEGORY, KNOWN, Version, Versions, add_golden

__all__ = ["workspace"]

REASON = "the customer accepts scratches"


@pytest.fixture
def catalog(workspace):
    """cap-1 and cap-3 find all golden defects; cap-2 accepts the scratch."""
    add_golden(workspace, KNOWN)
    return Versions(
        Version("cap-1"), Version("cap-2", check=0.7, reject=0.8), Version("cap-3", check=0.45, reject=0.55)
    )


def put_to_work(workspace, catalog, name, **options):
    values = {
        "category": CATEGORY,
        "note": "31 more photos",
        "actor": "Mira",
        "load": catalog.predictor,
        "base": None,
    }
    return promote(workspace, catalog.predictor(name), **values | options)


def take_back(workspace, catalog, **options):
    values = {"note": "too many false rejects", "actor": "Ben", "load": catalog.predictor}
    return rollback(workspace, CATEGORY, **values | options)


def test_a_version_that_passes_becomes_active_with_its_report_and_an_audit_line(workspace, catalog):
    step = put_to_work(workspace, catalog, "cap-1")
    assert active(workspace, CATEGORY) == "cap-1"
    assert active_checkpoints(workspace) == {CATEGORY: "cap-1"}
    assert (step.action, step.note, step.actor) == (Action.PROMOTE, "31 more photos", "Mira")
    kept = promotions.golden(workspace, step.id)
    assert kept["before"] is None
    assert report_from_json(kept["after"]).checkpoint == "cap-1"
    (entry,) = audit.entries(workspace, subject="category cap")
    assert (entry.action, entry.details["promotion"]) == ("promoted", step.id)


def test_both_reports_are_kept(workspace, catalog):
    put_to_work(workspace, catalog, "cap-1")
    step = put_to_work(workspace, catalog, "cap-3")
    kept = promotions.golden(workspace, step.id)
    assert [kept[when]["checkpoint"] for when in ("before", "after")] == ["cap-1", "cap-3"]
    json.dumps(kept, allow_nan=False)


def test_an_escape_blocks_and_nothing_is_written(workspace, catalog):
    put_to_work(workspace, catalog, "cap-1")
    before = everything(workspace.database)
    with pytest.raises(PromotionBlockedError, match="1 defective part that did not get through before"):
        put_to_work(workspace, catalog, "cap-2")
    assert everything(workspace.database) == before


@pytest.mark.parametrize("reason", ["", "  ", "ok", "please pass", "...... !!", "__ -- **"])
def test_a_reason_of_less_than_a_few_words_does_not_unblock(workspace, catalog, reason):
    with pytest.raises(PromotionBlockedError, match="write down in a few words"):
        put_to_work(workspace, catalog, "cap-2", override_reason=reason)
    assert active(workspace, CATEGORY) is None


@pytest.mark.parametrize("reason", [REASON, "客户接受这种划痕"])
def test_a_written_reason_unblocks_and_is_kept(workspace, catalog, reason):
    step = put_to_work(workspace, catalog, "cap-2", override_reason=reason)
    assert active(workspace, CATEGORY) == "cap-2"
    assert step.override_reason == reason
    assert audit.entries(workspace)[0].details["override_reason"] == reason


def test_a_reason_does_not_cover_an_escape_that_nobody_saw(workspace, catalog):
    before = everything(workspace.database)
    with pytest.raises(
        PromotionBlockedError, match=r"not so when the version was tried: scratch\.png\. Look"
    ):
        put_to_work(workspace, catalog, "cap-2", override_reason=REASON, seen_escapes=frozenset())
    assert everything(workspace.database) == before


def test_a_reason_covers_the_escapes_that_were_seen_and_fewer(workspace, catalog):
    (trial,) = [
        told
        for told in promoting(
            workspace,
            catalog.predictor("cap-2"),
            category=CATEGORY,
            note="n",
            override_reason=REASON,
            actor="Mira",
            load=catalog.predictor,
            base=None,
        )
        if isinstance(told, Trial)
    ]
    take_back(workspace, catalog)
    escapes = {pair.after.sha256 for pair in trial.gate.new_escapes}
    assert len(escapes) == 1
    put_to_work(workspace, catalog, "cap-2", override_reason=REASON, seen_escapes={*escapes, "no longer"})
    assert active(workspace, CATEGORY) == "cap-2"


def test_a_reason_that_was_not_needed_is_not_kept(workspace, catalog):
    assert put_to_work(workspace, catalog, "cap-1", override_reason=REASON).override_reason == ""


@pytest.mark.parametrize("note", ["", " \n\t", "\x00"])
def test_without_a_change_note_nothing_is_even_tried(workspace, catalog, note):
    with pytest.raises(InputError, match="Write a change note first"):
        put_to_work(workspace, catalog, "cap-1", note=note)
    assert catalog.predictor("cap-1").turns == []


def test_an_empty_golden_set_does_not_block(workspace):
    put_to_work(workspace, Versions(Version("cap-1")), "cap-1")
    assert active(workspace, CATEGORY) == "cap-1"


def test_what_is_active_already_is_not_promoted_again(workspace, catalog):
    put_to_work(workspace, catalog, "cap-1")
    with pytest.raises(InputError, match="cap-1 is the active version of 'cap' already"):
        put_to_work(workspace, catalog, "cap-1")
    assert len(history(workspace, CATEGORY)) == 1


def test_who_looked_at_a_trial_against_another_version_has_to_look_again(workspace, catalog):
    put_to_work(workspace, catalog, "cap-1")
    with pytest.raises(InputError, match="somebody else changed which version"):
        put_to_work(workspace, catalog, "cap-3", seen=promotions.NOTHING)
    assert active(workspace, CATEGORY) == "cap-1"


def test_of_two_who_promote_at_once_the_slower_one_has_to_look_again(workspace, catalog):
    slow = promoting(
        workspace,
        catalog.predictor("cap-3"),
        category=CATEGORY,
        note="slow",
        actor="Ben",
        load=catalog.predictor,
    )
    for step in slow:
        if isinstance(step, Trial):
            break
    put_to_work(workspace, catalog, "cap-1")
    with pytest.raises(InputError, match="somebody else changed which version"):
        next(slow)
    assert [one.checkpoint for one in history(workspace, CATEGORY)] == ["cap-1"]


def test_a_version_that_is_deleted_while_it_is_tried_is_not_promoted(workspace, catalog):
    version = catalog.versions.pop("cap-1")
    with pytest.raises(CheckpointError, match="There is no checkpoint 'cap-1'"):
        promote(
            workspace, version, category=CATEGORY, note="n", actor="Mira", load=catalog.predictor, base=None
        )
    catalog.versions["cap-1"] = Version("cap-1", weights="other")
    with pytest.raises(InputError, match="cap-1 was replaced"):
        promote(
            workspace, version, category=CATEGORY, note="n", actor="Mira", load=catalog.predictor, base=None
        )
    assert history(workspace, CATEGORY) == []


def test_a_version_that_is_discarded_just_before_its_row_is_written_is_not_promoted(workspace, catalog):
    looks = []

    def load(name):
        looks.append(name)
        if len(looks) > 1:
            raise UnknownReleaseError(f"There is no checkpoint {name!r}.")
        return catalog.predictor(name)

    with pytest.raises(CheckpointError, match="There is no checkpoint 'cap-1'"):
        put_to_work(workspace, catalog, "cap-1", load=load)
    assert looks == ["cap-1", "cap-1"]
    assert history(workspace, CATEGORY) == []


def test_progress_is_told(workspace, catalog):
    told = []
    put_to_work(workspace, catalog, "cap-1", progress=told.append)
    assert told == [Progress(done=0, total=4), Progress(done=4, total=4)]


def test_a_rollback_goes_back_at_once_and_keeps_the_old_report(workspace, catalog):
    first = put_to_work(workspace, catalog, "cap-1")
    put_to_work(workspace, catalog, "cap-3")
    for version in catalog.versions.values():
        version.turns.clear()
    step = take_back(workspace, catalog)
    assert active(workspace, CATEGORY) == "cap-1"
    assert (step.action, step.checkpoint, step.actor) == (Action.ROLLBACK, "cap-1", "Ben")
    kept = promotions.golden(workspace, step.id)
    assert kept == {"before": None, "after": promotions.golden(workspace, first.id)["after"]}
    assert all(version.turns == [] for version in catalog.versions.values())


def test_rolling_back_twice_goes_further_back_until_nothing_is_active(workspace, catalog):
    put_to_work(workspace, catalog, "cap-1")
    put_to_work(workspace, catalog, "cap-3")
    take_back(workspace, catalog)
    last = take_back(workspace, catalog)
    assert last.checkpoint is None
    assert active(workspace, CATEGORY) is None
    assert promotions.golden(workspace, last.id) == {"before": None, "after": None}
    with pytest.raises(InputError, match="nothing to take back"):
        take_back(workspace, catalog)
    assert len(history(workspace, CATEGORY)) == 4


def test_after_a_rollback_the_next_promotion_is_compared_with_what_is_active_now(workspace, catalog):
    put_to_work(workspace, catalog, "cap-1")
    put_to_work(workspace, catalog, "cap-2", override_reason=REASON)
    take_back(workspace, catalog)
    with pytest.raises(PromotionBlockedError):
        put_to_work(workspace, catalog, "cap-2")


def test_a_rollback_passes_over_versions_that_are_gone(workspace, catalog):
    put_to_work(workspace, catalog, "cap-1")
    put_to_work(workspace, catalog, "cap-2", override_reason=REASON)
    put_to_work(workspace, catalog, "cap-3")
    discard(workspace, "cap-2", delete=catalog.versions.pop, actor="Mira")
    back = take_back(workspace, catalog)
    assert (back.checkpoint, skipped(workspace, back)) == ("cap-1", ["cap-2"])
    further_back = take_back(workspace, catalog)
    assert (further_back.checkpoint, skipped(workspace, further_back)) == (None, [])
    assert skipped(workspace, back) == ["cap-2"], "also when more happened since"


def test_a_rollback_goes_back_to_nothing_where_no_version_before_can_be_used(workspace, catalog):
    put_to_work(workspace, catalog, "cap-1")
    put_to_work(workspace, catalog, "cap-3")
    discard(workspace, "cap-1", delete=catalog.versions.pop, actor="Mira")
    assert take_back(workspace, catalog).checkpoint is None
    assert active(workspace, CATEGORY) is None
    with pytest.raises(InputError, match="nothing to take back"):
        take_back(workspace, catalog)


def test_a_rollback_passes_over_other_weights_under_the_old_name(workspace, catalog):
    put_to_work(workspace, catalog, "cap-1")
    put_to_work(workspace, catalog, "cap-3")
    catalog.versions["cap-1"] = Version("cap-1", weights="other")
    assert take_back(workspace, catalog).checkpoint is None


def test_a_store_out_of_reach_is_no_reason_to_pass_over_a_version(workspace, catalog):
    put_to_work(workspace, catalog, "cap-1")
    put_to_work(workspace, catalog, "cap-3")

    def load(name):
        raise StorageError("the store is out of reach")

    with pytest.raises(StorageError, match="out of reach"):
        take_back(workspace, catalog, load=load)
    assert active(workspace, CATEGORY) == "cap-3"


def test_a_version_that_is_discarded_as_somebody_goes_back_to_it_is_noticed(workspace, catalog):
    put_to_work(workspace, catalog, "cap-1")
    put_to_work(workspace, catalog, "cap-3")

    def load(name):
        if name not in catalog.versions:
            raise UnknownReleaseError(f"There is no checkpoint {name!r}.")
        return catalog.versions.pop(name)  # the next look finds nothing

    with pytest.raises(InputError, match="Meanwhile cap-1 was deleted"):
        take_back(workspace, catalog, load=load)
    assert active(workspace, CATEGORY) == "cap-3"


def test_a_bad_version_whose_folder_is_gone_can_still_be_taken_back(workspace, catalog):
    put_to_work(workspace, catalog, "cap-1")
    put_to_work(workspace, catalog, "cap-3")
    del catalog.versions["cap-3"]
    assert take_back(workspace, catalog).checkpoint == "cap-1"


def test_a_rollback_needs_a_note_and_the_newest_state(workspace, catalog):
    step = put_to_work(workspace, catalog, "cap-1")
    with pytest.raises(InputError, match="Write a change note first"):
        take_back(workspace, catalog, note=" ")
    with pytest.raises(InputError, match="somebody else changed"):
        take_back(workspace, catalog, seen=step.id + 1)
    assert active(workspace, CATEGORY) == "cap-1"


def test_nothing_can_be_taken_back_before_the_first_promotion(workspace, catalog):
    with pytest.raises(InputError, match="No version of 'cap' is active"):
        take_back(workspace, catalog)


def test_a_version_that_is_not_active_is_discarded_by_name(workspace, catalog):
    put_to_work(workspace, catalog, "cap-1")
    deleted = []
    discard(workspace, "cap-2", delete=deleted.append, actor="Mira")
    with pytest.raises(InputError, match="cap-1 is the active version"):
        discard(workspace, "cap-1", delete=deleted.append, actor="Mira")
    assert deleted == ["cap-2"]


def test_a_version_from_which_a_training_goes_on_is_not_discarded(workspace, catalog):
    job_id = jobs.create_job(
        workspace, kind=jobs.FINETUNE, name="cap again", spec={"checkpoint": "cap-2"}, actor="Mira"
    )
    deleted = []
    for state in (JobState.WAITING, JobState.RUNNING, JobState.STOPPED):
        jobs.set_state(workspace, job_id, state)
        with pytest.raises(InputError, match="training 'cap again' goes on from cap-2"):
            discard(workspace, "cap-2", delete=deleted.append, actor="Mira")
        discard(workspace, "cap-1", delete=deleted.append, actor="Mira")
    jobs.set_state(workspace, job_id, JobState.DONE)
    discard(workspace, "cap-2", delete=deleted.append, actor="Mira")
    assert deleted == ["cap-1", "cap-1", "cap-1", "cap-2"]


def test_hostile_notes_are_kept_as_text(workspace, catalog):
    step = put_to_work(workspace, catalog, "cap-1", note="=cmd()<script>${x}\x00", actor="<b>Mira</b>\n")
    assert step.note == "=cmd()<script>${x}"
    assert step.actor == "<b>Mira</b>"


def test_a_new_golden_defect_that_both_versions_accept_does_not_block(workspace, catalog):
    put_to_work(workspace, catalog, "cap-1")
    add_golden(workspace, {"faint.png": (0.1, Finding.DEFECT)}, start=9)
    put_to_work(workspace, catalog, "cap-3")
    assert active(workspace, CATEGORY) == "cap-3"
