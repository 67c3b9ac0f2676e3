"""The components of the Metrics page and where they stand; what they do is `metrics_tab.py`'s business."""

from dataclasses import dataclass

import gradio as gr

from mambaad_demo.ui.assets import text
from mambaad_demo.ui.inspect_page import fragment
from mambaad_demo.ui.present_metrics import EVERYBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsPage:
    """The components that handlers read or change."""

    notice: gr.HTML
    product: gr.Dropdown
    version: gr.Dropdown
    reviewer: gr.Dropdown
    refresh: gr.Button
    ground: gr.HTML
    """What all figures rest on."""
    empty: gr.HTML
    """What to do first, where nothing is labeled."""
    labeled: gr.Column
    """Holds all that needs labels."""
    rates: gr.HTML
    sweep: gr.Plot
    metrics: gr.HTML
    roc: gr.Plot
    precision_recall: gr.Plot
    overlap: gr.Plot
    agreement: gr.HTML
    drift_card: gr.Column
    drift: gr.HTML
    drift_chart: gr.Plot


def draw_metrics_page() -> MetricsPage:
    """Draw the empty page into the surrounding Blocks."""
    with gr.Row(elem_id="metrics"):
        with gr.Column(elem_id="metrics-input", min_width=0):
            with gr.Column(elem_classes="card"):
                notice = fragment("", elem_id="metrics-notice")
                product = gr.Dropdown([], label="Product")
                version = gr.Dropdown([], label="Version")
                reviewer = gr.Dropdown([(EVERYBODY, "")], value="", label="By the word of")
                refresh = gr.Button("Refresh", size="sm", min_width=0)
            with gr.Column(elem_classes="card"):
                ground = fragment("", elem_id="metrics-ground")
        with gr.Column(elem_id="metrics-result", min_width=0):
            empty = fragment("", elem_id="metrics-empty")
            with gr.Column(elem_id="metrics-labeled", min_width=0, visible=False) as labeled:
                with gr.Row(elem_classes="metrics-pair"):
                    with _card():
                        rates = fragment("", elem_id="metrics-rates")
                    with _card("At other limits"):
                        sweep = _chart("metrics-sweep")
                        fragment(text("metrics_sweep.html"))
                with _card():
                    metrics = fragment("", elem_id="metrics-table")
                with gr.Row(elem_classes="metrics-curves"):
                    with _card("ROC"):
                        roc = _chart("metrics-roc")
                    with _card("Precision and recall"):
                        precision_recall = _chart("metrics-pr")
                    with _card("Covered regions (AU-PRO)"):
                        overlap = _chart("metrics-pro")
                with _card():
                    agreement = fragment("", elem_id="metrics-agreement")
            with gr.Column(elem_classes="card", min_width=0, visible=False) as drift_card:
                drift = fragment("", elem_id="metrics-drift")
                drift_chart = _chart("metrics-drift-chart")
    return MetricsPage(
        notice=notice,
        product=product,
        version=version,
        reviewer=reviewer,
        refresh=refresh,
        ground=ground,
        empty=empty,
        labeled=labeled,
        rates=rates,
        sweep=sweep,
        metrics=metrics,
        roc=roc,
        precision_recall=precision_recall,
        overlap=overlap,
        agreement=agreement,
        drift_card=drift_card,
        drift=drift,
        drift_chart=drift_chart,
    )


def _card(title: str | None = None) -> gr.Column:
    card = gr.Column(elem_classes="card", min_width=0)
    if title is not None:
        with card:
            fragment(f'<h3 class="card-title">{title}</h3>')
    return card


def _chart(elem_id: str) -> gr.Plot:
    return gr.Plot(show_label=False, container=False, elem_id=elem_id)
