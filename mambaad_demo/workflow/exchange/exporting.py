"""The way out: labeled pictures of a workspace as files of other tools."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import LabeledImage
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
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Labeled pictures by product and by what is said of them, `divided` where people disagree."""


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
    anonymous: bool = False,
) -> ExportFacts:
    """Write labeled pictures into a new folder, or into one zip file if `target` ends in `.zip`.

    Args:
        workspace: whose pictures.
        target: appears when it is complete.
        kind: format.
        product: of this one only.
        reviewer: with this one's word instead of the consensus of all.
        anonymous: with numbers in the place of reviewers' names.

    Raises:
        InputError: nothing is labeled yet, or the target exists.
        StorageError: it cannot be written.
    """
    shipment = Shipment(workspace, product=product, reviewer=reviewer, anonymous=anonymous)
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
        counts=_counts(shipment.leaving),
    )


def _counts(images: Iterable[LabeledImage]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for image in images:
        told = image.finding.value if image.finding else csv_files.DIVIDED
        counts.setdefault(image.product, Counter())[told] += 1
    return counts
