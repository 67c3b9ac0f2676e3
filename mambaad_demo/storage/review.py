"""The review queue: what a reviewer should look at next, alone or beside others, and which parts come again.

A picture is claimed while somebody looks at it, so that reviewers who share a queue get different ones. A
claim ends with the decision, or by itself `CLAIM_SECONDS` after the page renewed it last.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import timedelta
from statistics import median

from sqlalchemy import ColumnElement, delete, exists, or_, select
from sqlalchemy.orm import Session

from mambaad_demo.errors import InputError
from mambaad_demo.storage import text
from mambaad_demo.storage.insertion import add_if_missing, id_of
from mambaad_demo.storage.inspections import Selection, StoredInspection, selection, stored
from mambaad_demo.storage.labels import newest_ids, reviewer_name
from mambaad_demo.storage.listing import (
    Decided,
    Filters,
    Order,
    count_of,
    decided_by_anybody,
    filtered,
    ordering,
)
from mambaad_demo.storage.tables import (
    Claim,
    Decision,
    Image,
    Inspection,
    Reviewer,
    SavedView,
    now,
)
from mambaad_demo.storage.workspace import Workspace

CLAIM_SECONDS = 180
REPEAT_EVERY = 10
"""After this many decisions of a reviewer one earlier part is shown again, without saying so."""
REPEAT_DISTANCE = 5
"""At least this many decisions lie between a part and its repeat."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A reviewer at work."""

    reviewer: str
    filters: Filters
    is_shared: bool = True
    """Whether a part that somebody decided on is done for everybody; else each reviewer sees every part."""

    @property
    def is_revisit(self) -> bool:
        """Whether it goes through parts that are decided already."""
        return self.filters.decided is Decided.SOMEBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A part to decide on."""

    inspection: StoredInspection
    is_repeat: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a reviewer gets on."""

    decided: int
    median_seconds: float | None
    """Of the decisions whose time is known."""


def next_turn(
    workspace: Workspace, queue: Queue, *, seen: Collection[int] = (), repeated: Collection[int] = ()
) -> Turn | None:
    """The next part, claimed for this reviewer; None where nothing is left.

    Args:
        seen: ids of pictures to leave out, such as those skipped in this sitting.
        repeated: ids of pictures shown once more in this sitting, whether decided on again or skipped.
    """
    name = reviewer_name(queue.reviewer)
    with workspace.database.writing() as session:
        reviewer = id_of(session, Reviewer, {"workspace": workspace.key, "name": name})
        repeat = None if queue.is_revisit else _repeat(session, workspace, queue, reviewer, repeated)
        if repeat is not None:
            return Turn(inspection=repeat, is_repeat=True)
        for row in session.execute(_waiting(workspace, queue, reviewer, seen).limit(8)):
            part = stored(row)
            if not queue.is_shared or _claim(session, part.image_id, reviewer):
                if queue.is_shared and not queue.is_revisit and _is_decided(session, part.image_id):
                    continue  # by somebody who was done between our look and our claim
                return Turn(inspection=part)
    return None


def claim(workspace: Workspace, image_id: int, *, reviewer: str) -> None:
    """Keep a picture that is on a reviewer's screen from others, unless one of them has it or it is gone."""
    key = {"workspace": workspace.key, "name": reviewer_name(reviewer)}
    with workspace.database.writing() as session:
        image = session.get(Image, image_id)
        if image is not None and image.workspace == workspace.key:
            _claim(session, image_id, id_of(session, Reviewer, key))


def waiting(
    workspace: Workspace, queue: Queue, *, seen: Collection[int] = (), at_most: int = 6
) -> tuple[int, list[StoredInspection]]:
    """How many parts are left for this reviewer, and the first of them."""
    name = reviewer_name(queue.reviewer)
    with workspace.database.reading() as session:
        reviewer = session.scalar(
            select(Reviewer.id).where(Reviewer.workspace == workspace.key, Reviewer.name == name)
        )
        query = _waiting(workspace, queue, reviewer or 0, seen)
        first = [stored(row) for row in session.execute(query.limit(at_most))]
        return count_of(session, query), first


def turn_of(workspace: Workspace, image_id: int) -> Turn:
    """A part by its picture, with the newest inspection.

    Raises:
        InputError: there is none.
    """
    query = selection(workspace).where(Image.id == image_id).order_by(Inspection.id.desc()).limit(1)
    with workspace.database.reading() as session:
        row = session.execute(query).first()
        if row is None:
            raise InputError("This picture is no longer here. Load the page again.")
        return Turn(inspection=stored(row))


def pace(workspace: Workspace, reviewer: str) -> Pace:
    """How many parts a reviewer has decided on, and how long each took."""
    query = (
        select(Decision.seconds)
        .join(Reviewer, Decision.reviewer_id == Reviewer.id)
        .where(
            Reviewer.workspace == workspace.key,
            Reviewer.name == reviewer_name(reviewer),
            Decision.undone_at.is_(None),
        )
    )
    with workspace.database.reading() as session:
        seconds = list(session.scalars(query))
    known = [value for value in seconds if value is not None]
    return Pace(decided=len(seconds), median_seconds=median(known) if known else None)


def save_view(workspace: Workspace, name: str, filters: Filters) -> str:
    """Keep filters under a name, in place of those it had; returns the name as kept.

    Raises:
        InputError: the name is empty.
    """
    kept = text.name(name)
    if not kept:
        raise InputError("Give the view a name first.")
    with workspace.database.writing() as session:
        session.execute(delete(SavedView).where(SavedView.workspace == workspace.key, SavedView.name == kept))
        session.add(SavedView(workspace=workspace.key, name=kept, filters=asdict(filters)))
    return kept


def delete_view(workspace: Workspace, name: str) -> None:
    """Forget filters that were kept, if they are there."""
    with workspace.database.writing() as session:
        session.execute(delete(SavedView).where(SavedView.workspace == workspace.key, SavedView.name == name))


def saved_views(workspace: Workspace) -> dict[str, Filters]:
    """Filters by name."""
    query = select(SavedView).where(SavedView.workspace == workspace.key).order_by(SavedView.name)
    with workspace.database.reading() as session:
        return {
            view.name: Filters(
                **view.filters
                | {"decided": Decided(view.filters["decided"]), "order": Order(view.filters["order"])}
            )
            for view in session.scalars(query)
        }


def _waiting(workspace: Workspace, queue: Queue, reviewer: int, seen: Collection[int]) -> Selection:
    """Parts that this reviewer has still to decide on, in order."""
    query = filtered(workspace, queue.filters)
    if queue.is_shared:
        query = query.where(~_claimed_by_others(reviewer))
    if queue.is_shared and not queue.is_revisit:
        query = query.where(~decided_by_anybody())
    elif not queue.is_revisit:
        mine = select(Decision.image_id).where(
            Decision.id.in_(newest_ids(workspace)), Decision.reviewer_id == reviewer
        )
        query = query.where(Image.id.not_in(mine))
    if seen:
        query = query.where(Image.id.not_in(list(seen)))
    return query.order_by(*ordering(queue.filters.order))


def _claimed_by_others(reviewer: int) -> ColumnElement[bool]:
    return exists().where(Claim.image_id == Image.id, Claim.reviewer_id != reviewer, Claim.until > now())


def _claim(session: Session, image_id: int, reviewer: int) -> bool:
    """Take a picture unless somebody else holds it; also gives back what this reviewer held before."""
    session.execute(delete(Claim).where(or_(Claim.until <= now(), Claim.reviewer_id == reviewer)))
    until = now() + timedelta(seconds=CLAIM_SECONDS)
    return add_if_missing(session, Claim, {"image_id": image_id, "reviewer_id": reviewer, "until": until})


def _is_decided(session: Session, image_id: int) -> bool:
    return bool(session.scalar(select(decided_by_anybody()).where(Image.id == image_id)))


def _repeat(
    session: Session, workspace: Workspace, queue: Queue, reviewer: int, repeated: Collection[int]
) -> StoredInspection | None:
    """An earlier part of this reviewer that is due to be shown again, if one is."""
    standing = (Decision.reviewer_id == reviewer, Decision.undone_at.is_(None))
    newest = session.scalar(select(Decision).where(*standing).order_by(Decision.id.desc()).limit(1))
    first_words = session.scalars(
        select(Decision.image_id).where(*standing, Decision.is_repeat.is_(False)).order_by(Decision.id.desc())
    ).all()
    if newest is None or newest.is_repeat or len(first_words) % REPEAT_EVERY:
        return None
    answered = select(Decision.image_id).where(Decision.reviewer_id == reviewer, Decision.is_repeat.is_(True))
    shown = {*repeated, *session.scalars(answered)}
    if len(shown) >= len(first_words) // REPEAT_EVERY:
        return None
    too_soon = {*first_words[:REPEAT_DISTANCE], *shown}
    candidates = [image for image in dict.fromkeys(first_words) if image not in too_soon]
    candidate = (
        filtered(workspace, queue.filters)
        .where(Image.id.in_(candidates[:500]))
        .order_by(Image.sha256)
        .limit(1)
    )
    row = session.execute(candidate).first()
    return None if row is None else stored(row)
