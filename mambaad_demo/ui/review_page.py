"""The components of the Review page and where they stand; what they do is `review_tab.py`'s business."""

from dataclasses import dataclass

import gradio as gr

from mambaad_demo.pipeline.labeling import Collection, Finding
from mambaad_demo.pipeline.prediction import Verdict
from mambaad_demo.storage.listing import Decided
from mambaad_demo.ui import present
from mambaad_demo.ui.assets import text
from mambaad_demo.ui.batch_page import ORDERS
from mambaad_demo.ui.desk import Desk
from mambaad_demo.ui.exchange_card import build_exchange_card
from mambaad_demo.ui.inspect_page import fragment
from mambaad_demo.ui.review_history import build_history_card
from mambaad_demo.ui.review_taxonomy import build_taxonomy_card
from mambaad_demo.ui.words import TITLES

SHARED, EVERYBODY = "each part once", "everybody every part"
ALL = ("all", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterControls:
    """The controls that make up a filter, in the order in which handlers take them."""

    product: gr.Dropdown
    batch: gr.Dropdown
    verdict: gr.Dropdown
    decided: gr.Dropdown
    finding: gr.Dropdown
    collection: gr.Dropdown
    search: gr.Textbox
    order: gr.Dropdown

    def in_order(self) -> list[gr.components.Component]:
        return [
            self.product,
            self.batch,
            self.verdict,
            self.decided,
            self.finding,
            self.collection,
            self.search,
            self.order,
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewPage:
    """The components that handlers read or change."""

    reviewer: gr.Textbox
    mode: gr.Dropdown
    start: gr.Button
    notice: gr.HTML
    filters: FilterControls
    view: gr.Dropdown
    view_name: gr.Textbox
    save_view: gr.Button
    delete_view: gr.Button
    card: gr.HTML
    sitting: gr.State
    """The `Sitting` of this visitor, or None."""
    remembered: gr.BrowserState
    """The reviewer's name, kept by their browser."""


def draw_review_page(desk: Desk) -> ReviewPage:
    """Draw the page without a part into the surrounding Blocks; exporting works by itself."""
    with gr.Column(elem_id="review"):
        with gr.Column(elem_classes="card", min_width=0, elem_id="review-controls"):
            with gr.Row(elem_classes="control-grid"):
                reviewer = gr.Textbox(
                    label="Reviewer", placeholder="your name", max_lines=1, max_length=200, elem_id="reviewer"
                )
                product = gr.Dropdown([ALL], value="", label="Product")
                batch = gr.Dropdown([ALL], value="", label="Batch")
                order = gr.Dropdown(ORDERS, value=ORDERS[0][1], label="Order")
                mode = gr.Dropdown([SHARED, EVERYBODY], value=SHARED, label="Reviewers see")
                start = gr.Button("Start", variant="primary", elem_id="review-start")
            with (
                gr.Accordion("More filters and saved views", open=False, elem_id="review-more"),
                gr.Row(elem_classes="control-grid"),
            ):
                verdict = gr.Dropdown(
                    [ALL, *((TITLES[verdict], verdict.value) for verdict in Verdict)],
                    value="",
                    label="First verdict",
                )
                decided = gr.Dropdown(
                    [("to do", Decided.ANY.value), ("decided already", Decided.SOMEBODY.value)],
                    value=Decided.ANY.value,
                    label="Show",
                )
                finding = gr.Dropdown(
                    [ALL, *((finding.value, finding.value) for finding in Finding)],
                    value="",
                    label="Decided as",
                )
                collection = gr.Dropdown(
                    [
                        ALL,
                        ("taught as good", Collection.TEACH.value),
                        ("golden set", Collection.GOLDEN.value),
                    ],
                    value="",
                    label="Collection",
                )
                search = gr.Textbox(label="File name contains", max_lines=1, max_length=200)
                view = gr.Dropdown([("none", "")], value="", label="Saved view")
                view_name = gr.Textbox(label="Save these filters as", max_lines=1, max_length=200)
                save_view = gr.Button("Save view", size="sm")
                delete_view = gr.Button("Delete view", size="sm")
            build_exchange_card(desk, product=product)
            build_taxonomy_card(desk, product=product, reviewer=reviewer)
            build_history_card(desk)
            notice = fragment(present.notice_html(), elem_id="review-notice")
        card = gr.HTML(
            None,
            html_template=text("review.html"),
            js_on_load=text("review.js"),
            apply_default_css=False,
            elem_id="review-card",
        )
    return ReviewPage(
        reviewer=reviewer,
        mode=mode,
        start=start,
        notice=notice,
        filters=FilterControls(
            product=product,
            batch=batch,
            verdict=verdict,
            decided=decided,
            finding=finding,
            collection=collection,
            search=search,
            order=order,
        ),
        view=view,
        view_name=view_name,
        save_view=save_view,
        delete_view=delete_view,
        card=card,
        sitting=gr.State(None),
        remembered=gr.BrowserState("", storage_key="mambaad-reviewer", secret="reviewer"),  # noqa: S106 - hides no secret
    )
