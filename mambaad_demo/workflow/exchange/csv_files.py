"""Labels as CSV: one row for each labeled picture, and one for each decision ever made. Holds no masks."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from pydantic import Field

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import LabeledImage
from mambaad_demo.storage import labels
from mambaad_demo.storage.labels import StoredDecision
from mambaad_demo.storage.pictures import StoredPicture, stored_pictures
from mambaad_demo.workflow.exchange.incoming import Entry, Incoming, Words, refused
from mambaad_demo.workflow.exchange.outgoing import Shipment
from mambaad_demo.workflow.exchange.packs import Pack
from mambaad_demo.workflow.exchange.sources import Source, SourceFile, checked
from mambaad_demo.workflow.spreadsheets import guarded, unguarded

LABELS = "labels.csv"
DECISIONS = "decisions.csv"

DIVIDED = "divided"
"""Stands where a finding would, and is none."""

_NO_TABLE = (
    "It is no CSV file in UTF-8, or a damaged one. Save it as one; what stood before the damage was read."
)


class _Row(Words):
    """A row of `labels.csv`; other columns are for people."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


def write(shipment: Shipment, pack: Pack) -> None:
    """Write `labels.csv` and `decisions.csv`; unsure and divided pictures are in both."""
    pack.write(LABELS, table([_label_row(shipment, image) for image in shipment.labeled]))
    pack.write(DECISIONS, table(list(_decision_rows(shipment))))
    if masks := sum(image.mask_sha256 is not None for image in shipment.labeled):
        shipment.notes.append(f"Masks that stay behind, because CSV holds their hashes only: {masks}.")


def entries(source: Source) -> Iterator[Entry]:
    """The rows of every CSV file that tells labels.

    Raises:
        InputError: there is none.
    """
    files = [file for file in source.ending({".csv"}) if file.name.name != DECISIONS]
    if not files:
        raise InputError(f"There is no CSV file in it. Send {LABELS} of an export.")
    for file in files:
        try:
            yield from _entries_of(file)
        except (InputError, csv.Error, UnicodeDecodeError) as error:
            reason = str(error) if isinstance(error, InputError) else _NO_TABLE
            yield refused(str(file.name), reason)


def _entries_of(file: SourceFile) -> Iterator[Entry]:
    """Rows as spreadsheets number them: the first one names the columns."""
    text = file.text().decode("utf-8-sig")
    for number, row in enumerate(csv.DictReader(io.StringIO(text, newline=""), strict=True), start=2):
        yield Entry(name=f"{file.name} row {number}", read=partial(_incoming, row))


def table(rows: list[dict[str, Any]], *, encoding: str = "utf-8-sig") -> bytes:
    """Rows with the same keys as CSV that spreadsheets read as UTF-8 and never run."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    if rows:
        writer.writerow(rows[0])
        writer.writerows([guarded(value) for value in row.values()] for row in rows)
    return buffer.getvalue().encode(encoding)


def _label_row(shipment: Shipment, image: LabeledImage) -> dict[str, Any]:
    return {
        "sha256": image.sha256,
        "name": image.name,
        "product": image.product,
        "width": image.width,
        "height": image.height,
        "finding": image.finding.value if image.finding else DIVIDED,
        "defect_type": image.defect_type,
        "severity": image.severity.value,
        "note": image.note,
        "mask_sha256": image.mask_sha256,
        "reviewers": "; ".join(map(shipment.called, image.reviewers)),
        "findings": "; ".join(image.findings),
        "decided_at": image.decided_at.isoformat(),
    }


def _decision_rows(shipment: Shipment) -> Iterable[dict[str, Any]]:
    for picture in stored_pictures(shipment.workspace, product=shipment.product):
        for decision in labels.history(shipment.workspace, picture.id):
            if shipment.reviewer in (None, decision.reviewer):
                yield _decision_row(shipment, picture, decision)


def _decision_row(shipment: Shipment, picture: StoredPicture, decision: StoredDecision) -> dict[str, Any]:
    return {
        "decision": decision.id,
        "sha256": picture.sha256,
        "name": picture.name,
        "product": picture.product,
        "reviewer": shipment.called(decision.reviewer),
        "finding": decision.finding.value,
        "defect_type": decision.defect_type,
        "severity": decision.severity.value,
        "note": decision.note,
        "mask_sha256": decision.mask_sha256,
        "is_repeat": decision.is_repeat,
        "seconds": decision.seconds,
        "decided_at": decision.decided_at.isoformat(),
        "undone_at": decision.undone_at.isoformat() if decision.undone_at else None,
    }


def _incoming(row: Mapping[str, Any]) -> Incoming:
    words = checked(
        _Row, {name: unguarded(cell or "") for name, cell in row.items() if isinstance(name, str)}
    )
    return Incoming(label=words.label(), name="", sha256=words.sha256, keeps_mask=True)
