"""Stored pictures as a person wants to see them: filtered, ordered, paged, each with its newest inspection.

The batch table and the review queue are both made of this query.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, SQLColumnExpression, and_, exists, func, select
from sqlalchemy.orm import Session

from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.storage.inspections import Selection, StoredInspection, selection, stored
from mambaad_demo.storage.labels import newest_ids
from mambaad_demo.storage.tables import (
    Decision,
    Image,
    Inspection,
    JobItem,
    Membership,
    Product,
    Version,
)
from mambaad_demo.storage.workspace import Workspace


class Order(StrEnum):
    """What comes first."""

    DOUBT = "doubt"
    """Nearest to a limit; without limits last."""
    SCORE = "score"
    """Highest multiple of the reject limit; without one last."""
    NAME = "name"
    NEWEST = "newest"


class Decided(StrEnum):
    """By whom a picture has to be decided on, or not."""

    ANY = "any"
    NOBODY = "nobody"
    SOMEBODY = "somebody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which pictures; an empty filter lets all pass."""

    job_id: str = ""
    product: str = ""
    checkpoint: str = ""
    verdict: str = ""
    decided: Decided = Decided.ANY
    finding: str = ""
    """What somebody found; one of `Finding`."""
    defect_type: str = ""
    collection: str = ""
    search: str = ""
    """Part of the file name."""
    order: Order = Order.DOUBT


def page(
    workspace: Workspace, filters: Filters, *, offset: int = 0, limit: int = 50
) -> list[StoredInspection]:
    """Some pictures in order."""
    with workspace.database.reading() as session:
        query = filtered(workspace, filters).order_by(*ordering(filters.order)).offset(offset).limit(limit)
        return [stored(row) for row in session.execute(query)]


def count(workspace: Workspace, filters: Filters) -> int:
    """How many pictures there are in all."""
    with workspace.database.reading() as session:
        return count_of(session, filtered(workspace, filters))


def count_of(session: Session, query: Selection) -> int:
    """Rows of a query."""
    return session.scalar(query.with_only_columns(func.count(Inspection.id)).order_by(None)) or 0


def filtered(workspace: Workspace, filters: Filters) -> Selection:
    """The newest inspection of each picture that passes."""
    return selection(workspace).where(
        Inspection.id.in_(_newest(workspace, filters)), *_conditions(workspace, filters)
    )


def ordering(order: Order) -> list[SQLColumnExpression[Any]]:
    """What to sort by; ends with what tells any two apart."""
    limit = func.nullif(Inspection.reject_limit, 0)
    first: dict[Order, list[SQLColumnExpression[Any]]] = {
        Order.DOUBT: [Inspection.closeness.is_(None), Inspection.closeness],
        Order.SCORE: [limit.is_(None), (Inspection.score / limit).desc(), Inspection.score.desc()],
        Order.NAME: [Image.name],
        Order.NEWEST: [Inspection.id.desc()],
    }
    return [*first[order], Inspection.id]


def decided_by_anybody() -> ColumnElement[bool]:
    """Whether some decision on the picture stands."""
    return exists().where(
        Decision.image_id == Image.id, Decision.undone_at.is_(None), Decision.is_repeat.is_(False)
    )


def _newest(workspace: Workspace, filters: Filters) -> Select[int]:
    """Ids of each picture's newest inspection, within a batch or by a checkpoint where asked for."""
    query = (
        select(func.max(Inspection.id))
        .join(Image, Inspection.image_id == Image.id)
        .where(Image.workspace == workspace.key)
        .group_by(Inspection.image_id)
    )
    if filters.job_id:
        query = query.join(JobItem, JobItem.inspection_id == Inspection.id).where(
            JobItem.job_id == filters.job_id
        )
    if filters.checkpoint:
        query = query.join(Version, Inspection.version_id == Version.id).where(
            Version.checkpoint == filters.checkpoint
        )
    return query


def _conditions(workspace: Workspace, filters: Filters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.product:
        conditions.append(Product.name == filters.product)
    if filters.verdict:
        conditions.append(Inspection.verdict == filters.verdict)
    if filters.search:
        conditions.append(Image.name.icontains(filters.search, autoescape=True))
    if filters.decided is not Decided.ANY:
        decided = decided_by_anybody()
        conditions.append(decided if filters.decided is Decided.SOMEBODY else ~decided)
    if filters.finding or filters.defect_type:
        conditions.append(_found(workspace, filters))
    if filters.collection:
        conditions.append(
            exists().where(Membership.image_id == Image.id, Membership.collection == filters.collection)
        )
    return conditions


def _found(workspace: Workspace, filters: Filters) -> ColumnElement[bool]:
    """Whether somebody's standing decision says so."""
    said: list[ColumnElement[bool]] = [Decision.id.in_(newest_ids(workspace))]
    if filters.finding:
        said.append(Decision.finding == Finding(filters.finding).value)
    if filters.defect_type:
        said.append(Decision.defect_type == filters.defect_type)
    return Image.id.in_(select(Decision.image_id).where(and_(*said)))
