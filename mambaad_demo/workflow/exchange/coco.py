"""COCO: pictures in a folder, and one JSON file that says what is where.

A category is a type of defect of a product, which is its supercategory. Only what has a mask is an
annotation; what people said about the whole picture stands in fields of our own beside `file_name`, which
other tools skip.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding, Severity
from mambaad_demo.version import __version__
from mambaad_demo.workflow.exchange.coco_masks import RunLengths, annotation_of, mask_of_runs
from mambaad_demo.workflow.exchange.incoming import Entry, Incoming, Words, refused
from mambaad_demo.workflow.exchange.json_files import json_bytes
from mambaad_demo.workflow.exchange.names import Names, stem_of
from mambaad_demo.workflow.exchange.outgoing import UNTYPED, OutgoingPicture, Shipment, without_mask
from mambaad_demo.workflow.exchange.packs import Pack
from mambaad_demo.workflow.exchange.sources import Source, SourceFile, checked

PICTURES = "images"
DOCUMENT = "annotations.json"


class CocoDocument:
    """A COCO file that grows picture by picture."""

    def __init__(self) -> None:
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._categories: dict[tuple[str, str], int] = {}

    def add(self, picture: OutgoingPicture, file_name: str) -> None:
        """Add a picture with its mask, if it has one."""
        image = picture.image
        entry = {
            "id": len(self._images) + 1,
            "file_name": file_name,
            "width": image.width,
            "height": image.height,
            "sha256": image.sha256,
            "original_name": image.name,
            "product": image.product,
            "finding": image.finding,
            "defect_type": image.defect_type,
            "severity": image.severity,
            "note": image.note,
        }
        self._images.append(entry)
        if picture.mask is not None:
            category = (image.product, image.defect_type or UNTYPED)
            annotation = {
                "id": len(self._annotations) + 1,
                "image_id": entry["id"],
                "category_id": self._categories.setdefault(category, len(self._categories) + 1),
            }
            self._annotations.append(annotation | annotation_of(picture.mask))

    def to_json(self) -> bytes:
        """The file."""
        return json_bytes(
            {
                "info": {"description": f"Labels of MambaAD Inspector {__version__}", "version": "1.0"},
                "licenses": [],
                "categories": [
                    {"id": number, "name": kind, "supercategory": product}
                    for (product, kind), number in self._categories.items()
                ],
                "images": self._images,
                "annotations": self._annotations,
            }
        )


class _Image(BaseModel):
    """A picture in a COCO file; the optional fields are ours."""

    id: int
    file_name: str
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    original_name: str | None = None
    product: str | None = None
    finding: Finding | None = None
    defect_type: str = ""
    severity: Severity = Severity.UNSTATED
    note: str = ""


class _Annotation(BaseModel):
    """A defect in a COCO file."""

    category_id: int
    segmentation: RunLengths | list[Any] | None = None


class _Category(BaseModel):
    """A type of defect in a COCO file."""

    id: int
    name: str


class _Document(BaseModel):
    """A COCO file; pictures and annotations are looked at one by one."""

    images: list[Any]
    annotations: list[Any]
    categories: list[_Category] = []


def write(shipment: Shipment, pack: Pack) -> None:
    """Write the good and the defective pictures and `annotations.json`."""
    images = shipment.clear()
    names, document = Names(), CocoDocument()
    for picture in shipment.pack(images):
        name = names.claim(stem_of(picture.image.name), otherwise="picture") + picture.suffix
        pack.write(f"{PICTURES}/{name}", picture.content)
        document.add(picture, name)
    pack.write(DOCUMENT, document.to_json())
    if missing := without_mask(images):
        shipment.notes.append(
            f"Defects without a mask: {len(missing)}. They are no annotations; only the field `finding` of "
            "their pictures says what they are."
        )


def entries(source: Source) -> Iterator[Entry]:
    """The pictures of every COCO file.

    Raises:
        InputError: there is none.
    """
    files = source.ending({".json"})
    if not files:
        raise InputError("There is no JSON file in it. Send the annotations along.")
    for file in files:
        try:
            document = checked(_Document, file.json())
        except InputError as error:
            yield refused(str(file.name), str(error))
        else:
            yield from _entries_of(source, file, document)


def _entries_of(source: Source, file: SourceFile, document: _Document) -> Iterator[Entry]:
    categories = {category.id: category.name for category in document.categories}
    by_image: defaultdict[Any, list[Any]] = defaultdict(list)
    for annotation in document.annotations:
        by_image[_field(annotation, "image_id")].append(annotation)
    uses = Counter(_field(image, "id") for image in document.images)
    for number, image in enumerate(document.images, start=1):
        key = _field(image, "id")
        yield Entry(
            name=_field(image, "file_name") or f"{file.name} picture {number}",
            read=partial(_incoming, source, image, by_image[key], categories, is_unique=uses[key] == 1),
        )


def _field(value: Any, name: str) -> str:
    """A field of something that should be an object; empty where it is none. For comparing and showing."""
    return str(value.get(name, "")) if isinstance(value, dict) else ""


def _incoming(
    source: Source, raw: Any, annotations: list[Any], categories: dict[int, str], *, is_unique: bool
) -> Incoming:
    image = checked(_Image, raw)
    if not is_unique:
        raise InputError(f"Several pictures have the id {image.id}. Number them anew.")
    marks = [checked(_Annotation, annotation) for annotation in annotations]
    return Incoming(
        label=_words(image, marks, categories).label(_mask(marks)),
        name=image.original_name or image.file_name,
        sha256=image.sha256,
        product=image.product,
        picture=lambda: source.find(image.file_name).content(),
    )


def _words(image: _Image, marks: list[_Annotation], categories: dict[int, str]) -> Words:
    """What is marked counts; what our fields say beside it is kept where it does not contradict."""
    defect_type = image.defect_type
    if marks:
        category = categories.get(marks[0].category_id, "")
        if category not in ("", image.defect_type or UNTYPED) or image.finding is None:
            defect_type = category
    return Words(
        finding=Finding.DEFECT if marks else image.finding or Finding.GOOD,
        defect_type=defect_type,
        severity=image.severity,
        note=image.note,
    )


def _mask(marks: list[_Annotation]) -> np.ndarray | None:
    """All that is marked, (H, W) bool; None where it is not said to the pixel."""
    mask: np.ndarray | None = None
    for mark in marks:
        if isinstance(mark.segmentation, RunLengths):
            part = mask_of_runs(mark.segmentation)
            if mask is not None and mask.shape != part.shape:
                raise InputError("Its masks differ in size. Export them again.")
            mask = part if mask is None else mask | part
        elif mark.segmentation:
            raise InputError("It is marked by polygons; masks of run lengths are read. Export those.")
    return mask
