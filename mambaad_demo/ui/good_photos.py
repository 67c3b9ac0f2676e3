"""The photos of a good set: uploaded ones, those inside zip files, and parts that were taught as good.

They are read one by one, never all held in memory. Which of them are any good is the pre-flight's business.
"""

import io
import re
from collections.abc import Collection as Names
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from mambaad_demo.data.picture_sets import GoodSet, Picture
from mambaad_demo.data.uploads import load_image, read_file
from mambaad_demo.errors import InputError, StorageError, UnreadableImageError
from mambaad_demo.pipeline.labeling import Collection
from mambaad_demo.storage.collecting import members
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.batches import good_pictures_of

MOST_PHOTOS = 2000
THUMBNAIL_SIDE = 128
_MEGAPIXELS = 12.0


def good_photos(workspace: Workspace, files: Sequence[Path], *, taught: str | None) -> GoodSet:
    """All photos of a good set, with names of which no two are equal.

    Args:
        workspace: where parts were taught.
        files: photos and zip files, of which only the pictures of good parts are taken.
        taught: product whose parts taught as good are added; None for none.

    Raises:
        InputError: none at all, too many, or a damaged zip file.
    """
    sent = good_pictures_of(files)
    photos = list(sent.pictures)
    taken = {photo.name for photo in photos}
    for member in members(workspace, Collection.TEACH, product=taught) if taught else []:
        name = f"taught/{member.name}"
        if name in taken:
            name = f"taught/{member.sha256[:8]} {member.name}"
        taken.add(name)
        photos.append(Picture(name=name, is_anomalous=None, read=partial(_stored, workspace, member.sha256)))
    if not photos:
        raise InputError("Choose photos of good parts, or a zip file of them, first.")
    if len(photos) > MOST_PHOTOS:
        raise InputError(f"These are {len(photos)} photos; {MOST_PHOTOS} are plenty. Choose fewer.")
    return replace(sent, pictures=photos)


def _stored(workspace: Workspace, sha256: str) -> bytes:
    try:
        return workspace.files.read(FileKind.PICTURE, sha256)
    except StorageError as error:
        raise UnreadableImageError(str(error)) from error


def without(photos: Sequence[Picture], left_out: Names[str]) -> list[Picture]:
    """The photos that are not left out."""
    return [photo for photo in photos if photo.name not in left_out]


def unpacked(photos: Sequence[Picture], folder: Path) -> list[Path]:
    """The photos as files; those that lie in zip files or in the store are written to `folder`.

    What cannot be had is left out: the report has named it.

    Raises:
        StorageError: they cannot be written.
    """
    paths = []
    for number, photo in enumerate(photos):
        try:
            content = photo.read()
        except InputError:
            continue
        if isinstance(content, bytes):
            path = folder / f"{number:05d}" / _file_name(photo.name)
            try:
                path.parent.mkdir(parents=True)
                path.write_bytes(content)
            except OSError as error:
                raise StorageError(
                    "The photos could not be unpacked: the disk may be full. Make room and start again."
                ) from error
            content = path
        paths.append(content)
    return paths


def thumbnails(photos: Sequence[Picture], names: Names[str]) -> dict[str, bytes]:
    """Small JPEGs by name, of those asked for that can be read."""
    found = {}
    for photo in photos:
        if photo.name in names:
            with suppress(InputError):
                found[photo.name] = thumbnail_jpeg(photo.read())
    return found


def thumbnail_jpeg(content: Path | bytes) -> bytes:
    """A photo of at most `THUMBNAIL_SIDE` pixels a side, without metadata.

    Raises:
        InputError: it is none that we read.
    """
    pixels = load_image(
        content if isinstance(content, bytes) else read_file(content), max_megapixels=_MEGAPIXELS
    ).pixels
    step = max(1, max(pixels.shape[:2]) // (4 * THUMBNAIL_SIDE))  # most of the shrinking, at no cost
    image = Image.fromarray((pixels[::step, ::step] * 255 + 0.5).astype(np.uint8))
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


def _file_name(name: str) -> str:
    """What a photo is called, as a file name; it keeps its ending."""
    return re.sub(r"[^\w .()=+-]", "_", name.rpartition("/")[2]).lstrip(". ")[-60:] or "photo"
