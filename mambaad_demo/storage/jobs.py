"""Long work and how far it is, in rows that outlive tab and server; the pictures a batch is done with."""

import secrets
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from mambaad_demo.errors import InputError
from mambaad_demo.storage import audit, text
from mambaad_demo.storage.insertion import take_turns
from mambaad_demo.storage.inspections import (
    Judged,
    StoredInspection,
    VersionFacts,
    add_inspection,
    restore_files,
    selection,
    stored,
    write_files,
)
from mambaad_demo.storage.tables import Inspection, Job, JobItem, now
from mambaad_demo.storage.workspace import Workspace

BATCH = "batch"
FINETUNE = "finetune"
SYSTEM = "system"
"""The actor of what nobody asked for."""


class JobState(StrEnum):
    """Where a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    STOPPED = "stopped"
    """By a person; can be resumed."""
    INTERRUPTED = "interrupted"
    """The server ended while it ran; can be resumed."""
    FAILED = "failed"
    """It cannot go on as it is; the error says why."""
    DONE = "done"


UNFINISHED = (JobState.WAITING, JobState.RUNNING)
"""Somebody works on it, or will."""
RESUMABLE = (JobState.STOPPED, JobState.INTERRUPTED, JobState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """A job as it lies in the store."""

    id: str
    kind: str
    name: str
    state: JobState
    spec: dict[str, Any]
    total: int | None
    done: int
    """Items that are done, refused ones included."""
    refused: int
    verdicts: dict[str, int]
    """Inspected items by verdict."""
    error: str | None
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A picture that could not be judged."""

    name: str
    error: str


_Outcome = tuple[int, Judged | Refused]
"""What became of a picture, with its position in the batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One picture of a batch: inspected or refused."""

    position: int
    name: str
    inspection: StoredInspection | None
    error: str | None


def create_job(workspace: Workspace, *, kind: str, name: str, spec: dict[str, Any], actor: str) -> str:
    """Add a waiting job; returns its id."""
    job_id = secrets.token_hex(16)
    with workspace.database.writing() as session:
        session.add(
            Job(
                id=job_id,
                workspace=workspace.key,
                kind=kind,
                name=text.name(name),
                state=JobState.WAITING.value,
                spec=spec,
            )
        )
        audit.note(
            session, workspace, actor=actor, action=f"{kind} created", subject=f"job {job_id}", name=name
        )
    return job_id


def set_state(workspace: Workspace, job_id: str, state: JobState, *, error: str | None = None) -> None:
    """Say where a job is."""
    with workspace.database.writing() as session:
        job = _row(session, workspace, job_id)
        job.state, job.error = state.value, None if error is None else text.note(error)
        job.finished_at = now() if state is JobState.DONE else None
        audit.note(
            session, workspace, actor=SYSTEM, action=f"{job.kind} {state.value}", subject=f"job {job_id}"
        )


def set_total(workspace: Workspace, job_id: str, total: int) -> None:
    """Say how many items a job has."""
    with workspace.database.writing() as session:
        _row(session, workspace, job_id).total = total


def mark_orphans(workspace: Workspace, job_ids: Collection[str]) -> int:
    """After a start: those of a server's own jobs that the store believes to be running have no process any
    more. Returns how many, in all workspaces."""
    with workspace.database.writing() as session:
        changed = session.execute(
            update(Job)
            .where(Job.id.in_(list(job_ids)), Job.state.in_([state.value for state in UNFINISHED]))
            .values(state=JobState.INTERRUPTED.value)
        )
        return int(changed.rowcount)  # type: ignore[attr-defined]


def known(workspace: Workspace, job_ids: Collection[str]) -> set[str]:
    """Those of the ids that belong to a job, of whatever workspace."""
    with workspace.database.reading() as session:
        return set(session.scalars(select(Job.id).where(Job.id.in_(list(job_ids)))))


def add_items(
    workspace: Workspace,
    job_id: str,
    items: Sequence[_Outcome],
    *,
    version: VersionFacts,
    tiles: int,
) -> None:
    """Confirm items of a batch, in one transaction; those that are confirmed already are left alone.

    Rows come in the order of the batch. One transaction at a time adds or deletes pictures of a workspace, so
    that no two wait for each other, whatever pictures they share.

    Args:
        items: (position in the batch, outcome).

    Raises:
        StorageError: nothing of this was kept.
    """
    maps = {place: write_files(workspace, item) for place, item in items if isinstance(item, Judged)}
    with workspace.database.writing() as session:
        take_turns(session, workspace.key)
        _row(session, workspace, job_id)
        fresh = _unconfirmed(session, job_id, items)
        for name, (position, item) in sorted(fresh.items(), key=_position):
            row = JobItem(job_id=job_id, position=position, name=name)
            if isinstance(item, Judged):
                row.inspection_id = add_inspection(
                    session, workspace, item, version=version, tiles=tiles, map_sha256=maps[position]
                )
            else:
                row.error = text.note(item.error)
            session.add(row)
    for place, item in items:
        if isinstance(item, Judged):
            restore_files(workspace, item, maps[place])


def _unconfirmed(session: Session, job_id: str, items: Sequence[_Outcome]) -> dict[str, _Outcome]:
    """Items by the name under which they are kept, the first of each name, without those kept already."""
    named: dict[str, _Outcome] = {}
    for position, item in items:
        named.setdefault(text.note(item.name), (position, item))
    kept = select(JobItem.name).where(JobItem.job_id == job_id, JobItem.name.in_(list(named)))
    for name in session.scalars(kept):
        del named[name]
    return named


def _position(named: tuple[str, _Outcome]) -> int:
    _, (position, _) = named
    return position


def done_names(workspace: Workspace, job_id: str) -> set[str]:
    """Names of the items that are confirmed."""
    with workspace.database.reading() as session:
        _row(session, workspace, job_id)
        return set(session.scalars(select(JobItem.name).where(JobItem.job_id == job_id)))


def job(workspace: Workspace, job_id: str) -> JobFacts:
    """One job of this workspace.

    Raises:
        InputError: there is none of this id.
    """
    with workspace.database.reading() as session:
        return _facts(session, _row(session, workspace, job_id))


def jobs(workspace: Workspace, *, kind: str = BATCH, at_most: int = 100) -> list[JobFacts]:
    """The newest jobs first."""
    query = select(Job).where(Job.workspace == workspace.key, Job.kind == kind)
    with workspace.database.reading() as session:
        rows = session.scalars(query.order_by(Job.created_at.desc()).limit(at_most)).all()
        return [_facts(session, row) for row in rows]


def items(workspace: Workspace, job_id: str) -> list[Item]:
    """The items of a batch that are done, in the order of the batch."""
    with workspace.database.reading() as session:
        _row(session, workspace, job_id)
        inspected = {
            one.id: one
            for one in map(
                stored,
                session.execute(
                    selection(workspace)
                    .join(JobItem, JobItem.inspection_id == Inspection.id)
                    .where(JobItem.job_id == job_id)
                ),
            )
        }
        rows = session.execute(
            select(JobItem.position, JobItem.name, JobItem.inspection_id, JobItem.error)
            .where(JobItem.job_id == job_id)
            .order_by(JobItem.position)
        )
        return [
            Item(
                position=position,
                name=name,
                inspection=None if inspection_id is None else inspected[inspection_id],
                error=error,
            )
            for position, name, inspection_id, error in rows
        ]


def refused(
    workspace: Workspace, job_id: str, *, search: str = "", offset: int = 0, limit: int = 50
) -> tuple[int, list[Refused]]:
    """Pictures of a batch that could not be judged: how many there are, and some in the order of the batch.

    Args:
        search: part of the file name.

    Raises:
        InputError: no such job.
    """
    query = select(JobItem.name, JobItem.error).where(JobItem.job_id == job_id, JobItem.error.is_not(None))
    if search:
        query = query.where(JobItem.name.icontains(search, autoescape=True))
    with workspace.database.reading() as session:
        _row(session, workspace, job_id)
        total = session.scalar(query.with_only_columns(func.count())) or 0
        rows = session.execute(query.order_by(JobItem.position, JobItem.id).offset(offset).limit(limit))
        return total, [Refused(name=name, error=error or "") for name, error in rows]


def _row(session: Session, workspace: Workspace, job_id: str) -> Job:
    row = session.get(Job, job_id)
    if row is None or row.workspace != workspace.key:
        raise InputError("This job is no longer here. Load the page again.")
    return row


def _facts(session: Session, row: Job) -> JobFacts:
    counted = session.execute(
        select(Inspection.verdict, func.count())
        .join(JobItem, JobItem.inspection_id == Inspection.id)
        .where(JobItem.job_id == row.id)
        .group_by(Inspection.verdict)
    )
    verdicts = Counter({found.verdict: found[1] for found in counted})
    refused = session.scalar(
        select(func.count()).where(JobItem.job_id == row.id, JobItem.inspection_id.is_(None))
    )
    return JobFacts(
        id=row.id,
        kind=row.kind,
        name=row.name,
        state=JobState(row.state),
        spec=row.spec,
        total=row.total,
        done=verdicts.total() + (refused or 0),
        refused=refused or 0,
        verdicts=dict(verdicts),
        error=row.error,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
