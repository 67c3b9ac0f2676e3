"""The way in: labels and pictures from files, recorded as decisions of one reviewer."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path

from mambaad_demo.errors import InputError
from mambaad_demo.storage.labels import labeled_images
from mambaad_demo.storage.pictures import stored_pictures
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.exchange import coco, csv_files, fiftyone, label_studio, mask_files, mvtec
from mambaad_demo.workflow.exchange.incoming import Entry, Reception
from mambaad_demo.workflow.exchange.outgoing import LeftOut
from mambaad_demo.workflow.exchange.sources import Source

MOST_LABELS = 100_000


class ImportKind(StrEnum):
    """What other tools call it."""

    CSV = "csv"
    """Words for pictures that are here."""
    MVTEC = "mvtec"
    COCO = "coco"
    LABEL_STUDIO = "label-studio"
    FIFTYONE = "fiftyone"
    MASKS = "masks"
    """Masks for pictures that are here, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportFacts:
    """What came of an import."""

    kind: ImportKind
    pictures: int
    """New pictures."""
    decided: int
    """Decisions recorded."""
    unchanged: int
    """Labels that the reviewer had given already."""
    left_out: tuple[LeftOut, ...]


def import_labels(
    workspace: Workspace,
    source: Path,
    kind: ImportKind,
    *,
    product: str | None = None,
    reviewer: str = "import",
) -> ImportFacts:
    """Record the labels of a file; pictures that come along and are new here are taken in without inspection.

    A picture is known by its SHA-256. Importing a file again changes nothing.

    Args:
        workspace: where they go.
        source: a folder, a zip file, or one CSV or JSON file.
        kind: format.
        product: of pictures that are new here, whatever the file says; for masks, whose pictures they are.
        reviewer: in whose name the decisions are recorded.

    Raises:
        InputError: there is nothing of this kind in it. What is wrong with single pictures is in the facts.
        StorageError: the store failed; decisions that were recorded before stay.
    """
    reception = Reception(workspace, product=product, reviewer=reviewer)
    entries = _entries(workspace, Source.open(source), kind, product)
    for entry in islice(entries, MOST_LABELS):
        reception.take(entry)
    if any(True for _ in islice(entries, 1)):
        rest = f"It holds more than {MOST_LABELS} labels; the others are left alone. Split it."
        reception.left_out.append(LeftOut(name=source.name, reason=rest))
    return ImportFacts(
        kind=kind,
        pictures=reception.added,
        decided=reception.decided,
        unchanged=reception.unchanged,
        left_out=tuple(reception.left_out),
    )


def _entries(workspace: Workspace, source: Source, kind: ImportKind, product: str | None) -> Iterator[Entry]:
    match kind:
        case ImportKind.CSV:
            return csv_files.entries(source)
        case ImportKind.MVTEC:
            return mvtec.entries(source)
        case ImportKind.COCO:
            return coco.entries(source)
        case ImportKind.LABEL_STUDIO:
            return label_studio.entries(source)
        case ImportKind.FIFTYONE:
            return fiftyone.entries(source)
        case ImportKind.MASKS:
            if not product:
                raise InputError("Say whose masks these are: choose a product.")
            return mask_files.entries(
                source,
                stored_pictures(workspace, product=product),
                labeled_images(workspace, product=product),
            )
