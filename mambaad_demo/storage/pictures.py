"""Pictures as such: listed, and taken in without an inspection, as imports of labels need it."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from sqlalchemy import select

from mambaad_demo.data.uploads import load_image
from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.photo_quality import photo_quality
from mambaad_demo.storage import text
from mambaad_demo.storage.insertion import id_of
from mambaad_demo.storage.inspections import write_picture
from mambaad_demo.storage.masks import checked_mask
from mambaad_demo.storage.tables import Image, Product
from mambaad_demo.storage.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPicture:
    """A picture as it lies in the store, inspected or not."""

    id: int
    sha256: str
    name: str
    product: str
    width: int
    """Of the upright picture, as is the height."""
    height: int


def stored_pictures(
    workspace: Workspace, *, product: str | None = None, sha256s: Collection[str] | None = None
) -> list[StoredPicture]:
    """Pictures in the order in which they came, all or those that are asked for."""
    query = (
        select(Image, Product.name)
        .join(Product, Image.product_id == Product.id)
        .where(Image.workspace == workspace.key)
        .order_by(Image.id)
    )
    if product is not None:
        query = query.where(Product.name == product)
    if sha256s is not None:
        query = query.where(Image.sha256.in_(sha256s))
    with workspace.database.reading() as session:
        return [
            StoredPicture(
                id=image.id,
                sha256=image.sha256,
                name=image.name,
                product=product_name,
                width=image.width,
                height=image.height,
            )
            for image, product_name in session.execute(query)
        ]


def add_picture(
    workspace: Workspace, content: bytes, name: str, product: str, *, mask: bytes | None = None
) -> int:
    """Keep a picture that nobody has inspected; returns its id. One that is known stays as it is.

    Args:
        content: the file as it came.
        name: what its owner calls it.
        product: what kind of part it shows; a new product has no types of defect yet.
        mask: one that will be recorded for it; where it does not fit, nothing is kept.

    Raises:
        InputError: no picture we read, no product, or a mask that is none or of another size.
        StorageError: nothing was recorded.
    """
    product_name = text.name(product)
    if not product_name:
        raise InputError("The product has no name. Say what kind of part this is.")
    loaded = load_image(content)
    image = (loaded.pixels * 255.0 + 0.5).astype(np.uint8)
    height, width = image.shape[:2]
    if mask is not None:
        checked_mask(mask, width, height)
    write_picture(workspace, loaded.sha256, content, image)
    quality = photo_quality(image)
    with workspace.database.writing() as session:
        product_id = id_of(
            session, Product, {"workspace": workspace.key, "name": product_name}, defect_types=[]
        )
        return id_of(
            session,
            Image,
            {"workspace": workspace.key, "sha256": loaded.sha256},
            product_id=product_id,
            name=text.note(name),
            width=width,
            height=height,
            brightness=quality.brightness,
            sharpness=quality.sharpness,
        )
