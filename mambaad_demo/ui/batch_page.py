"""The components of the Batch page and where they stand; what they do is `batch_tab.py`'s business."""

from dataclasses import dataclass

import gradio as gr

from mambaad_demo.pipeline.prediction import Verdict
from mambaad_demo.storage.listing import Order
from mambaad_demo.ui import present, present_batch
from mambaad_demo.ui.inspect_page import fragment
from mambaad_demo.ui.words import TITLES

PICTURES, TABLE = "Pictures", "Table"
REFUSED = "refused"
ORDERS = [
    ("nearest to the limit", Order.DOUBT.value),
    ("highest score", Order.SCORE.value),
    ("file name", Order.NAME.value),
    ("newest", Order.NEWEST.value),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPage:
    """The components that handlers read or change."""

    files: gr.File
    product: gr.Textbox
    checkpoint: gr.Dropdown
    category: gr.Dropdown
    has_labels: gr.Checkbox
    start: gr.Button
    notice: gr.HTML
    batch: gr.Dropdown
    stop: gr.Button
    resume: gr.Button
    review: gr.Button
    pack: gr.Button
    report: gr.Button
    delete: gr.Button
    delivery: gr.DownloadButton
    """Hidden; holds the result pack or report that was just written."""
    progress: gr.HTML
    verdict: gr.Dropdown
    search: gr.Textbox
    order: gr.Dropdown
    view: gr.Radio
    grid: gr.HTML
    detail: gr.HTML
    timer: gr.Timer
    offset: gr.State
    """Pictures before the first one shown."""


def draw_batch_page(checkpoints: tuple[str, ...]) -> BatchPage:
    """Draw the empty page into the surrounding Blocks."""
    with gr.Row(elem_id="batch"):
        with gr.Column(elem_id="batch-input", min_width=0):
            with gr.Column(elem_classes="card"):
                fragment('<h3 class="card-title">New batch</h3>')
                files = gr.File(
                    label="Pictures and zip files", file_count="multiple", height=132, elem_id="batch-files"
                )
                product = gr.Textbox(
                    label="Product", placeholder="as the checkpoint calls it", max_lines=1, max_length=200
                )
                checkpoint = gr.Dropdown(list(checkpoints), label="Checkpoint")
                category = gr.Dropdown(
                    [(present.SUGGEST, "")],
                    value="",
                    label="Judge by the limits of",
                    elem_id="batch-category",
                )
                has_labels = gr.Checkbox(
                    label="Folder names are labels", info="in a zip: test/good, test/<defect>, ground_truth"
                )
                start = gr.Button("Inspect all", variant="primary")
                notice = fragment(present.notice_html(), elem_id="batch-notice")
            with gr.Column(elem_classes="card"):
                batch = gr.Dropdown([], label="Batch", elem_id="batch-choice")
                with gr.Row(elem_id="batch-buttons"):
                    review = _button("Review these")
                    stop = _button("Stop")
                    resume = _button("Resume")
                    pack = _button("Result pack")
                    report = _button("Report")
                    delete = _button("Delete batch")
                delivery = gr.DownloadButton(visible="hidden", elem_id="batch-delivery")
        with gr.Column(elem_id="batch-result", min_width=0):
            with gr.Column(elem_classes="card", min_width=0):
                progress = fragment(present_batch.progress_html(None), elem_id="batch-progress")
            with gr.Column(elem_classes="card", min_width=0):
                with gr.Row(elem_id="batch-filters"):
                    verdict = gr.Dropdown(
                        [
                            ("all", ""),
                            *((TITLES[verdict], verdict.value) for verdict in Verdict),
                            ("could not be read", REFUSED),
                        ],
                        value="",
                        label="Show",
                    )
                    search = gr.Textbox(label="File name contains", max_lines=1, max_length=200)
                    order = gr.Dropdown(ORDERS, value=Order.DOUBT.value, label="Order")
                    view = gr.Radio([PICTURES, TABLE], value=PICTURES, label="As", elem_id="batch-view")
                grid = fragment("", script="batch_grid.js", elem_id="batch-grid")
        with gr.Column(elem_id="batch-detail", elem_classes="card", min_width=0):
            detail = fragment('<p class="quiet">Choose a picture to see it in detail.</p>')
    return BatchPage(
        files=files,
        product=product,
        checkpoint=checkpoint,
        category=category,
        has_labels=has_labels,
        start=start,
        notice=notice,
        batch=batch,
        stop=stop,
        resume=resume,
        review=review,
        pack=pack,
        report=report,
        delete=delete,
        delivery=delivery,
        progress=progress,
        verdict=verdict,
        search=search,
        order=order,
        view=view,
        grid=grid,
        detail=detail,
        timer=gr.Timer(1.0, active=False),
        offset=gr.State(0),
    )


def _button(label: str) -> gr.Button:
    return gr.Button(label, size="sm", min_width=0, interactive=False)
