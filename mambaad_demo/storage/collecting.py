"""Two collections of pictures: good ones to teach, and the golden set that every version has to pass.

What puts a picture into one or takes it out is a decision (`labels.decide`).
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from mambaad_demo.pipeline.labeling import Collection, Finding
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
