"""The card of the Review page that renames types of defect."""

from typing import Any

import gradio as gr

from mambaad_demo.errors import DemoError
from mambaad_demo.storage import labels
from mambaad_demo.storage.taxonomy import rename_defect_type
from mambaad_demo.ui import present
from mambaad_demo.ui.desk import Desk
from mambaad_demo.ui.inspect_page import fragment
from mambaad_demo.ui.inspect_tab import Updates
from mambaad_demo.ui.messages import shown_to_user


def build_taxonomy_card(desk: Desk, *, product: gr.Dropdown, reviewer: gr.Textbox) -> None:
    """Draw the folded card into the surrounding column and wire it.

    Args:
        desk: the store.
        product: the choice of the page, whose types are renamed.
        reviewer: in whose name.
    """
    with gr.Accordion("Types of defect", open=False, elem_id="review-taxonomy") as card:
        with gr.Row(elem_classes="control-grid"):
            old = gr.Dropdown([], label="Type of the chosen product")
            new = gr.Textbox(label="Call it", max_lines=1, max_length=200)
            rename = gr.Button("Rename everywhere", size="sm")
        notice = fragment("")

    def list_types(product: str, request: gr.Request) -> Updates:
        with shown_to_user():
            known = labels.products(desk.workspace(request)).get(product, [])
            return {old: gr.update(choices=known, value=None), notice: present.notice_html()}

    def rename_type(product: str, old_name: str | None, name: str, who: str, request: gr.Request) -> Updates:
        with shown_to_user():
            workspace = desk.workspace(request)
            try:
                count = rename_defect_type(workspace, product, old_name or "", name, reviewer=who)
            except DemoError as error:
                return {notice: present.notice_html(str(error))}
            gr.Info(f"The type is renamed, and {count} decisions follow.")
            return {new: "", **list_types(product, request)}

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    gr.on([card.expand, product.input], list_types, product, [old, notice], queue=False, **private)
    rename.click(rename_type, [product, old, new, reviewer], [old, new, notice], **private)
