"""Deleting for good: a batch with all it brought, and whatever strangers left behind on a shared server.

Files go before the transaction of their rows ends. A crash in the middle leaves rows of what was being
deleted without some of their files: the page still lists it, and deleting again completes it. The other way
round, pictures would stay on the disk that nobody knows of.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import SQLColumnExpression, delete, func, select, update
from sqlalchemy.orm import Session

from mambaad_demo.errors import InputError
from mambaad_demo.storage import audit, studies
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.insertion import take_turns
from mambaad_demo.storage.jobs import UNFINISHED
from mambaad_demo.storage.tables import (
    AuditEntry,
    Decision,
    Image,
    Inspection,
    Job,
    JobItem,
    LimitSet,
    Product,
    Promotion,
    Reviewer,
    SavedView,
    Study,
)
from mambaad_demo.storage.workspace import Workspace

_OF_A_PICTURE = (FileKind.PICTURE, FileKind.PREVIEW, FileKind.THUMBNAIL)


def delete_job(workspace: Workspace, job_id: str, *, actor: str) -> int:
    """Delete a batch: its inspections, and its pictures that no other batch holds, with all said about them.

    The audit trail keeps the fact. Returns how many pictures went.

    Raises:
        InputError: no such job.
    """
    with workspace.database.writing() as session:
        take_turns(session, workspace.key)
        job = session.get(Job, job_id)
        if job is None or job.workspace != workspace.key:
            raise InputError("This job is no longer here. Load the page again.")
        inspections = set(
            session.scalars(
                select(JobItem.inspection_id).where(
                    JobItem.job_id == job_id, JobItem.inspection_id.is_not(None)
                )
            )
        )
        images = set(
            session.scalars(select(Inspection.image_id).where(Inspection.id.in_(inspections)).distinct())
        )
        maps = set(session.scalars(select(Inspection.map_sha256).where(Inspection.id.in_(inspections))))
        session.execute(delete(Job).where(Job.id == job_id))
        session.execute(
            update(Decision).where(Decision.inspection_id.in_(inspections)).values(inspection_id=None)
        )
        session.execute(delete(Inspection).where(Inspection.id.in_(inspections)))
        kept = set(session.scalars(select(Inspection.image_id).where(Inspection.image_id.in_(images))))
        gone = images - kept
        pictures = set(session.scalars(select(Image.sha256).where(Image.id.in_(gone))))
        masks = set(
            session.scalars(
                select(Decision.mask_sha256).where(
                    Decision.image_id.in_(gone), Decision.mask_sha256.is_not(None)
                )
            )
        )
        session.execute(delete(Image).where(Image.id.in_(gone)))
        audit.note(
            session, workspace, actor=actor, action="deleted", subject=f"job {job_id}", pictures=len(gone)
        )
        _delete_unneeded(session, workspace, pictures, maps, {mask for mask in masks if mask})
    return len(gone)


def delete_workspace(workspace: Workspace) -> None:
    """Delete everything of a workspace: batches, pictures, labels, people, studies and the audit trail."""
    ours = Image.workspace == workspace.key
    with workspace.database.writing() as session:
        take_turns(session, workspace.key)
        pictures = set(session.scalars(select(Image.sha256).where(ours)))
        maps = set(session.scalars(select(Inspection.map_sha256).join(Image).where(ours)))
        masks = set(session.scalars(select(Decision.mask_sha256).join(Image).where(ours)))
        for table in (Job, Image, Study, SavedView, Reviewer, Product, LimitSet, Promotion, AuditEntry):
            session.execute(delete(table).where(table.workspace == workspace.key))
        _delete_unneeded(session, workspace, pictures, maps, {mask for mask in masks if mask})


def delete_old_workspaces(workspace: Workspace, *, before: datetime, keep: str) -> list[str]:
    """Delete batches and studies from before a moment in all workspaces but one, and whole workspaces where
    nothing was done since; what is being worked on waits. Returns the ids of the jobs that went."""
    old = select(Job.id, Job.workspace).where(Job.created_at < before, Job.workspace != keep)
    idle = (
        select(AuditEntry.workspace).group_by(AuditEntry.workspace).having(func.max(AuditEntry.at) < before)
    )
    with workspace.database.reading() as session:
        unfinished = Job.state.in_([state.value for state in UNFINISHED])
        working = list(session.scalars(select(Job.id).where(unfinished)))
        found = [(job_id, owner) for job_id, owner in session.execute(old.where(Job.id.not_in(working)))]
        busy = set(session.scalars(select(Job.workspace).where(Job.id.in_(working))))
        left = set(session.scalars(idle)) - busy - {keep}
    for job_id, owner in found:
        delete_job(workspace.of(owner), job_id, actor="retention")
    for owner in left:
        delete_workspace(workspace.of(owner))
    studies.delete_old(workspace, before=before, keep=keep)
    return [job_id for job_id, _ in found]


def _delete_unneeded(
    session: Session, workspace: Workspace, pictures: set[str], maps: set[str], masks: set[str]
) -> None:
    """Delete files that no row names any more, while the rows are held: who adds such a row again waits, and
    then looks for its files (`jobs.add_items`)."""
    session.flush()
    for kind, sha256 in _unneeded(session, pictures, maps, masks):
        workspace.files.delete(kind, sha256)


def _unneeded(
    session: Session, pictures: set[str], maps: set[str], masks: set[str]
) -> list[tuple[FileKind, str]]:
    """Files that no row of any workspace names any more."""
    free = [(kind, sha256) for sha256 in _unnamed(session, Image.sha256, pictures) for kind in _OF_A_PICTURE]
    free += [(FileKind.MAP, sha256) for sha256 in _unnamed(session, Inspection.map_sha256, maps)]
    free += [(FileKind.MASK, sha256) for sha256 in _unnamed(session, Decision.mask_sha256, masks)]
    return free


def _unnamed(session: Session, column: SQLColumnExpression[Any], names: set[str]) -> set[str]:
    """Those of the names that stand in no row; one query, since others wait for this transaction."""
    return names - set(session.scalars(select(column).where(column.in_(names))))
