"""What a decision does to the collections a picture is in, within the transaction of the decision."""

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from mambaad_demo.pipeline.labeling import Collection, Finding
from mambaad_demo.storage.insertion import add_if_missing
from mambaad_demo.storage.tables import Decision, Membership


def collect(session: Session, decision: Decision, *, leaves_golden: bool) -> None:
    """Put the picture where a decision wants it, and take it out where it does not belong any more."""
    if decision.finding != Finding.GOOD.value:
        _leave(session, decision.image_id, Collection.TEACH)
    if leaves_golden or decision.finding == Finding.UNSURE.value:
        _leave(session, decision.image_id, Collection.GOLDEN)
    for collection, joins in _wanted(decision):
        if joins:
            join(session, decision.image_id, collection, decision.finding, decision.reviewer_id)


def withdraw(session: Session, decision: Decision) -> None:
    """Take the picture out of the collections that a decision put it into."""
    for collection, joined in _wanted(decision):
        if joined:
            _leave(session, decision.image_id, collection)


def join(session: Session, image_id: int, collection: Collection, finding: str, added_by: int) -> None:
    """Put a picture into a collection, or change what it is known to be there; two may do so at once."""
    key = {"image_id": image_id, "collection": collection.value}
    word = {"finding": finding, "added_by": added_by}
    if not add_if_missing(session, Membership, key | word):
        session.execute(update(Membership).filter_by(**key).values(word))


def _wanted(decision: Decision) -> tuple[tuple[Collection, bool], ...]:
    return (Collection.TEACH, decision.is_taught), (Collection.GOLDEN, decision.is_golden)


def _leave(session: Session, image_id: int, collection: Collection) -> None:
    session.execute(
        delete(Membership).where(Membership.image_id == image_id, Membership.collection == collection.value)
    )
