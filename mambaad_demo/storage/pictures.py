"""Pictures as such: listed, and taken in without an inspection, as imports of labels need it."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage
from sqlalchemy import select

from mambaad_demo.data.uploads import load_image
from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.photo_quality import photo_quality
from mambaad_demo.storage import text
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.insertion import id_of
from mambaad_demo.storage.inspections import PREVIEW_SIDE, THUMBNAIL_SIDE
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


def stored_pictures(workspace: Workspace, *, product: str | None = None) -> list[StoredPicture]:
    """The pictures of a workspace, or of one product, in the order in which they came."""
    query = (
        select(Image, Product.name)
        .join(Product, Image.product_id == Product.id)
        .where(Image.workspace == workspace.key)
        .order_by(Image.id)
    )
    if product is not None:
        query = query.where(Product.name == product)
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
    _write_files(workspace, loaded.sha256, content, image)
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


def _write_files(workspace: Workspace, sha256: str, content: bytes, image: np.ndarray) -> None:
    workspace.files.write(FileKind.PICTURE, sha256, content)
    for kind, side in ((FileKind.PREVIEW, PREVIEW_SIDE), (FileKind.THUMBNAIL, THUMBNAIL_SIDE)):
        if not workspace.files.holds(kind, sha256):
            workspace.files.write(kind, sha256, _jpeg(image, side))


def _jpeg(image: np.ndarray, side: int) -> bytes:
    """(H, W, 3) uint8 as a JPEG of at most `side` pixels."""
    picture = PillowImage.fromarray(image)
    scale = min(1.0, side / max(picture.size))
    if scale < 1.0:
        width, height = (max(1, round(length * scale)) for length in picture.size)
        picture = picture.resize((width, height), PillowImage.Resampling.BILINEAR, reducing_gap=2.0)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
