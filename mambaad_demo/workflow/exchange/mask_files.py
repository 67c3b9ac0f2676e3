"""Masks as picture files: how exports write them, and how a folder of masks alone is imported."""

import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from mambaad_demo.data.file_kinds import ImageKind, image_kind
from mambaad_demo.data.folders import IMAGE_SUFFIXES
from mambaad_demo.data.uploads import load_mask
from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding, LabeledImage
from mambaad_demo.storage.inspections import sha256_of
from mambaad_demo.storage.pictures import StoredPicture
from mambaad_demo.workflow.exchange.incoming import Entry, Incoming, Words
from mambaad_demo.workflow.exchange.names import stem_of
from mambaad_demo.workflow.exchange.sources import Source, SourceFile


def mask_png8(mask: np.ndarray) -> bytes:
    """(H, W) bool as an 8-bit gray PNG of 0 and 255, which every tool reads."""
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(buffer, "PNG")
    return buffer.getvalue()


def mask_in(file: SourceFile) -> np.ndarray:
    """The mask of a picture file, (H, W) bool: everything that is not black.

    Raises:
        InputError: no picture we read, or one that was saved with losses.
    """
    content = file.content()
    if image_kind(content) is ImageKind.JPEG:
        raise InputError(f"{file.name.name} is a JPEG, which blurs the edge of a mask. Save it as PNG.")
    return load_mask(content)


def entries(
    source: Source, pictures: Sequence[StoredPicture], labeled: Sequence[LabeledImage]
) -> Iterator[Entry]:
    """Each mask, for the stored picture of the same name, with or without `_mask`.

    Type, severity and note of a part that is known to be defective stay.

    Args:
        source: masks.
        pictures: of the product.
        labeled: what is known of them.

    Raises:
        InputError: there are no masks.
    """
    files = source.ending(IMAGE_SUFFIXES)
    if not files:
        raise InputError("There are no masks in it. Send PNG files named after their pictures.")
    by_stem: defaultdict[str, list[StoredPicture]] = defaultdict(list)
    for picture in pictures:
        by_stem[stem_of(picture.name)].append(picture)
    known = {image.sha256: image for image in labeled if image.finding is Finding.DEFECT}
    for file in files:
        yield Entry(name=str(file.name), read=partial(_incoming, file, dict(by_stem), known))


def _incoming(
    file: SourceFile, by_stem: dict[str, list[StoredPicture]], known: dict[str, LabeledImage]
) -> Incoming:
    picture = _picture_of(file.name, by_stem)
    if sha256_of(file.content()) == picture.sha256:
        raise InputError("This is the picture itself and no mask of it.")
    mask = mask_in(file)
    if not mask.any():
        raise InputError("The mask is black and marks nothing. If the part is good, say so in the review.")
    words = Words(finding=Finding.DEFECT)
    if picture.sha256 in known:
        image = known[picture.sha256]
        words = Words(
            finding=Finding.DEFECT,
            defect_type=image.defect_type,
            severity=image.severity,
            note=image.note,
        )
    return Incoming(label=words.label(mask), name=picture.name, sha256=picture.sha256)


def _picture_of(name: PurePosixPath, by_stem: dict[str, list[StoredPicture]]) -> StoredPicture:
    """The picture a mask belongs to; where several are called so, its folder has to agree."""
    for stem in (name.stem.removesuffix("_mask"), name.stem):
        found = by_stem.get(stem, [])
        if len(found) > 1:
            found = [
                one
                for one in found
                if PurePosixPath(one.name.replace("\\", "/")).parent.name == name.parent.name
            ]
        if len(found) == 1:
            return found[0]
        if by_stem.get(stem):
            raise InputError(f"{len(by_stem[stem])} pictures are called {stem}. Rename, or send them apart.")
    raise InputError(f"No picture of this product is called {name.stem.removesuffix('_mask')}.")
