"""The result pack of a batch: table, JSON, overlays, settings and hashes, as a folder or one zip file.

Names inside are numbers and what is left of the file's own name, so that nothing a stranger called a file
leads anywhere; the table gives the true names.
"""

import csv
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from mambaad_demo.storage.inspections import StoredInspection
from mambaad_demo.storage.jobs import Item, JobFacts, items, job
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.version import __version__
from mambaad_demo.workflow.rendering import overlay_jpeg
from mambaad_demo.workflow.spreadsheets import guarded

HASHES = "SHA256SUMS"


def write_folder(workspace: Workspace, job_id: str, folder: Path) -> None:
    """Write the pack into a folder; files of an earlier pack of the same batch are replaced."""

    def write(name: str, content: bytes) -> None:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    _write(workspace, job_id, write)


def write_zip(workspace: Workspace, job_id: str, target: Path) -> None:
    """Write the pack as one zip file, entry by entry."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        _write(workspace, job_id, archive.writestr)


def fingerprint(workspace: Workspace, job_id: str) -> str:
    """SHA-256 of all that a pack is made from: packs of one fingerprint hold the same."""
    facts, found = job(workspace, job_id), items(workspace, job_id)
    made_from = [[_document(item) for item in found], _settings(facts, found)]
    return hashlib.sha256(_json(made_from)).hexdigest()


def result_row(item: Item) -> dict[str, Any]:
    """One line of the table; what a refused picture has no value for is empty."""
    inspection = item.inspection
    row: dict[str, Any] = {"file": item.name}
    if inspection is None:
        return row | {"error": item.error}
    return row | {
        "verdict": inspection.verdict.value,
        "score": round(inspection.score, 6),
        "times_reject_limit": None if inspection.multiple is None else round(inspection.multiple, 4),
        "percentile": inspection.percentile,
        "check_limit": inspection.limits.check,
        "reject_limit": inspection.limits.reject,
        "product": inspection.product,
        "category": inspection.category,
        "category_source": inspection.category_source,
        "regions": len(inspection.regions),
        "width": inspection.width,
        "height": inspection.height,
        "sha256": inspection.sha256,
        "checkpoint": inspection.checkpoint,
        "checkpoint_sha256": inspection.checkpoint_sha256,
        "calibration_sha256": inspection.calibration_sha256,
        "kernel": inspection.kernel,
        "device": inspection.device,
        "total_ms": inspection.timings_ms.get("total"),
        "inspected_at": inspection.created_at.isoformat(),
    }


COLUMNS = (
    "file",
    "verdict",
    "score",
    "times_reject_limit",
    "percentile",
    "check_limit",
    "reject_limit",
    "product",
    "category",
    "category_source",
    "regions",
    "width",
    "height",
    "sha256",
    "checkpoint",
    "checkpoint_sha256",
    "calibration_sha256",
    "kernel",
    "device",
    "total_ms",
    "inspected_at",
    "error",
)
"""Of the table, in order."""


def _write(workspace: Workspace, job_id: str, write: Callable[[str, bytes], None]) -> None:
    facts, found = job(workspace, job_id), items(workspace, job_id)
    hashes = []
    for name, content in _files(workspace, facts, found):
        write(name, content)
        hashes.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
    write(HASHES, "".join(hashes).encode())


def _files(workspace: Workspace, facts: JobFacts, found: list[Item]) -> Iterator[tuple[str, bytes]]:
    yield "results.csv", _table([result_row(item) for item in found])
    yield "results.json", _json([_document(item) for item in found])
    yield "settings.json", _json(_settings(facts, found))
    for item in found:
        if item.inspection is not None:
            yield overlay_name(item), overlay_jpeg(workspace, item.inspection)


def overlay_name(item: Item) -> str:
    """Where the overlay of a picture lies in the pack."""
    stem = re.sub(r"[^\w-]+", "_", PurePosixPath(item.name).stem, flags=re.ASCII).strip("_")[:60]
    return f"overlays/{item.position + 1:05d}-{stem or 'part'}.jpg"


def _table(rows: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: guarded(value) for name, value in row.items()} for row in rows)
    return ("\ufeff" + text.getvalue()).encode()  # the mark tells spreadsheets that this is UTF-8


def _document(item: Item) -> dict[str, Any]:
    row = result_row(item)
    if item.inspection is None:
        return row
    regions = [{key: value for key, value in r.items() if key != "outline"} for r in item.inspection.regions]
    return row | {
        "regions": regions,
        "timings_ms": item.inspection.timings_ms,
        "notes": item.inspection.notes,
        "overlay": overlay_name(item),
    }


def _settings(facts: JobFacts, found: list[Item]) -> dict[str, Any]:
    inspected: StoredInspection | None = next(
        (item.inspection for item in found if item.inspection is not None), None
    )
    return {
        "batch": facts.name,
        "state": facts.state.value,
        "asked_for": facts.spec,
        "pictures": facts.total,
        "done": facts.done,
        "refused": facts.refused,
        "verdicts": facts.verdicts,
        "created_at": facts.created_at.isoformat(),
        "finished_at": None if facts.finished_at is None else facts.finished_at.isoformat(),
        "version": __version__,
        "checkpoint": None
        if inspected is None
        else {
            "name": inspected.checkpoint,
            "decoder": inspected.decoder,
            "encoder": inspected.encoder,
            "sha256": inspected.checkpoint_sha256,
            "calibration_sha256": inspected.calibration_sha256,
            "side": inspected.side,
            "resize": inspected.resize,
            "tiles": inspected.tiles,
            "kernel": inspected.kernel,
            "device": inspected.device,
            "precision": inspected.precision,
        },
    }


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
