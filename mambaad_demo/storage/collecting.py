"""Two collections of pictures: good ones to teach, and the golden set that every version has to pass."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Collection, Finding
from mambaad_demo.storage import audit, memberships
from mambaad_demo.storage.insertion import id_of
from mambaad_demo.storage.labels import reviewer_name
from mambaad_demo.storage.tables import Image, Membership, Product, Reviewer
from mambaad_demo.storage.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A picture of a collection."""

    image_id: int
    sha256: str
    name: str
    product: str
    finding: Finding
    added_by: str
    added_at: datetime


def add(
    workspace: Workspace, image_id: int, collection: Collection, finding: Finding, *, reviewer: str
) -> None:
    """Put a picture into a collection, or change what it is known to be there.

    Raises:
        InputError: no such picture, unsure what it is, or a defective part that is to be taught as good.
    """
    if finding is Finding.UNSURE or (collection is Collection.TEACH and finding is not Finding.GOOD):
        raise InputError(
            "Only good parts can be taught, and the golden set takes good and defective ones. Decide what "
            "this part is first."
        )
    name = reviewer_name(reviewer)
    with workspace.database.writing() as session:
        image = session.get(Image, image_id)
        if image is None or image.workspace != workspace.key:
            raise InputError("This picture is no longer here. Load the page again.")
        added_by = id_of(session, Reviewer, {"workspace": workspace.key, "name": name})
        memberships.join(session, image_id, collection, finding.value, added_by)
        audit.note(
            session,
            workspace,
            actor=name,
            action=f"{collection.value} added",
            subject=f"image {image.sha256}",
            finding=finding.value,
        )


def remove(workspace: Workspace, image_id: int, collection: Collection, *, reviewer: str) -> None:
    """Take a picture out of a collection, if it is in it."""
    name = reviewer_name(reviewer)
    with workspace.database.writing() as session:
        image = session.get(Image, image_id)
        if image is None or image.workspace != workspace.key:
            return
        session.execute(
            delete(Membership).where(
                Membership.image_id == image_id, Membership.collection == collection.value
            )
        )
        audit.note(
            session,
            workspace,
            actor=name,
            action=f"{collection.value} removed",
            subject=f"image {image.sha256}",
        )


def members(workspace: Workspace, collection: Collection, *, product: str | None = None) -> list[Member]:
    """The pictures of a collection, in the order in which they joined."""
    query = (
        select(Membership, Image, Product.name, Reviewer.name)
        .join(Image, Membership.image_id == Image.id)
        .join(Product, Image.product_id == Product.id)
        .join(Reviewer, Membership.added_by == Reviewer.id)
        .where(Image.workspace == workspace.key, Membership.collection == collection.value)
        .order_by(Membership.added_at, Image.id)
    )
    if product is not None:
        query = query.where(Product.name == product)
    with workspace.database.reading() as session:
        return [
            Member(
                image_id=image.id,
                sha256=image.sha256,
                name=image.name,
                product=product_name,
                finding=Finding(membership.finding),
                added_by=reviewer,
                added_at=membership.added_at,
            )
            for membership, image, product_name, reviewer in session.execute(query)
        ]


def collections_of(workspace: Workspace, image_id: int) -> set[Collection]:
    """The collections a picture is in."""
    query = (
        select(Membership.collection)
        .join(Image, Membership.image_id == Image.id)
        .where(Image.workspace == workspace.key, Image.id == image_id)
    )
    with workspace.database.reading() as session:
        return {Collection(name) for name in session.scalars(query)}
