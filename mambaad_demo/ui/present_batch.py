"""Batches as markup: progress, the grid or table of pictures, and one picture in detail."""

from collections.abc import Mapping, Sequence
from typing import Any

from mambaad_demo.errors import StorageError
from mambaad_demo.storage.inspections import StoredInspection
from mambaad_demo.storage.jobs import JobFacts, JobState, Refused
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.ui.present import data_uri
from mambaad_demo.ui.templates import render
from mambaad_demo.ui.words import TITLES, score_text, spoken
from mambaad_demo.workflow import rendering

PAGE = 48
"""Pictures on one page of the grid."""

STATES = {
    JobState.WAITING: "waits for its turn",
    JobState.RUNNING: "running",
    JobState.STOPPED: "stopped; what is done is kept",
    JobState.INTERRUPTED: "interrupted when the server ended; what is done is kept",
    JobState.FAILED: "failed; what is done is kept",
    JobState.DONE: "done",
}


def job_choices(jobs: Sequence[JobFacts]) -> list[tuple[str, str]]:
    """Entries of the list of batches, (label, id)."""
    return [(f"{job.name} · {job.created_at:%d %b %H:%M} · {job.done} pictures", job.id) for job in jobs]


def progress_html(job: JobFacts | None) -> str:
    """How far a batch is; without one, what to do first."""
    if job is None:
        return render("batch_progress.html", job=None)
    return render(
        "batch_progress.html",
        job=job,
        state=STATES[job.state],
        counts=[(TITLES[verdict], job.verdicts.get(verdict.value, 0), verdict.value) for verdict in TITLES],
        total=job.total,
    )


def grid_html(
    inspections: Sequence[StoredInspection],
    thumbnails: Mapping[str, str],
    *,
    total: int,
    offset: int,
    is_table: bool,
) -> str:
    """One page of pictures.

    Args:
        inspections: of the page, in order.
        thumbnails: addresses by hash, as `thumbnail_uri` gives them.
        total: pictures of all pages.
        offset: pictures before this page.
        is_table: whether to draw a table.
    """
    rows = [
        {
            "id": inspection.id,
            "name": inspection.name,
            "verdict": inspection.verdict.value,
            "title": TITLES[inspection.verdict],
            "multiple": multiple_text(inspection),
            "score": score_text(inspection.score),
            "product": spoken(inspection.product),
            "percentile": "" if inspection.percentile is None else f"{inspection.percentile:.1f} %",
            "regions": len(inspection.regions),
            "picture": thumbnails[inspection.sha256],
        }
        for inspection in inspections
    ]
    return render(
        "batch_grid.html",
        rows=rows,
        is_table=is_table,
        **_pager(len(rows), total=total, offset=offset),
    )


def refused_html(refused: Sequence[Refused], *, total: int, offset: int) -> str:
    """One page of pictures that could not be judged, with the reasons; see `grid_html`."""
    return render("batch_refused.html", rows=refused, **_pager(len(refused), total=total, offset=offset))


def _pager(shown: int, *, total: int, offset: int) -> dict[str, int | None]:
    """What `batch_pager.html` needs."""
    return {
        "total": total,
        "first": offset + 1,
        "last": offset + shown,
        "previous": max(offset - PAGE, 0) if offset else None,
        "next": offset + PAGE if offset + PAGE < total else None,
    }


def detail_html(inspection: StoredInspection, preview: bytes, heat: bytes) -> str:
    """One picture with its heat map and what was said about it."""
    facts: list[tuple[str, Any]] = [
        ("score", f"{score_text(inspection.score)}, {multiple_text(inspection)}"),
        ("product", spoken(inspection.product)),
        ("judged as", f"{spoken(inspection.category)} ({inspection.category_source})"),
        ("regions", len(inspection.regions)),
        ("size", f"{inspection.width} × {inspection.height} px"),
        ("checkpoint", f"{inspection.checkpoint} {inspection.checkpoint_sha256[:8]}"),
    ]
    return render(
        "batch_detail.html",
        file=inspection.name,
        verdict=inspection.verdict.value,
        title=TITLES[inspection.verdict],
        facts=facts,
        notes=inspection.notes,
        preview=data_uri(preview, "image/jpeg"),
        heat=data_uri(heat, "image/png"),
    )


def multiple_text(inspection: StoredInspection) -> str:
    """The score against its limit."""
    return "no limit" if inspection.multiple is None else f"×{inspection.multiple:.2f} of limit"


def thumbnail_uri(workspace: Workspace, sha256: str) -> str:
    """A small picture as an address; an empty one where its file is gone: the others are still seen."""
    try:
        return data_uri(rendering.thumbnail_jpeg(workspace, sha256), "image/jpeg")
    except StorageError:
        return "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
