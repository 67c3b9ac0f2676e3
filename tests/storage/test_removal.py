"""Deleting for good: what goes, what stays for others, and that files follow their rows."""

import io
from datetime import timedelta

import numpy as np
import pytest
from PIL import Image as PillowImage

from mambaad_demo.errors import InputError, StorageError
from mambaad_demo.pipeline.labeling import Collection, Finding, Label
from mambaad_demo.storage import audit, collecting, jobs, labels, removal, review
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.inspections import inspections, sha256_of
from mambaad_demo.storage.masks import mask_png
from mambaad_demo.storage.pictures import stored_pictures
from mambaad_demo.storage.tables import now
from mambaad_demo.workflow import batches
from tests.storage.parts import everything
from tests.storage.teams import fill
from tests.workflow.stored import (
    HEIGHT,
    WIDTH,
    Scorer,
    found,
    image_ids,
    inspected,
    outcomes,
    part,
    parts,
    queue_of,
    turn,
)

MASK = mask_png(np.eye(HEIGHT, WIDTH, dtype=bool))


def files(workspace):
    """Hashes of all files by kind; kinds without files are left out."""
    kept = {kind: sorted(workspace.files.names(kind)) for kind in FileKind}
    return {kind: names for kind, names in kept.items() if names}


def marked(workspace, name, mask=MASK, *, reviewer="mira"):
    label = Label(finding=Finding.DEFECT, defect_type="bent", note="seen", mask=mask)
    return labels.decide(workspace, image_ids(workspace)[name], label, reviewer=reviewer)


def test_a_batch_goes_with_all_it_brought(workspace):
    job_id = inspected(workspace, parts(3) | {"bad.png": b"no"})
    marked(workspace, "part 000.png")
    image = image_ids(workspace)["part 001.png"]
    labels.decide(workspace, image, Label(finding=Finding.GOOD), reviewer="mira", is_golden=True)
    labels.save_draft(workspace, image, {"note": "half"}, reviewer="mira")
    turn(workspace, queue_of("jo"))

    assert removal.delete_job(workspace, job_id, actor="mira") == 3

    assert files(workspace) == {}
    assert jobs.jobs(workspace) == []
    assert inspections(workspace) == stored_pictures(workspace) == labels.labeled_images(workspace) == []
    assert collecting.members(workspace, Collection.GOLDEN) == []
    assert review.waiting(workspace, queue_of("jo")) == (0, [])
    assert labels.undo(workspace, reviewer="mira") is None
    with pytest.raises(InputError, match="no longer here"):
        jobs.job(workspace, job_id)


def test_the_audit_trail_stays_and_tells_of_the_deletion(workspace):
    job_id = inspected(workspace, parts(2))
    marked(workspace, "part 000.png")
    before = audit.entries(workspace)
    removal.delete_job(workspace, job_id, actor="mira")
    newest, *rest = audit.entries(workspace)
    assert rest == before
    assert (newest.actor, newest.action, newest.subject) == ("mira", "deleted", f"job {job_id}")
    assert newest.details == {"pictures": 2}


def test_a_picture_of_another_batch_stays_with_its_files_and_decisions(workspace):
    shared, own = part(0.6, 1), part(0.6, 2)
    first = inspected(workspace, {"shared.png": shared, "own.png": own})
    second = inspected(workspace, {"the same.png": shared}, predictor=Scorer(name="newer"))
    decision = marked(workspace, "shared.png")
    other_mask = mask_png(np.ones((HEIGHT, WIDTH), dtype=bool))
    marked(workspace, "own.png", other_mask)

    assert removal.delete_job(workspace, first, actor="mira") == 1

    assert outcomes(workspace, second) == {"the same.png": "reject"}
    (kept,) = found(workspace)
    assert kept.checkpoint == "newer"
    assert workspace.files.read(FileKind.PICTURE, sha256_of(shared)) == shared
    assert files(workspace) == {
        FileKind.PICTURE: [sha256_of(shared)],
        FileKind.PREVIEW: [sha256_of(shared)],
        FileKind.THUMBNAIL: [sha256_of(shared)],
        FileKind.MAP: [kept.map_sha256],
        FileKind.MASK: [sha256_of(MASK)],
    }
    (past,) = labels.history(workspace, kept.image_id)
    assert (past.id, past.mask_sha256) == (decision.id, sha256_of(MASK))


def test_a_decision_survives_the_inspection_that_was_on_the_screen(workspace):
    first = inspected(workspace, {"a.png": part(0.6)})
    shown = found(workspace)[0]
    labels.decide(
        workspace, shown.image_id, Label(finding=Finding.GOOD), reviewer="mira", inspection_id=shown.id
    )
    inspected(workspace, {"a.png": part(0.6)}, predictor=Scorer(name="newer"))
    removal.delete_job(workspace, first, actor="mira")
    (past,) = labels.history(workspace, shown.image_id)
    assert (past.finding, past.inspection_id) == (Finding.GOOD, None)


def test_deleting_the_last_batch_of_a_picture_deletes_the_picture(workspace):
    job_ids = [inspected(workspace, {"a.png": part(0.6)}) for _ in range(2)]
    assert [removal.delete_job(workspace, job_id, actor="mira") for job_id in job_ids] == [0, 1]
    assert files(workspace) == {}


def test_two_inspections_with_one_map_share_its_file_to_the_last(workspace):
    first, _ = (inspected(workspace, {"a.png": part(0.6)}) for _ in range(2))
    one, other = inspections(workspace)
    assert one.map_sha256 == other.map_sha256
    removal.delete_job(workspace, first, actor="mira")
    assert list(workspace.files.names(FileKind.MAP)) == [other.map_sha256]


def test_files_of_another_workspace_stay(workspace):
    stranger = workspace.of("stranger")
    job_id = inspected(workspace, {"a.png": part(0.6)})
    inspected(stranger, {"mine.png": part(0.6)})
    marked(workspace, "a.png")
    marked(stranger, "mine.png")
    before = files(workspace)

    removal.delete_job(workspace, job_id, actor="mira")

    assert files(workspace) == before
    assert [one.name for one in found(stranger)] == ["mine.png"]
    assert len(labels.labeled_images(stranger)) == 1
    with PillowImage.open(io.BytesIO(stranger.files.read(FileKind.PREVIEW, sha256_of(part(0.6))))) as preview:
        assert preview.size == (WIDTH, HEIGHT)


def test_a_mask_that_another_picture_has_too_stays(workspace):
    job_id = inspected(workspace, {"a.png": part(0.6, 1)})
    inspected(workspace, {"b.png": part(0.6, 2)})
    marked(workspace, "a.png")
    marked(workspace, "b.png")
    removal.delete_job(workspace, job_id, actor="mira")
    assert list(workspace.files.names(FileKind.MASK)) == [sha256_of(MASK)]


@pytest.mark.parametrize("job_id", ["0" * 32, "", "'; DROP TABLE jobs; --"])
def test_what_is_not_there_cannot_be_deleted(workspace, job_id):
    inspected(workspace, parts(1))
    with pytest.raises(InputError, match="no longer here"):
        removal.delete_job(workspace, job_id, actor="mira")
    assert len(jobs.jobs(workspace)) == 1


def test_a_strangers_batch_cannot_be_deleted(workspace):
    job_id = inspected(workspace, parts(1))
    before = files(workspace)
    with pytest.raises(InputError, match="no longer here"):
        removal.delete_job(workspace.of("stranger"), job_id, actor="eve")
    assert files(workspace) == before
    assert list(outcomes(workspace, job_id)) == ["part 000.png"]


def test_a_batch_that_never_began_can_be_deleted(workspace):
    job_id = batches.new_batch(workspace, batches.BatchSpec(checkpoint="scorer"), name="x", actor="mira")
    assert removal.delete_job(workspace, job_id, actor="mira") == 0
    assert jobs.jobs(workspace) == []


def test_what_strangers_left_behind_goes_in_time_and_the_shared_workspace_is_kept(workspace):
    inspected(workspace, {"a.png": part(0.6, 1)})
    old = [
        inspected(workspace.of(key), {"a.png": part(0.6, number)})
        for key, number in (("visit-a", 2), ("visit-b", 3))
    ]
    middle = now()
    inspected(workspace.of("visit-a"), {"new.png": part(0.6, 4)})

    assert removal.delete_old_workspaces(workspace, before=middle - timedelta(hours=1), keep="shared") == []
    assert set(removal.delete_old_workspaces(workspace, before=middle, keep="shared")) == set(old)

    assert len(found(workspace)) == 1
    assert [one.name for one in found(workspace.of("visit-a"))] == ["new.png"]
    assert found(workspace.of("visit-b")) == []
    assert sorted(files(workspace)[FileKind.PICTURE]) == sorted(
        [sha256_of(part(0.6, 1)), sha256_of(part(0.6, 4))]
    )


def test_an_idle_visit_goes_as_a_whole_and_nobody_elses_files_go_with_it(workspace):
    shared, own = part(0.6, 1), part(0.6, 2)
    inspected(workspace, {"a.png": shared})
    visit = workspace.of("visit-a")
    inspected(visit, {"a.png": shared, "b.png": own})
    labels.decide(
        visit, found(visit)[0].image_id, Label(finding=Finding.GOOD, note="secret"), reviewer="Jane Doe"
    )
    later = now() + timedelta(seconds=1)

    removal.delete_old_workspaces(workspace, before=later, keep="shared")

    assert files(workspace)[FileKind.PICTURE] == [sha256_of(shared)]
    assert (labels.reviewers(visit), labels.products(visit), audit.entries(visit)) == ([], {}, [])
    assert [one.name for one in found(workspace)] == ["a.png"]


def test_a_training_is_deleted_as_a_batch_is_and_waited_for_too(workspace):
    def add_training(key):
        return jobs.create_job(workspace.of(key), kind="finetune", name="cap-1", spec={}, actor="mira")

    ours, old, at_work = map(add_training, ("shared", "visit-a", "visit-b"))
    jobs.set_state(workspace.of("visit-a"), old, jobs.JobState.DONE)
    jobs.set_state(workspace.of("visit-b"), at_work, jobs.JobState.RUNNING)
    later = now() + timedelta(hours=1)
    assert removal.delete_old_workspaces(workspace, before=later, keep="shared") == [old]
    assert [job.id for job in jobs.jobs(workspace.of("visit-b"), kind="finetune")] == [at_work]
    assert removal.delete_job(workspace, ours, actor="mira") == 0
    assert jobs.jobs(workspace, kind="finetune") == []


def test_of_a_deleted_workspace_no_table_keeps_a_row(workspace):
    visit = workspace.of("visit-a")
    fill(visit)
    removal.delete_workspace(visit)
    left = {table for table, rows in everything(workspace.database).items() if rows}
    assert left == {"versions", "alembic_version"}  # which belong to nobody
    assert files(workspace) == {}


def test_a_visit_whose_batch_is_at_work_is_left_alone(workspace):
    visit = workspace.of("visit-a")
    job_id = inspected(visit, parts(1))
    jobs.set_state(visit, job_id, jobs.JobState.RUNNING)
    assert removal.delete_old_workspaces(workspace, before=now() + timedelta(hours=1), keep="shared") == []
    assert list(outcomes(visit, job_id)) == ["part 000.png"]


def test_a_deletion_that_was_cut_short_is_seen_and_can_be_completed(workspace, monkeypatch):
    job_id = inspected(workspace, parts(3))
    delete, deleted = type(workspace.files).delete, []

    def crash_at_fourth(store, kind, sha256):
        if len(deleted) == 3:
            raise StorageError("power cut")
        deleted.append((kind, sha256))
        delete(store, kind, sha256)

    monkeypatch.setattr(type(workspace.files), "delete", crash_at_fourth)
    with pytest.raises(StorageError, match="power cut"):
        removal.delete_job(workspace, job_id, actor="mira")
    assert len(outcomes(workspace, job_id)) == len(found(workspace)) == 3
    monkeypatch.undo()
    assert removal.delete_job(workspace, job_id, actor="mira") == 3
    assert (files(workspace), stored_pictures(workspace)) == ({}, [])


def test_files_deleted_while_their_rows_are_on_the_way_are_written_again(workspace, monkeypatch):
    content = part(0.6, 1)
    job_id = inspected(workspace, {"a.png": content})
    add = jobs.add_inspection

    def after_a_deletion(session, store, judged, **how):
        for kind, names in files(workspace).items():
            for name in names:
                workspace.files.delete(kind, name)
        return add(session, store, judged, **how)

    monkeypatch.setattr(jobs, "add_inspection", after_a_deletion)
    inspected(workspace, {"a.png": content})
    assert job_id
    assert workspace.files.read(FileKind.PICTURE, sha256_of(content)) == content
    assert files(workspace)[FileKind.MAP]
