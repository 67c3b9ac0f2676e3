"""The Batch page at work: files go in, a table of verdicts grows, one picture can be looked at closely.

Judging and storing are the batch runner's; a closed tab changes nothing, since the page only shows what the
store holds.
"""

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from mambaad_demo.errors import CheckpointError, DemoError, InputError
from mambaad_demo.storage import jobs, listing, removal
from mambaad_demo.storage.inspections import inspection as stored_inspection
from mambaad_demo.storage.jobs import RESUMABLE, UNFINISHED, JobFacts
from mambaad_demo.storage.listing import Filters, Order
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.ui import present, present_batch
from mambaad_demo.ui.batch_page import REFUSED, TABLE, BatchPage, draw_batch_page
from mambaad_demo.ui.desk import SOMEBODY, Desk
from mambaad_demo.ui.inspect_tab import Updates
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.uploads import download, made_once, uploaded_path
from mambaad_demo.workflow import rendering, result_pack
from mambaad_demo.workflow.batch_runner import batch_facts
from mambaad_demo.workflow.batches import BatchSpec
from mambaad_demo.workflow.report.contents import batch_report
from mambaad_demo.workflow.report.html import report_html
from mambaad_demo.workflow.report.pdf import chromium, report_pdf
from mambaad_demo.workflow.studies.repeatability import limits_in_force
from mambaad_demo.workflow.studies.study import LimitsInForce

SURE = (
    "(...values) => { if (!confirm('Delete this batch, its pictures, also those of the golden set, and all "
    "that was said about them?')) throw new Error('kept'); return values; }"
)
START_DOWNLOAD = "() => document.querySelector('#batch-delivery').click()"


def build_batch_tab(desk: Desk, *, tab: gr.Tab) -> BatchPage:
    """Draw the Batch page into the surrounding tab and wire it.

    Args:
        desk: the store and the runner.
        tab: opening it shows the newest batch.
    """
    page = draw_batch_page(desk.catalog.names())
    reset: Updates = {page.offset: 0, page.verdict: "", page.search: "", page.order: Order.DOUBT.value}

    def show(workspace: Workspace, job_id: str | None, view: str) -> Updates:
        """The page for a batch, or for the newest one, from its first picture on."""
        known = jobs.jobs(workspace)
        job = next((job for job in known if job.id == job_id), known[0] if known else None)
        filters = Filters(job_id=job.id if job else "-")
        return {
            page.batch: gr.update(choices=present_batch.job_choices(known), value=job.id if job else None),
            **reset,
            **follow(job),
            page.grid: grid_html(workspace, filters, view, 0),
        }

    def follow(job: JobFacts | None) -> Updates:
        """What changes while a batch runs."""
        is_working = job is not None and job.state in UNFINISHED
        return {
            page.progress: present_batch.progress_html(job),
            page.timer: gr.Timer(active=is_working),
            page.stop: gr.update(interactive=is_working),
            page.resume: gr.update(interactive=job is not None and job.state in RESUMABLE),
            page.review: gr.update(interactive=job is not None and job.done > job.refused),
            page.pack: gr.update(interactive=job is not None and job.done > 0 and not is_working),
            page.report: gr.update(interactive=job is not None and job.done > 0 and not is_working),
            page.delete: gr.update(interactive=job is not None and not is_working),
        }

    def start(
        uploads: list[dict[str, Any]] | None,
        product: str,
        checkpoint: str,
        category: str,
        has_labels: bool,
        view: str,
        request: gr.Request,
    ) -> Updates:
        with shown_to_user():
            try:
                workspace = desk.workspace(request)
                files = [path for path in map(uploaded_path, uploads or []) if path is not None]
                spec = BatchSpec(
                    checkpoint=checkpoint,
                    category=category or None,
                    product=product.strip() or None,
                    has_labels=has_labels,
                )
                name = batch_name(files, spec)
                job_id = desk.start_batch(workspace, spec, files, name=name)
            except DemoError as error:
                return {page.notice: present.notice_html(str(error))}
            return {page.files: None, page.notice: present.notice_html(), **show(workspace, job_id, view)}

    def open_page(job_id: str | None, view: str, request: gr.Request) -> Updates:
        with shown_to_user():
            return show(desk.workspace(request), job_id, view)

    def choices_for(checkpoint: str, category: str, request: gr.Request) -> Updates:
        """What the checkpoint knows, or the default one where it was deleted meanwhile."""
        with shown_to_user():
            names = desk.catalog.names()
            name = checkpoint if checkpoint in names else desk.default_for(None)
            known = desk.predictor(desk.workspace(request), name).categories if name in names else ()
            choices = [(present.SUGGEST, ""), *present.named(known)]
            kept = category if category in known else ""
            moved = {page.checkpoint: name} if name != checkpoint and name in names else {}
            return {**moved, page.category: gr.update(choices=choices, value=kept)}

    def tick(
        job_id: str | None, verdict: str, search: str, order: str, view: str, offset: int, request: gr.Request
    ) -> Updates:
        with shown_to_user():
            if job_id is None:
                return {page.timer: gr.Timer(active=False)}
            workspace = desk.workspace(request)
            try:
                job = batch_facts(workspace, job_id)
            except InputError:  # deleted in another tab
                return show(workspace, None, view)
            updates = follow(job)
            if job.state not in UNFINISHED or job.done <= present_batch.PAGE:
                filters = filters_of(job_id, verdict, search, order)
                updates[page.grid] = grid_html(workspace, filters, view, offset)
            return updates

    def list_again(
        job_id: str | None, verdict: str, search: str, order: str, view: str, request: gr.Request
    ) -> Updates:
        with shown_to_user():
            filters = filters_of(job_id, verdict, search, order)
            return {page.grid: grid_html(desk.workspace(request), filters, view, 0), page.offset: 0}

    def choose(
        job_id: str | None,
        verdict: str,
        search: str,
        order: str,
        view: str,
        event: gr.EventData,
        request: gr.Request,
    ) -> Updates:
        with shown_to_user():
            workspace = desk.workspace(request)
            chosen = event._data
            if "inspection" in chosen:
                found = stored_inspection(workspace, int(chosen["inspection"]))
                preview = rendering.preview_jpeg(workspace, found)
                heat = rendering.heat_png(workspace, found)
                return {page.detail: present_batch.detail_html(found, preview, heat)}
            offset = max(0, int(chosen["offset"]))
            filters = filters_of(job_id, verdict, search, order)
            return {page.grid: grid_html(workspace, filters, view, offset), page.offset: offset}

    def stop(job_id: str | None, request: gr.Request) -> None:
        with shown_to_user():
            desk.runner.stop(desk.workspace(request), chosen_job(job_id))

    def resume(job_id: str | None, view: str, request: gr.Request) -> Updates:
        with shown_to_user():
            workspace = desk.workspace(request)
            desk.resume_batch(workspace, chosen_job(job_id))
            return show(workspace, job_id, view)

    def delete(job_id: str | None, view: str, request: gr.Request) -> Updates:
        with shown_to_user():
            workspace = desk.workspace(request)
            desk.runner.forget(workspace, chosen_job(job_id))
            gone = removal.delete_job(workspace, chosen_job(job_id), actor=SOMEBODY)
            gr.Info(f"The batch is deleted, and {gone} pictures with it.")
            return show(workspace, None, view)

    def prepare_pack(job_id: str | None, request: gr.Request) -> Updates:
        with shown_to_user():
            workspace = desk.workspace(request)
            job = batch_facts(workspace, chosen_job(job_id))
            name = present.download_name(job.name, "results.zip")
            write = partial(result_pack.write_zip, workspace, job.id)
            key = result_pack.fingerprint(workspace, job.id)
            return {page.delivery: made_once(write, key, name, page.delivery.GRADIO_CACHE)}

    def prepare_report(job_id: str | None, request: gr.Request) -> Updates:
        with shown_to_user():
            workspace = desk.workspace(request)
            job = batch_facts(workspace, chosen_job(job_id))
            limits = limits_behind(workspace, BatchSpec.model_validate(job.spec))
            content = report_html(batch_report(workspace, job.id, known_limits=limits))
            ending = "report.html"
            if chromium() is not None:  # without it, the visitor's own browser prints the page
                try:
                    content, ending = report_pdf(content), "report.pdf"
                except InputError:  # as in a container that forbids its sandbox
                    gr.Info("Chromium made no PDF here, so this is the report as HTML.")
            name = present.download_name(job.name, ending)
            return {page.delivery: download(content, name, page.delivery.GRADIO_CACHE)}

    def limits_behind(workspace: Workspace, spec: BatchSpec) -> list[LimitsInForce]:
        """What the checkpoint of a batch knows of its limits now; nothing where it is gone."""
        try:
            known = desk.predictor(workspace, spec.checkpoint)
        except CheckpointError:
            return []
        known = known if spec.tiles is None else known.tiled(spec.tiles)
        names = known.checkpoint.calibration.categories
        return [limits_in_force(known, name) for name in names if known.calibration_of(name) is not None]

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "preprocess": False}
    where = [page.batch, page.verdict, page.search, page.order, page.view]
    buttons = [page.stop, page.resume, page.review, page.pack, page.report, page.delete]
    working = [page.progress, page.timer, *buttons]
    shows = [page.batch, page.grid, *reset, *working]
    page.start.click(
        start,
        [page.files, page.product, page.checkpoint, page.category, page.has_labels, page.view],
        [page.files, page.notice, *shows],
        **private,
    )
    gr.on([tab.select, page.batch.input], open_page, [page.batch, page.view], shows, queue=False, **private)
    limited = [page.checkpoint, page.category]
    gr.on([tab.select, page.checkpoint.input], choices_for, limited, limited, **private)
    page.timer.tick(tick, [*where, page.offset], shows, trigger_mode="once", queue=False, **private)
    gr.on(
        [page.verdict.input, page.search.submit, page.order.input, page.view.input],
        list_again,
        where,
        [page.grid, page.offset],
        queue=False,
        **private,
    )
    page.grid.choose(choose, where, [page.grid, page.offset, page.detail], queue=False, **private)
    page.stop.click(stop, page.batch, None, queue=False, **private)
    page.resume.click(resume, [page.batch, page.view], shows, **private)
    page.delete.click(delete, [page.batch, page.view], shows, js=SURE, **private)
    for button, prepare in ((page.pack, prepare_pack), (page.report, prepare_report)):
        shown_on = {**private, "show_progress": "minimal", "show_progress_on": button}
        prepared = button.click(prepare, page.batch, page.delivery, **shown_on)
        prepared.success(None, js=START_DOWNLOAD)
    return page


def grid_html(workspace: Workspace, filters: Filters, view: str, offset: int) -> str:
    """One page of pictures, or of those that could not be read."""
    if filters.verdict == REFUSED:
        total, some = jobs.refused(
            workspace, filters.job_id, search=filters.search, offset=offset, limit=present_batch.PAGE
        )
        return present_batch.refused_html(some, total=total, offset=offset)
    found = listing.page(workspace, filters, offset=offset, limit=present_batch.PAGE)
    return present_batch.grid_html(
        found,
        {one.sha256: present_batch.thumbnail_uri(workspace, one.sha256) for one in found},
        total=listing.count(workspace, filters),
        offset=offset,
        is_table=view == TABLE,
    )


def filters_of(job_id: str | None, verdict: str, search: str, order: str) -> Filters:
    """What the controls above the grid ask for."""
    return Filters(job_id=job_id or "-", verdict=verdict, search=search.strip(), order=Order(order))


def batch_name(files: list[Path], spec: BatchSpec) -> str:
    """What a batch is called: its only file, or how many there are."""
    source = files[0].name if len(files) == 1 else f"{len(files)} files"
    return f"{spec.product}, {source}" if spec.product else source


def chosen_job(job_id: str | None) -> str:
    """The batch that is chosen.

    Raises:
        InputError: none is.
    """
    if not job_id:
        raise InputError("Choose a batch first.")
    return job_id
