"""The card of the Review page that takes labels to other tools and back."""

from pathlib import Path
from typing import Any

import gradio as gr

from mambaad_demo.errors import DemoError
from mambaad_demo.ui import present
from mambaad_demo.ui.desk import Desk
from mambaad_demo.ui.inspect_page import fragment
from mambaad_demo.ui.inspect_tab import Updates
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.templates import render
from mambaad_demo.ui.uploads import made_once, uploaded_path
from mambaad_demo.workflow.exchange.exporting import ExportFacts, ExportKind, export
from mambaad_demo.workflow.exchange.importing import ImportFacts, ImportKind, import_labels

FORMATS = {
    "csv": "CSV table",
    "mvtec": "MVTec AD folders",
    "coco": "COCO",
    "label-studio": "Label Studio",
    "fiftyone": "FiftyOne",
    "masks": "masks alone, by file name",
}
"""Formats as people call them."""
_MOST_LINES = 50
_START_DOWNLOAD = "() => document.querySelector('#exchange-delivery').click()"


def build_exchange_card(desk: Desk, *, product: gr.Dropdown) -> None:
    """Draw the card into the surrounding column and wire it.

    Args:
        desk: the store.
        product: the choice of the page; exports hold its labels, or those of all.
    """
    with (
        gr.Accordion("Labels to and from other tools", open=False, elem_id="exchange"),
        gr.Row(elem_id="exchange-row"),
    ):
        with gr.Column(min_width=0):
            out_kind = gr.Dropdown(_choices(ExportKind), value=ExportKind.CSV.value, label="Export as")
            out = gr.Button("Export labels of this product", size="sm")
            delivery = gr.DownloadButton(visible="hidden", elem_id="exchange-delivery")
        with gr.Column(min_width=0):
            in_kind = gr.Dropdown(_choices(ImportKind), value=ImportKind.MVTEC.value, label="Import")
            in_product = gr.Textbox(
                label="Product of new pictures", placeholder="as the file says", max_lines=1, max_length=200
            )
            source = gr.File(label="Zip, CSV or JSON file", height=104, elem_id="exchange-file")
            take = gr.Button("Import labels", size="sm")
        result = fragment("", elem_id="exchange-result")

    def send(kind: str, product: str, request: gr.Request) -> Updates:
        with shown_to_user():
            workspace, form = desk.workspace(request), ExportKind(kind)
            told: list[ExportFacts] = []

            def write(target: Path) -> None:
                told.append(export(workspace, target, form, product=product or None))

            path = made_once(write, None, f"labels-{form.value}.zip", delivery.GRADIO_CACHE)
            return {delivery: path, result: _exported(told[0])}

    def receive(kind: str, product: str, upload: dict[str, Any] | None, request: gr.Request) -> Updates:
        with shown_to_user():
            path = uploaded_path(upload)
            if path is None:
                return {result: present.notice_html("Choose a file first.")}
            try:
                facts = import_labels(
                    desk.workspace(request), path, ImportKind(kind), product=product.strip() or None
                )
            except DemoError as error:
                return {result: present.notice_html(str(error))}
            return {source: None, result: _imported(facts)}

    private: dict[str, Any] = {
        "api_visibility": "private",
        "show_progress": "minimal",
        "show_progress_on": result,
        "preprocess": False,
    }
    sent = out.click(send, [out_kind, product], [delivery, result], **private)
    sent.success(None, js=_START_DOWNLOAD)
    take.click(receive, [in_kind, in_product, source], [source, result], **private)


def _choices(kinds: type[ExportKind] | type[ImportKind]) -> list[tuple[str, str]]:
    return [(FORMATS[kind.value], kind.value) for kind in kinds]


def _exported(facts: ExportFacts) -> str:
    words = f"{facts.labels} labels, {facts.pictures} pictures, {facts.masks} masks exported."
    return _result(words, facts.notes, [(one.name, one.reason) for one in facts.left_out])


def _imported(facts: ImportFacts) -> str:
    words = f"{facts.decided} labels recorded, {facts.unchanged} known before; {facts.pictures} new pictures."
    return _result(words, (), [(one.name, one.reason) for one in facts.left_out])


def _result(words: str, notes: tuple[str, ...], left_out: list[tuple[str, str]]) -> str:
    return render(
        "exchange_result.html",
        words=words,
        notes=notes,
        left_out=left_out[:_MOST_LINES],
        more=max(0, len(left_out) - _MOST_LINES),
    )
