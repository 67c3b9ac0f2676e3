"""The audit trail: who did what to what, written in the transaction that does it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mambaad_demo.storage.tables import AuditEntry
from mambaad_demo.storage.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the trail."""

    at: datetime
    actor: str
    action: str
    subject: str
    details: dict[str, Any]


def note(
    session: Session, workspace: Workspace, *, actor: str, action: str, subject: str, **details: Any
) -> None:
    """Add a line to the transaction at hand."""
    session.add(
        AuditEntry(workspace=workspace.key, actor=actor, action=action, subject=subject, details=details)
    )


def entries(workspace: Workspace, *, subject: str | None = None, at_most: int = 200) -> list[Entry]:
    """The newest lines first, of one subject or of all."""
    query = select(AuditEntry).where(AuditEntry.workspace == workspace.key)
    if subject is not None:
        query = query.where(AuditEntry.subject == subject)
    with workspace.database.reading() as session:
        return [
            Entry(at=row.at, actor=row.actor, action=row.action, subject=row.subject, details=row.details)
            for row in session.scalars(query.order_by(AuditEntry.id.desc()).limit(at_most))
        ]
