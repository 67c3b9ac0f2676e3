"""The components of the promotion card and where they stand; what they do is `promotion_card.py`'s
business."""

from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr

from mambaad_demo.storage.promotions import NOTHING
from mambaad_demo.ui.inspect_page import fragment
from mambaad_demo.ui.inspect_tab import Updates

PROMOTE, PROMOTE_ANYWAY = "Promote", "Promote in spite of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionCard:
    """The components that handlers read or change."""

    version: gr.Dropdown
    category: gr.Dropdown
    product: gr.Dropdown
    """Whose golden pictures."""
    actor: gr.Textbox
    remembered: gr.BrowserState
    """The name that the Review page asked for."""
    status: gr.HTML
    try_out: gr.Button
    discard: gr.Button
    result: gr.HTML
    note: gr.Textbox
    reason: gr.Textbox
    """Shown while the golden set speaks against the version on the page."""
    promote: gr.Button
    undo: gr.Button
    notice: gr.HTML
    history: gr.HTML
    tried: gr.State
    """What a person looked at before they decide, a `Tried`; None before."""
    seen: gr.State
    """Number of the newest promotion of the category on the page."""
    show: Callable[[str, str | None], Updates]
    """`show(version, category)` chooses them from elsewhere; the card then looks up the rest by itself. It
    returns updates of `version` and `category`."""


def draw_promotion_card(show: Callable[[str, str | None], Updates], *, can_discard: bool) -> PromotionCard:
    """Draw the empty card into the surrounding column."""
    with gr.Column(elem_classes="card", elem_id="promotion", min_width=0):
        fragment('<h3 class="card-title">Promotion: which version judges a product</h3>')
        with gr.Row(elem_classes="control-grid"):
            version = gr.Dropdown([], value=None, label="Version")
            category = gr.Dropdown([], value=None, label="Product it judges")
            product = gr.Dropdown([], value=None, label="Golden set of")
            actor = gr.Textbox(label="Who decides", placeholder="your name", max_lines=1, max_length=200)
        status = fragment("", elem_id="promotion-status")
        with gr.Row(elem_classes="promotion-buttons"):
            try_out = gr.Button("Try on golden set", variant="primary", interactive=False)
        result = fragment("", elem_id="promotion-result")
        note = gr.Textbox(
            label="Change note", placeholder="what is different, and why", lines=2, max_length=4000
        )
        reason = gr.Textbox(
            label="Why it shall be promoted although known defects get through",
            placeholder="a few words that somebody can be asked about later",
            lines=2,
            max_length=4000,
            visible=False,
            elem_id="promotion-reason",
        )
        with gr.Row(elem_classes="promotion-buttons"):
            promote = gr.Button(PROMOTE, variant="primary", interactive=False)
            undo = gr.Button("Roll back", interactive=False)
            discard = gr.Button("Discard this version", interactive=False, visible=can_discard)
        notice = fragment("", elem_id="promotion-notice")
        history = fragment("", elem_id="promotion-history")
    return PromotionCard(
        version=version,
        category=category,
        product=product,
        actor=actor,
        remembered=gr.BrowserState("", storage_key="mambaad-reviewer", secret="reviewer"),  # noqa: S106 - hides no secret
        status=status,
        try_out=try_out,
        discard=discard,
        result=result,
        note=note,
        reason=reason,
        promote=promote,
        undo=undo,
        notice=notice,
        history=history,
        tried=gr.State(None),
        seen=gr.State(NOTHING),
        show=show,
    )
