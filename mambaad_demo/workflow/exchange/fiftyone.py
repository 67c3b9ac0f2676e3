"""A folder that FiftyOne reads in three ways: as COCO, as segmentation masks, and as a table.

COCODetectionDataset         data/, labels.json    one defect a picture, with its mask
ImageSegmentationDirectory   data/, labels/        masks of 0 and 255, black for good parts
CSVDataset                   data/, labels.csv     finding, type, severity and note of the whole picture
"""

from collections.abc import Iterator

import numpy as np

from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.workflow.exchange import coco
from mambaad_demo.workflow.exchange.csv_files import table
from mambaad_demo.workflow.exchange.incoming import Entry
from mambaad_demo.workflow.exchange.mask_files import mask_png8
from mambaad_demo.workflow.exchange.names import Names, stem_of
from mambaad_demo.workflow.exchange.outgoing import OutgoingPicture, Shipment, without_mask
from mambaad_demo.workflow.exchange.packs import Pack
from mambaad_demo.workflow.exchange.sources import Source

PICTURES = "data"
DOCUMENT = "labels.json"
MASKS = "labels"
TABLE = "labels.csv"


def write(shipment: Shipment, pack: Pack) -> None:
    """Write the good and the defective pictures in all three ways."""
    names, document, rows = Names(), coco.CocoDocument(), []
    images = shipment.clear()
    for picture in shipment.pack(images):
        stem = names.claim(stem_of(picture.image.name), otherwise="picture")
        pack.write(f"{PICTURES}/{stem}{picture.suffix}", picture.content)
        document.add(picture, stem + picture.suffix)
        rows.append(_row(picture, stem + picture.suffix))
        mask = _whole_mask(picture)
        if mask is not None:
            pack.write(f"{MASKS}/{stem}.png", mask_png8(mask))
    pack.write(DOCUMENT, document.to_json())
    pack.write(TABLE, table(rows, encoding="utf-8"))
    if missing := without_mask(images):
        shipment.notes.append(f"Defects without a mask: {len(missing)}. Only {TABLE} says what they are.")


def entries(source: Source) -> Iterator[Entry]:
    """The pictures of `labels.json`; see `coco.entries`. Masks are called as their pictures are."""
    return coco.entries(source.without_pictures_in(MASKS))


def _whole_mask(picture: OutgoingPicture) -> np.ndarray | None:
    """Where the picture is defective, which for a good one is nowhere."""
    image = picture.image
    if picture.mask is None and image.finding is Finding.GOOD:
        return np.zeros((image.height, image.width), dtype=bool)
    return picture.mask


def _row(picture: OutgoingPicture, file_name: str) -> dict[str, object]:
    image = picture.image
    return {
        "filepath": file_name,
        "finding": image.finding,
        "defect_type": image.defect_type,
        "severity": image.severity,
        "note": image.note,
        "product": image.product,
        "sha256": image.sha256,
    }
