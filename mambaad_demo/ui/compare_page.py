"""The components of the Compare page and where they stand; what they do is `compare_tab.py`'s business."""

from dataclasses import dataclass

import gradio as gr

from mambaad_demo.ui import present
from mambaad_demo.ui.comparing import MOST_AT_ONCE
from mambaad_demo.ui.inspect_page import fragment, photo_input


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparePage:
    """The components that handlers read or change."""

    photo: gr.Image
    notice: gr.HTML
    product: gr.Dropdown
    checkpoints: gr.CheckboxGroup
    shelf: gr.HTML
    columns: tuple[gr.HTML, ...]
    agreement: gr.HTML
    costs: gr.HTML
    scores: gr.Plot
    result: gr.Column
    """Where results stand, below which more cards may be drawn."""
    shown: gr.State
    """The picture whose comparison is on the page, a `Photo` or `SamplePart`, or None."""


def draw_compare_page(checkpoints: tuple[str, ...]) -> ComparePage:
    """Draw the empty page into the surrounding Blocks."""
    with gr.Row(elem_id="compare"):
        with gr.Column(elem_id="compare-input", min_width=0):
            with gr.Column(elem_classes="card"):
                photo = photo_input(elem_id="compare-photo")
                notice = fragment(present.notice_html())
                product = gr.Dropdown(present.category_choices(None), value="", label="Product")
                chosen = gr.CheckboxGroup(
                    list(checkpoints), value=list(checkpoints[:MOST_AT_ONCE]), label="Checkpoints"
                )
            with gr.Column(elem_classes="card"):
                shelf = fragment(present.shelf_html({}, chosen=None), script="shelf.js")
        with gr.Column(elem_id="compare-result", min_width=0) as result:
            with gr.Row(elem_id="compare-columns"):
                columns = tuple(
                    fragment("", elem_id=f"compare-column-{number}") for number in range(MOST_AT_ONCE)
                )
                agreement = fragment("", elem_id="compare-agreement")
            with gr.Row(elem_id="compare-figures"):
                with gr.Column(elem_classes="card", min_width=0):
                    costs = fragment("", elem_id="compare-costs")
                with gr.Column(elem_classes="card", min_width=0):
                    fragment('<h3 class="card-title">Scores in units of the limit</h3>')
                    scores = gr.Plot(show_label=False, container=False, elem_id="compare-scores")
    return ComparePage(
        photo=photo,
        notice=notice,
        product=product,
        checkpoints=chosen,
        shelf=shelf,
        columns=columns,
        agreement=agreement,
        costs=costs,
        scores=scores,
        result=result,
        shown=gr.State(None),
    )
