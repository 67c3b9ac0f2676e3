"""Studies as they were run, kept as plain JSON."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select

from mambaad_demo.errors import InputError
from mambaad_demo.storage import audit, text
from mambaad_demo.storage.tables import Study
from mambaad_demo.storage.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyEntry:
    """A study in a list of studies."""

    id: int
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStudy:
    """A study as it lies in the store."""

    id: int
    name: str
    spec: dict[str, Any]
    """What was asked for."""
    result: dict[str, Any]
    created_at: datetime


def save(workspace: Workspace, *, name: str, spec: dict[str, Any], result: dict[str, Any], actor: str) -> int:
    """Keep a study; returns its number. Spec and result hold JSON types only, without NaN."""
    with workspace.database.writing() as session:
        row = Study(workspace=workspace.key, name=text.name(name), spec=spec, result=result)
        session.add(row)
        session.flush()
        audit.note(
            session, workspace, actor=actor, action="study saved", subject=f"study {row.id}", name=row.name
        )
        return row.id


def study(workspace: Workspace, study_id: int) -> StoredStudy:
    """One study of this workspace.

    Raises:
        InputError: there is none of this number.
    """
    with workspace.database.reading() as session:
        row = session.get(Study, study_id)
        if row is None or row.workspace != workspace.key:
            raise InputError("This study is no longer here. Load the page again.")
        return StoredStudy(
            id=row.id, name=row.name, spec=row.spec, result=row.result, created_at=row.created_at
        )


def studies(workspace: Workspace, *, at_most: int = 100) -> list[StudyEntry]:
    """The newest studies first."""
    query = (
        select(Study.id, Study.name, Study.created_at)
        .where(Study.workspace == workspace.key)
        .order_by(Study.id.desc())
        .limit(at_most)
    )
    with workspace.database.reading() as session:
        return [
            StudyEntry(id=number, name=name, created_at=created_at)
            for number, name, created_at in session.execute(query)
        ]


def delete_old(workspace: Workspace, *, before: datetime, keep: str) -> int:
    """Delete the studies, made before a moment, of every workspace but one; returns how many went."""
    with workspace.database.writing() as session:
        gone = session.execute(delete(Study).where(Study.created_at < before, Study.workspace != keep))
        return int(gone.rowcount)  # type: ignore[attr-defined]
