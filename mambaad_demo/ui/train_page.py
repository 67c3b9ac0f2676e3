"""The components of the Train page and where they stand; what they do is `train_tab.py`'s business."""

from dataclasses import dataclass

import gradio as gr

from mambaad_demo.ui import present_preflight, present_train
from mambaad_demo.ui.inspect_page import fragment

QUICK, STANDARD, LONG, OWN = "3", "10", "30", ""
BUDGETS = [("Quick, 3 min", QUICK), ("Standard, 10 min", STANDARD), ("Long, 30 min", LONG), ("Own", OWN)]
"""What the page offers; the values are minutes, empty for a number of one's own."""
MOST_MINUTES = 24 * 60
FLIP = "left to right and upside down: where a mirrored part is as good as this one"
ROTATE = "by quarter turns: where the part may lie any way round, as a washer does"
BRIGHTNESS = "15 % darker and brighter: where the light changes, and that is no defect"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPage:
    """The components that handlers read or change."""

    files: gr.File
    product: gr.Dropdown
    checkpoint: gr.Dropdown
    taught: gr.Checkbox
    look: gr.Button
    notice: gr.HTML
    budget: gr.Radio
    minutes: gr.Number
    flip: gr.Checkbox
    rotate: gr.Checkbox
    brightness: gr.Checkbox
    reject_percent: gr.Number
    estimate: gr.HTML
    start: gr.Button
    left_out: gr.JSON
    """Hidden; names of the photos whose boxes are ticked in the report, filled in as Start is pressed."""
    can_train: gr.State
    """Whether the report on the page allows a training."""
    pace: gr.State
    """What the warm-up measured, a `Pace`, or None."""
    preflight: gr.HTML
    job_row: gr.Row
    """The list of trainings and the buttons; hidden while there are none."""
    training: gr.Dropdown
    stop: gr.Button
    resume: gr.Button
    finish: gr.Button
    delete: gr.Button
    status: gr.HTML
    curves_card: gr.Column
    curves: gr.Plot
    drawn: gr.State
    """Which state of which training the curves and pictures show."""
    previews: gr.HTML
    log_box: gr.Accordion
    log: gr.HTML
    result: gr.HTML
    results: gr.Column
    """Holds all of the right side; the promotion card joins it."""
    timer: gr.Timer


def draw_train_page(checkpoints: tuple[str, ...], *, refusal: str) -> TrainPage:
    """Draw the empty page into the surrounding Blocks.

    Args:
        checkpoints: what can be fine-tuned.
        refusal: why nobody may fine-tune here, which the page says in place of the form; empty where all may.
    """
    with gr.Row(elem_id="train"):
        with gr.Column(elem_id="train-input", min_width=0):
            if refusal:
                with gr.Column(elem_classes="card"):
                    fragment(present_train.off_html(refusal))
            with gr.Column(elem_classes="card", visible=not refusal):
                fragment('<h3 class="card-title">1 · Good parts</h3>')
                files = gr.File(
                    label="Photos and zip files", file_count="multiple", height=150, elem_id="train-files"
                )
                product = gr.Dropdown(
                    [], value=None, allow_custom_value=True, label="Product", info="choose one or type a name"
                )
                checkpoint = gr.Dropdown(list(checkpoints), label="Start from the checkpoint")
                taught = gr.Checkbox(
                    label="Add the parts taught as good", info="on the Review page, of this product"
                )
                look = gr.Button("Look at the photos", variant="primary")
                notice = fragment("", elem_id="train-notice")
            with gr.Column(elem_classes="card", visible=not refusal):
                fragment('<h3 class="card-title">2 · Budget</h3>')
                budget = gr.Radio(BUDGETS, value=STANDARD, label="Time", elem_id="train-budget")
                minutes = gr.Number(
                    value=10, minimum=0.1, maximum=MOST_MINUTES, label="Minutes", visible=False
                )
                with gr.Group(elem_id="train-variation"):
                    flip = gr.Checkbox(label="Mirror the photos", info=FLIP)
                    rotate = gr.Checkbox(label="Turn the photos", info=ROTATE)
                    brightness = gr.Checkbox(label="Vary the brightness", info=BRIGHTNESS)
                reject_percent = gr.Number(
                    value=0.5,
                    minimum=0.01,
                    maximum=20,
                    step=0.1,
                    label="Good parts that may be rejected, in %",
                )
                estimate = fragment(present_preflight.estimate_html(None, None), elem_id="train-estimate")
                start = gr.Button("Start", variant="primary", interactive=False)
        with gr.Column(elem_id="train-result", min_width=0) as results:
            preflight = fragment("", script="preflight.js", elem_id="train-preflight")
            with gr.Column(elem_classes="card", min_width=0):
                with gr.Row(elem_id="train-job", visible=False) as job_row:
                    training = gr.Dropdown([], label="Training", elem_id="train-choice")
                    with gr.Row(elem_id="train-buttons"):
                        stop = _button("Stop")
                        resume = _button("Resume")
                        finish = _button("Make a version from the best state")
                        delete = _button("Delete")
                status = fragment(present_train.status_html(None), elem_id="train-status")
            with gr.Column(elem_classes="card", min_width=0, visible=False) as curves_card:
                curves = gr.Plot(show_label=False, container=False, elem_id="train-curves")
                previews = fragment("", elem_id="train-previews")
                with gr.Accordion("Log", open=False, elem_id="train-log") as log_box:
                    log = fragment("")
            result = fragment("", elem_id="train-report")
    return TrainPage(
        files=files,
        product=product,
        checkpoint=checkpoint,
        taught=taught,
        look=look,
        notice=notice,
        budget=budget,
        minutes=minutes,
        flip=flip,
        rotate=rotate,
        brightness=brightness,
        reject_percent=reject_percent,
        estimate=estimate,
        start=start,
        left_out=gr.JSON(visible="hidden"),
        can_train=gr.State(False),
        pace=gr.State(None),
        preflight=preflight,
        job_row=job_row,
        training=training,
        stop=stop,
        resume=resume,
        finish=finish,
        delete=delete,
        status=status,
        curves_card=curves_card,
        curves=curves,
        drawn=gr.State(""),
        previews=previews,
        log_box=log_box,
        log=log,
        result=result,
        results=results,
        timer=gr.Timer(1.0, active=False),
    )


def _button(label: str) -> gr.Button:
    return gr.Button(label, size="sm", min_width=0, interactive=False)
