"""The MVTec AD folder layout: `<product>/test/good`, `test/<defect>` and `ground_truth/<defect>`.

Folder and file names are made safe, so an export carries `labels.json` beside the products, which says what
each file truly is. Without it folder names are all there is, as in data sets from elsewhere. Nothing is put
into `train`: what somebody labeled is there to test on.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

from pydantic import BaseModel, Field

from mambaad_demo.data.folders import GOOD, IMAGE_SUFFIXES
from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding, LabeledImage
from mambaad_demo.workflow.exchange.incoming import Entry, Incoming, Words, refused
from mambaad_demo.workflow.exchange.json_files import json_bytes
from mambaad_demo.workflow.exchange.mask_files import mask_in, mask_png8
from mambaad_demo.workflow.exchange.names import Names
from mambaad_demo.workflow.exchange.outgoing import UNTYPED, OutgoingPicture, Shipment, without_mask
from mambaad_demo.workflow.exchange.packs import Pack
from mambaad_demo.workflow.exchange.sources import Source, SourceFile, checked

LIST = "labels.json"
MASKS = "ground_truth"
SOME_MASKS = "ground_truth_partial"
"""Where masks lie that are not complete; readers of the layout want one for each defect, or none."""

_SPLITS = ("train", "test", MASKS, SOME_MASKS)


class _Listed(Words):
    """A line of `labels.json`."""

    file: str
    mask: str | None = None
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    name: str
    product: str


class _List(BaseModel):
    """`labels.json`."""

    pictures: list[_Listed]


def write(shipment: Shipment, pack: Pack) -> None:
    """Write the folders of all products and the list beside them."""
    products = Names(*_SPLITS, GOOD)
    listed: list[dict[str, Any]] = []
    images = sorted(shipment.clear(), key=lambda image: (image.product, image.image_id))
    for product, of_product in groupby(images, key=lambda image: image.product):
        folder = products.claim(product, otherwise="product")
        listed += _write_product(shipment, pack, folder, list(of_product))
    pack.write(LIST, json_bytes({"pictures": listed}))


def _write_product(
    shipment: Shipment, pack: Pack, folder: str, images: Sequence[LabeledImage]
) -> Iterator[dict[str, Any]]:
    folders = _defect_folders(images)
    masks = MASKS
    if missing := without_mask(images):
        masks = SOME_MASKS
        shipment.notes.append(
            f"Defects without a mask in {folder}: {len(missing)}. Its other masks lie in {SOME_MASKS}, and "
            "there will be no pixel metrics. Draw the missing ones for a complete export."
        )
    counts = dict.fromkeys(folders.values(), 0)
    for picture in shipment.pack(images):
        defect = folders[_type_of(picture.image)]
        stem = f"{counts[defect]:03d}"
        counts[defect] += 1
        file = f"{folder}/test/{defect}/{stem}{picture.suffix}"
        pack.write(file, picture.content)
        mask = None
        if picture.mask is not None:
            mask = f"{folder}/{masks}/{defect}/{stem}_mask.png"
            pack.write(mask, mask_png8(picture.mask))
        yield _listed(picture, file, mask)


def _defect_folders(images: Sequence[LabeledImage]) -> dict[str | None, str]:
    """Folder names by type of defect; None is good. Typed ones choose first."""
    names = Names(GOOD)
    types = {image.defect_type for image in images if image.finding is Finding.DEFECT}
    return {None: GOOD} | {
        kind: names.claim(kind, otherwise=UNTYPED) for kind in sorted(types, key=_typed_first)
    }


def _typed_first(kind: str) -> tuple[bool, str]:
    return not kind, kind


def _type_of(image: LabeledImage) -> str | None:
    return image.defect_type if image.finding is Finding.DEFECT else None


def _listed(picture: OutgoingPicture, file: str, mask: str | None) -> dict[str, Any]:
    image = picture.image
    return {
        "file": file,
        "mask": mask,
        "sha256": image.sha256,
        "name": image.name,
        "product": image.product,
        "finding": image.finding,
        "defect_type": image.defect_type,
        "severity": image.severity,
        "note": image.note,
    }


def entries(source: Source) -> Iterator[Entry]:
    """Pictures of `labels.json`, if there is one, and all others in `test` by the names of their folders.

    Raises:
        InputError: there are none, or the list is damaged.
    """
    listed = _listed_pictures(source)
    for line in listed:
        yield Entry(name=line.file, read=partial(_as_listed, source, line))
    known = {PurePosixPath(line.file).parts[-4:] for line in listed}
    found = list(_test_pictures(source, known))
    if not listed and not found:
        raise InputError(
            "There is no folder test/good or test/<defect> with pictures. Choose the folder above."
        )
    yield from found
    yield from _training_folders(source)


def _listed_pictures(source: Source) -> list[_Listed]:
    lists = [file for file in source.files if file.name.name == LIST]
    return [line for file in lists for line in checked(_List, file.json()).pictures]


def _as_listed(source: Source, line: _Listed) -> Incoming:
    mask = mask_in(source.find(line.mask)) if line.mask is not None else None
    return Incoming(
        label=line.label(mask),
        name=line.name,
        sha256=line.sha256,
        product=line.product,
        picture=lambda: source.find(line.file).content(),
    )


def _test_pictures(source: Source, known: set[tuple[str, ...]]) -> Iterator[Entry]:
    masks = {file.name.with_suffix(""): file for file in _pictures(source, MASKS, SOME_MASKS)}
    for file in _pictures(source, "test"):
        if file.name.parts[-4:] not in known:
            yield Entry(name=str(file.name), read=partial(_as_filed, source, file, _mask_for(file, masks)))


def _as_filed(source: Source, file: SourceFile, mask: SourceFile | None) -> Incoming:
    *above, _, defect, _ = file.name.parts
    words = (
        Words(finding=Finding.GOOD) if defect == GOOD else Words(finding=Finding.DEFECT, defect_type=defect)
    )
    return Incoming(
        label=words.label(mask_in(mask) if mask is not None else None),
        name=str(file.name),
        product=above[-1] if above else source.name,
        picture=file.content,
    )


def _mask_for(file: SourceFile, masks: dict[PurePosixPath, SourceFile]) -> SourceFile | None:
    root, defect = file.name.parents[2], file.name.parent.name
    if defect == GOOD:
        return None
    places = [
        root / folder / defect / stem
        for folder in (MASKS, SOME_MASKS)
        for stem in (f"{file.name.stem}_mask", file.name.stem)
    ]
    return next((masks[place] for place in places if place in masks), None)


def _pictures(source: Source, *splits: str) -> list[SourceFile]:
    """Pictures in a folder of one of these folders."""
    return [
        file
        for file in source.ending(IMAGE_SUFFIXES)
        if len(file.name.parts) >= 3 and file.name.parts[-3] in splits
    ]


def _training_folders(source: Source) -> Iterator[Entry]:
    """One entry for each folder `train` that is left alone."""
    for folder, files in groupby(_pictures(source, "train"), key=lambda file: file.name.parent):
        count = len(list(files))
        yield refused(
            str(folder), f"{count} pictures to train on are left alone: labels are there to test on."
        )
