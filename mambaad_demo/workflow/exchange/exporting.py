"""The way out: labeled pictures of a workspace as files of other tools."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mambaad_demo.errors import InputError
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.exchange import coco, csv_files, fiftyone, label_studio, mvtec
from mambaad_demo.workflow.exchange.outgoing import LeftOut, Shipment
from mambaad_demo.workflow.exchange.packs import Pack, new_pack


class ExportKind(StrEnum):
    """What other tools call it."""

    CSV = "csv"
    MVTEC = "mvtec"
    COCO = "coco"
    LABEL_STUDIO = "label-studio"
    FIFTYONE = "fiftyone"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFacts:
    """What an export holds."""

    kind: ExportKind
    labels: int
    """Labeled pictures it speaks of."""
    pictures: int
    """Picture files in it."""
    masks: int
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    """What the format could not hold, in plain words."""


_WRITERS: dict[ExportKind, Callable[[Shipment, Pack], None]] = {
    ExportKind.CSV: csv_files.write,
    ExportKind.MVTEC: mvtec.write,
    ExportKind.COCO: coco.write,
    ExportKind.LABEL_STUDIO: label_studio.write,
    ExportKind.FIFTYONE: fiftyone.write,
}


def export(
    workspace: Workspace,
    target: Path,
    kind: ExportKind,
    *,
    product: str | None = None,
    reviewer: str | None = None,
) -> ExportFacts:
    """Write labeled pictures into a new folder, or into one zip file if `target` ends in `.zip`.

    Args:
        workspace: whose pictures.
        target: appears when it is complete.
        kind: format.
        product: of this one only.
        reviewer: with this one's word instead of the consensus of all.

    Raises:
        InputError: nothing is labeled yet, or the target exists.
        StorageError: it cannot be written.
    """
    shipment = Shipment(workspace, product=product, reviewer=reviewer)
    if not shipment.labeled:
        raise InputError("Nothing is labeled yet, so there is nothing to export. Review some pictures first.")
    with new_pack(target) as pack:
        _WRITERS[kind](shipment, pack)
    return ExportFacts(
        kind=kind,
        labels=len(shipment.labeled) - len(shipment.left_out),
        pictures=shipment.pictures,
        masks=shipment.masks,
        left_out=tuple(shipment.left_out),
        notes=tuple(shipment.notes),
    )
