"""Which version is active for a category, and how it came to be: rows that are only ever added.

The newest row of a category holds. A promotion puts a version on top of those before it, a rollback takes
away all above the one it goes back to. Whether a version may be promoted is `workflow.promotion`'s business.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from sqlalchemy import Select, func, select
from sqlalchemy import text as sql
from sqlalchemy.orm import Session, defer

from mambaad_demo.errors import InputError
from mambaad_demo.storage import audit, text
from mambaad_demo.storage.tables import Promotion
from mambaad_demo.storage.workspace import Workspace

NOTHING = 0
"""The number of the newest row of a category that has none."""


class Action(StrEnum):
    """What made a version active."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A row as it lies in the store, without the golden set."""

    id: int
    category: str
    checkpoint: str | None
    """The active version from here on; None after a rollback to the time before the first promotion."""
    checkpoint_sha256: str
    """Of its weights; empty without a version."""
    action: Action
    note: str
    override_reason: str
    actor: str
    created_at: datetime

    @classmethod
    def of(cls, row: Promotion) -> Self:
        return cls(
            id=row.id,
            category=row.category,
            checkpoint=row.checkpoint or None,
            checkpoint_sha256=row.checkpoint_sha256,
            action=Action(row.action),
            note=row.note,
            override_reason=row.override_reason,
            actor=row.actor,
            created_at=row.created_at,
        )

    @property
    def weights(self) -> tuple[str | None, str]:
        """The active version and the hash of its weights: what a rollback goes back to."""
        return self.checkpoint, self.checkpoint_sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class NewStep:
    """What is to be written."""

    category: str
    checkpoint: str | None
    checkpoint_sha256: str
    action: Action
    note: str
    override_reason: str = ""
    golden: dict[str, Any]
    """JSON types only, without NaN."""


def add(
    workspace: Workspace,
    step: NewStep,
    *,
    actor: str,
    seen: int,
    check: Callable[[], None] = lambda: None,
) -> Step:
    """Add a row with its line in the audit trail.

    Args:
        seen: number of the newest row of the category when it was decided, or `NOTHING`.
        check: raises where the version is gone; nobody can discard it from there on. It has to be quick,
            since all other writers wait.

    Raises:
        InputError: somebody was faster; nothing was changed.
    """
    name = text.name(actor)
    with workspace.database.writing() as session:
        _wait_for_others(session)
        if newest_id_in(session, workspace, step.category) != seen:
            raise InputError(
                f"Meanwhile somebody else changed which version of {step.category!r} is active. Nothing was "
                "changed by you. Look again, then decide."
            )
        check()
        row = Promotion(
            workspace=workspace.key,
            category=step.category,
            checkpoint=step.checkpoint or "",
            checkpoint_sha256=step.checkpoint_sha256,
            action=step.action.value,
            note=text.note(step.note),
            override_reason=text.note(step.override_reason),
            golden=step.golden,
            actor=name,
        )
        session.add(row)
        session.flush()
        audit.note(
            session,
            workspace,
            actor=name,
            action="promoted" if step.action is Action.PROMOTE else "rolled back",
            subject=f"category {step.category}"[:200],
            promotion=row.id,
            checkpoint=step.checkpoint,
            checkpoint_sha256=step.checkpoint_sha256,
            note=row.note,
            override_reason=row.override_reason,
        )
        return Step.of(row)


def history(workspace: Workspace, category: str) -> list[Step]:
    """All rows of a category, the newest first."""
    query = _rows(workspace, category).options(defer(Promotion.golden))
    with workspace.database.reading() as session:
        return [Step.of(row) for row in session.scalars(query)]


def standing(steps: Sequence[Step]) -> list[Step]:
    """Of a history, the promotions that no rollback took away, the newest first: the top one is active."""
    stack: list[Step] = []
    for step in reversed(steps):
        if step.action is Action.PROMOTE:
            stack.append(step)
        else:
            del stack[-1:]
            while stack and stack[-1].weights != step.weights:
                stack.pop()
    return stack[::-1]


def before(steps: Sequence[Step]) -> list[Step]:
    """Of a history, what a rollback may go back to, the nearest first; other weights than the active ones."""
    stack = standing(steps)
    return [step for step in stack[1:] if step.weights != stack[0].weights]


def passed_over(steps: Sequence[Step]) -> list[str]:
    """Of a history that ends with a rollback, the versions that stood between the one that was taken back and
    the one it went back to, the newest first; each once."""
    stack = standing(steps[1:])
    taken = stack[: len(stack) - len(standing(steps))]
    return list(dict.fromkeys(step.checkpoint or "" for step in taken if step.weights != stack[0].weights))


def active(workspace: Workspace, category: str) -> str | None:
    """The checkpoint that is active for a category; None where nothing was promoted or all was taken back."""
    query = select(Promotion.checkpoint).where(
        Promotion.workspace == workspace.key, Promotion.category == category
    )
    with workspace.database.reading() as session:
        return session.scalar(query.order_by(Promotion.id.desc()).limit(1)) or None


def active_checkpoints(workspace: Workspace) -> dict[str, str]:
    """The active checkpoint of each category that has one."""
    newest = (
        select(func.max(Promotion.id))
        .where(Promotion.workspace == workspace.key)
        .group_by(Promotion.category)
    )
    query = select(Promotion.category, Promotion.checkpoint).where(
        Promotion.id.in_(newest), Promotion.checkpoint != ""
    )
    with workspace.database.reading() as session:
        return {row.category: row.checkpoint for row in session.execute(query)}


def golden(workspace: Workspace, step_id: int) -> dict[str, Any]:
    """What the golden set said when a row was written; empty where there is no such row."""
    query = select(Promotion.golden).where(Promotion.workspace == workspace.key, Promotion.id == step_id)
    with workspace.database.reading() as session:
        return session.scalar(query) or {}


def newest_id_in(session: Session, workspace: Workspace, category: str) -> int:
    """Number of the newest row of a category, or `NOTHING`."""
    query = select(func.max(Promotion.id)).where(
        Promotion.workspace == workspace.key, Promotion.category == category
    )
    return session.scalar(query) or NOTHING


def discard(workspace: Workspace, checkpoint: str, *, delete: Callable[[], None], actor: str) -> None:
    """Delete a version that is active nowhere, in no workspace either: all share its folder.

    Args:
        delete: takes the version away; nobody can promote it meanwhile. It has to be quick, since all other
            writers wait.

    Raises:
        InputError: the version is active.
    """
    newest = select(func.max(Promotion.id)).group_by(Promotion.workspace, Promotion.category)
    using = select(Promotion.category).where(Promotion.id.in_(newest), Promotion.checkpoint == checkpoint)
    with workspace.database.writing() as session:
        _wait_for_others(session)
        category = session.scalar(using.limit(1))
        if category is not None:
            raise InputError(
                f"{checkpoint} is the active version of {category!r} and stays. Roll back or promote another "
                "one first."
            )
        audit.note(
            session,
            workspace,
            actor=text.name(actor),
            action="version discarded",
            subject=f"version {checkpoint}"[:200],
        )
        session.flush()
        delete()


def _rows(workspace: Workspace, category: str) -> Select[Promotion]:
    return (
        select(Promotion)
        .where(Promotion.workspace == workspace.key, Promotion.category == category)
        .order_by(Promotion.id.desc())
    )


def _wait_for_others(session: Session) -> None:
    """Let one transaction at a time decide; on SQLite all writers queue up anyway."""
    if session.get_bind().dialect.name != "sqlite":
        session.execute(sql("LOCK TABLE promotions IN SHARE ROW EXCLUSIVE MODE"))
