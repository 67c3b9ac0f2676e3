"""The card of the Metrics page that runs studies, opens earlier ones and hands out their reports."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from mambaad_demo.errors import DemoError, InputError
from mambaad_demo.storage import labels, studies
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.ui import present, present_study
from mambaad_demo.ui.allowance import counted
from mambaad_demo.ui.assets import text
from mambaad_demo.ui.desk import SOMEBODY, Desk
from mambaad_demo.ui.dropdowns import relisted, still
from mambaad_demo.ui.inspect_page import fragment
from mambaad_demo.ui.inspect_tab import Updates
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.uploads import download
from mambaad_demo.workflow.report import pdf
from mambaad_demo.workflow.report.contents import study_report
from mambaad_demo.workflow.report.html import report_html
from mambaad_demo.workflow.studies.appraisers import msa_sheet
from mambaad_demo.workflow.studies.records import load_study, save_study
from mambaad_demo.workflow.studies.repeatability import run_study
from mambaad_demo.workflow.studies.study import Choice, ShotKind, Study, StudySpec

START_DOWNLOAD = "() => document.querySelector('#study-delivery').click()"

_LANE: dict[str, Any] = {"concurrency_id": "studies", "concurrency_limit": 1}
"""Studies wait for each other; whoever inspects a picture waits for a few shots of a study at the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyCard:
    """The components that handlers read or change."""

    product: gr.Dropdown
    checkpoint: gr.Dropdown
    kind: gr.Radio
    choice: gr.Radio
    parts: gr.Slider
    shots: gr.Slider
    seed: gr.Number
    start: gr.Button
    stop: gr.Button
    earlier: gr.Dropdown
    result: gr.HTML
    html: gr.Button
    pdf: gr.Button
    delivery: gr.DownloadButton
    """Hidden; holds the report that was just made."""
    shown: gr.State
    """Number of the study on the page, or None."""


def build_study_card(desk: Desk, *, tab: gr.Tab) -> StudyCard:
    """Draw the card into the surrounding column and wire it.

    Args:
        desk: the store and the checkpoints.
        tab: opening it lists products, checkpoints and earlier studies anew.
    """
    card = _draw(desk.catalog.names())

    def list_studies(product: str | None, checkpoint: str | None, request: gr.Request) -> Updates:
        with shown_to_user():
            workspace = desk.workspace(request)
            products = list(labels.products(workspace))
            names = list(desk.catalog.names())
            return {
                card.product: relisted(present.named(products), product, still(product, products)),
                card.checkpoint: relisted(names, checkpoint, still(checkpoint, names)),
                card.earlier: gr.update(choices=present_study.study_choices(studies.studies(workspace))),
            }

    def conduct_study(
        product: str | None,
        checkpoint: str | None,
        kind: str,
        choice: str,
        parts: float,
        shots: float,
        seed: float,
        request: gr.Request,
    ) -> Iterator[Updates]:
        with shown_to_user():
            try:
                workspace = desk.workspace(request)
                spec = study_spec(product, checkpoint, kind, choice, parts, shots, seed)
                predictor = desk.predictor(workspace, spec.checkpoint)
                for step in counted(run_study(workspace, predictor, spec), times=predictor.tiles**2):
                    if isinstance(step, Study):
                        number = save_study(workspace, step, actor=SOMEBODY)
                        yield {**working(False), **shows(workspace, number, step)}
                    else:
                        yield {card.result: present_study.progress_html(step), **working(True)}
            except Exception as error:
                problem = str(error) if isinstance(error, DemoError) else ""
                yield {card.result: present_study.problem_html(problem), **working(False)}
                if not problem:
                    raise

    def shows(workspace: Workspace, number: int, study: Study) -> Updates:
        choices = present_study.study_choices(studies.studies(workspace))
        return {
            card.result: present_study.result_html(study, msa_sheet(workspace, study)),
            card.earlier: gr.update(choices=choices, value=number),
            card.shown: number,
            **reports(True),
        }

    def reports(is_there: bool) -> Updates:
        return {
            card.html: gr.update(interactive=is_there),
            card.pdf: gr.update(interactive=is_there and pdf.chromium() is not None),
        }

    def working(is_working: bool) -> Updates:
        return {
            card.start: gr.update(interactive=not is_working),
            card.stop: gr.update(interactive=is_working),
            **({card.shown: None, **reports(False)} if is_working else {}),
        }

    def say_stopped() -> Updates:
        return {card.result: present_study.stopped_html(), **working(False)}

    def open_study(number: object, request: gr.Request) -> Updates:
        with shown_to_user():
            workspace = desk.workspace(request)
            chosen = chosen_study(number)
            return shows(workspace, chosen, load_study(studies.study(workspace, chosen)))

    def report_of(number: object, request: gr.Request) -> tuple[str, bytes]:
        """The report of a study, and what its file is called but for its ending."""
        workspace = desk.workspace(request)
        chosen = chosen_study(number)
        study = load_study(studies.study(workspace, chosen))
        content = report_html(study_report(workspace, study, msa_sheet(workspace, study)))
        return present.download_name(study.spec.product, f"study-{chosen}"), content

    def delivered(content: bytes, name: str) -> Updates:
        return {card.delivery: download(content, name, card.delivery.GRADIO_CACHE)}

    def prepare_html(number: object, request: gr.Request) -> Updates:
        with shown_to_user():
            name, content = report_of(number, request)
            return delivered(content, f"{name}.html")

    def prepare_pdf(number: object, request: gr.Request) -> Updates:
        with shown_to_user():
            name, content = report_of(number, request)
            return delivered(pdf.report_pdf(content), f"{name}.pdf")

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "preprocess": False}
    updated = [card.result, card.start, card.stop, card.earlier, card.shown, card.html, card.pdf]
    listed = [card.product, card.checkpoint]
    tab.select(list_studies, listed, [*listed, card.earlier], queue=False, **private)
    run = card.start.click(
        conduct_study,
        [card.product, card.checkpoint, card.kind, card.choice, card.parts, card.shots, card.seed],
        updated,
        **{**private, **_LANE, "show_progress": "minimal", "show_progress_on": card.result},
    )
    card.stop.click(
        say_stopped, None, [card.result, card.start, card.stop], cancels=[run], queue=False, **private
    )
    card.earlier.input(open_study, card.earlier, updated, **private)
    for button, prepare in ((card.html, prepare_html), (card.pdf, prepare_pdf)):
        prepared = button.click(
            prepare,
            card.shown,
            card.delivery,
            **{**private, "show_progress": "minimal", "show_progress_on": button},
        )
        prepared.success(None, js=START_DOWNLOAD)
    return card


def study_spec(
    product: object,
    checkpoint: object,
    kind: Any,
    choice: Any,
    parts: Any,
    shots: Any,
    seed: Any,
) -> StudySpec:
    """What the controls ask for; they may hold anything, since a browser sends them.

    Raises:
        InputError: something is missing or no whole number.
    """
    if not product or not checkpoint:
        raise InputError("Choose a product and a checkpoint. Products come with the first batch.")
    try:
        return StudySpec(
            product=str(product),
            checkpoint=str(checkpoint),
            parts=int(parts),
            shots=int(shots),
            kind=ShotKind(kind),
            choice=Choice(choice),
            seed=int(seed),
        )
    except InputError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            "Choose the kind of shots and of parts, and fill in parts, shots and seed with whole numbers."
        ) from error


def chosen_study(number: object) -> int:
    """The study that is chosen.

    Raises:
        InputError: none is.
    """
    if not isinstance(number, int):
        raise InputError("Run a study first, or open an earlier one.")
    return number


def _draw(checkpoints: tuple[str, ...]) -> StudyCard:
    with gr.Column(elem_classes="card", elem_id="study", min_width=0):
        fragment('<h3 class="card-title">Studies: does a verdict repeat, and who agrees with it</h3>')
        with gr.Row():
            product = gr.Dropdown([], label="Product")
            checkpoint = gr.Dropdown(list(checkpoints), label="Checkpoint")
            earlier = gr.Dropdown([], value=None, label="Earlier studies")
        with gr.Row():
            kind = gr.Radio(present_study.KINDS, value=ShotKind.GENERATED.value, label="Shots of a part")
            choice = gr.Radio(present_study.CHOICES, value=Choice.NEAREST.value, label="Parts chosen")
        with gr.Row():
            parts = gr.Slider(1, 100, value=10, step=1, label="Good parts, and as many defective ones")
            shots = gr.Slider(2, 20, value=5, step=1, label="Shots of each")
            seed = gr.Number(0, precision=0, minimum=0, label="Seed")
        with gr.Row():
            start = gr.Button("Run the study", variant="primary")
            stop = gr.Button("Stop", interactive=False)
            html = gr.Button("Report (HTML)", interactive=False)
            printed = gr.Button("Report (PDF)", interactive=False)
        result = gr.HTML("", css_template=text("study.css"), apply_default_css=False, elem_id="study-result")
        delivery = gr.DownloadButton(visible="hidden", elem_id="study-delivery")
    return StudyCard(
        product=product,
        checkpoint=checkpoint,
        kind=kind,
        choice=choice,
        parts=parts,
        shots=shots,
        seed=seed,
        start=start,
        stop=stop,
        earlier=earlier,
        result=result,
        html=html,
        pdf=printed,
        delivery=delivery,
        shown=gr.State(None),
    )
