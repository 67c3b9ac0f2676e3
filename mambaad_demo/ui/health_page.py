"""The components of the Models & Health page and where they stand; what they do is `health_tab.py`'s
business."""

from dataclasses import dataclass

import gradio as gr

from mambaad_demo.ui.inspect_page import fragment


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthPage:
    """The components that handlers read or change."""

    state: gr.HTML
    refresh: gr.Button
    test: gr.Button
    told: gr.HTML
    """How far a self-test is, and how it ended."""
    machine: gr.HTML
    service: gr.HTML
    checkpoints: gr.HTML
    card_of: gr.Dropdown
    card: gr.Markdown


def draw_health_page() -> HealthPage:
    """Draw the empty page into the surrounding Blocks."""
    with gr.Row(elem_id="health"):
        with gr.Column(elem_id="health-side", min_width=0):
            with gr.Column(elem_classes="card", min_width=0):
                state = fragment("", elem_id="health-state")
                with gr.Row(elem_id="health-buttons"):
                    test = gr.Button("Run the self-test now", size="sm", min_width=0)
                    refresh = gr.Button("Refresh", size="sm", min_width=0)
                told = fragment("", elem_id="health-told")
            with gr.Column(elem_classes="card", min_width=0):
                service = fragment("", elem_id="health-service")
        with gr.Column(elem_id="health-main", min_width=0):
            with gr.Column(elem_classes="card", min_width=0):
                checkpoints = fragment("", elem_id="health-checkpoints")
            with gr.Accordion("Model card", open=False, elem_id="health-card", elem_classes="card"):
                card_of = gr.Dropdown([], label="Checkpoint")
                card = gr.Markdown("", elem_id="health-card-text", sanitize_html=True)
            with gr.Column(elem_classes="card", min_width=0):
                machine = fragment("", elem_id="health-machine")
    return HealthPage(
        state=state,
        refresh=refresh,
        test=test,
        told=told,
        machine=machine,
        service=service,
        checkpoints=checkpoints,
        card_of=card_of,
        card=card,
    )
