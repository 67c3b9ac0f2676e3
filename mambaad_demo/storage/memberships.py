"""What a decision does to the collections a picture is in, within the transaction of the decision."""

from sqlalchemy import delete
from sqlalchemy.orm import Session

from mambaad_demo.pipeline.labeling import Collection, Finding
from mambaad_demo.storage.tables import Decision, Membership


def collect(session: Session, decision: Decision, *, leaves_golden: bool) -> None:
    """Put the picture where a decision wants it, and take it out where it does not belong any more."""
    if decision.finding != Finding.GOOD.value:
        _leave(session, decision.image_id, Collection.TEACH)
    if leaves_golden or decision.finding == Finding.UNSURE.value:
        _leave(session, decision.image_id, Collection.GOLDEN)
    for collection, joins in (
        (Collection.TEACH, decision.is_taught),
        (Collection.GOLDEN, decision.is_golden),
    ):
        if joins:
            session.merge(
                Membership(
                    image_id=decision.image_id,
                    collection=collection.value,
                    finding=decision.finding,
                    added_by=decision.reviewer_id,
                )
            )


def withdraw(session: Session, decision: Decision) -> None:
    """Take the picture out of the collections that a decision put it into."""
    for collection, joined in (
        (Collection.TEACH, decision.is_taught),
        (Collection.GOLDEN, decision.is_golden),
    ):
        if joined:
            _leave(session, decision.image_id, collection)


def _wanted(decision: Decision) -> tuple[tuple[Collection, bool], ...]:
    return (Collection.TEACH, decision.is_taught), (Collection.GOLDEN, decision.is_golden)


def _leave(session: Session, image_id: int, collection: Collection) -> None:
    session.execute(
        delete(Membership).where(Membership.image_id == image_id, Membership.collection == collection.value)
    )
