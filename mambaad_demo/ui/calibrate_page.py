"""The components of the Calibrate page and where they stand; what they do is the tab's business."""

from dataclasses import dataclass

import gradio as gr

from mambaad_demo.hub.schemas import MOST_TILES
from mambaad_demo.pipeline.calibration import DEFAULT_RATES
from mambaad_demo.ui import present_calibrate
from mambaad_demo.ui.inspect_page import fragment


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratePage:
    """The components that handlers read or change."""

    checkpoint: gr.Dropdown
    category: gr.Dropdown
    tiles: gr.Number
    files: gr.File
    measure: gr.Button
    labeled: gr.Button
    stop: gr.Button
    notice: gr.HTML
    progress: gr.HTML
    summary: gr.HTML
    figure: gr.Plot
    check: gr.Slider
    reject: gr.Slider
    check_rate: gr.Number
    """In percent, as is the other."""
    reject_rate: gr.Number
    place: gr.Button
    numbers: gr.HTML
    note: gr.Textbox
    save: gr.Button
    discard: gr.Button
    saved: gr.HTML
    """What saving did."""
    history: gr.HTML
    earlier: gr.Dropdown
    take_back: gr.Button
    tried: gr.State
    """The `Trial` on the page, or None while it shows the limits in force."""


def draw_calibrate_page(checkpoints: tuple[str, ...]) -> CalibratePage:
    """Draw the empty page into the surrounding Blocks."""
    with gr.Row(elem_id="calibrate"):
        with gr.Column(elem_id="calibrate-input", min_width=0):
            with gr.Column(elem_classes="card"):
                fragment('<h3 class="card-title">Limits of</h3>')
                checkpoint = gr.Dropdown(list(checkpoints), label="Checkpoint")
                category = gr.Dropdown(
                    [],
                    label="Product",
                    info="choose one, or type a new name",
                    allow_custom_value=True,
                    elem_id="calibrate-category",
                )
                tiles = gr.Number(
                    1, label="Tiles along the longer side", precision=0, minimum=1, maximum=MOST_TILES, step=1
                )
            with gr.Column(elem_classes="card"):
                fragment('<h3 class="card-title">Good parts to set them from</h3>')
                fragment(present_calibrate.unseen_html())
                files = gr.File(
                    label="Good photos or a zip",
                    file_count="multiple",
                    height=148,
                    elem_id="calibrate-files",
                )
                measure = gr.Button("Measure photos", variant="primary")
                labeled = gr.Button("Use pictures labeled good", interactive=False)
                stop = gr.Button("Stop", size="sm", min_width=0, interactive=False)
                notice = fragment("", elem_id="calibrate-notice")
                progress = fragment("", elem_id="calibrate-progress")
        with gr.Column(elem_id="calibrate-result", min_width=0):
            with gr.Column(elem_classes="card", min_width=0):
                summary = fragment("", elem_id="calibrate-summary")
                figure = gr.Plot(show_label=False, container=False, elem_id="calibrate-figure")
                with gr.Row(elem_id="calibrate-sliders"):
                    check = _slider("Check limit: a person looks from here on")
                    reject = _slider("Reject limit: rejected from here on")
                with gr.Row(elem_id="calibrate-rates"):
                    check_rate = _rate("Good parts above the check limit, %", DEFAULT_RATES.check)
                    reject_rate = _rate("Good parts above the reject limit, %", DEFAULT_RATES.reject)
                    place = gr.Button("Place the limits", interactive=False)
            with gr.Column(elem_classes="card", min_width=0):
                numbers = fragment("", elem_id="calibrate-numbers")
            with gr.Column(elem_classes="card", min_width=0):
                fragment('<h3 class="card-title">Put in force</h3>')
                note = gr.Textbox(
                    label="Note", placeholder="why, for those who come after", max_lines=3, max_length=1000
                )
                with gr.Row(elem_id="calibrate-buttons"):
                    save = gr.Button("Save these limits", variant="primary", interactive=False)
                    discard = _button("Back to the limits in force")
                saved = fragment("", elem_id="calibrate-saved")
            with gr.Column(elem_classes="card", min_width=0):
                history = fragment("", elem_id="calibrate-history")
                with gr.Row(elem_id="calibrate-earlier"):
                    earlier = gr.Dropdown([], value=None, label="Try on earlier limits")
                    take_back = gr.Button("Take back: the checkpoint's own", interactive=False)
    return CalibratePage(
        checkpoint=checkpoint,
        category=category,
        tiles=tiles,
        files=files,
        measure=measure,
        labeled=labeled,
        stop=stop,
        notice=notice,
        progress=progress,
        summary=summary,
        figure=figure,
        check=check,
        reject=reject,
        check_rate=check_rate,
        reject_rate=reject_rate,
        place=place,
        numbers=numbers,
        note=note,
        save=save,
        discard=discard,
        saved=saved,
        history=history,
        earlier=earlier,
        take_back=take_back,
        tried=gr.State(None),
    )


def _slider(label: str) -> gr.Slider:
    return gr.Slider(0, 1, value=0, step=0.001, label=label, interactive=False, buttons=[])


def _rate(label: str, share: float) -> gr.Number:
    return gr.Number(100 * share, label=label, minimum=0.001, maximum=99)


def _button(label: str) -> gr.Button:
    return gr.Button(label, min_width=0, interactive=False)
