"""The components of the Inspect page and where they stand; what they do is `inspect_tab.py`'s business."""

from dataclasses import dataclass

import gradio as gr

from mambaad_demo.ui import present
from mambaad_demo.ui.assets import text
from mambaad_demo.ui.inspection import Inspection, Question

PROMPT = "# Drop, paste or take a photo\nPNG · JPEG · TIFF · WebP · BMP\n8 to 16 bit, up to 40 MP"

DUPLICATE = "Copy this Space: private, with hardware of your own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What the page shows before anybody did anything."""

    question: Question | None = None
    """What was asked first; None where there is no checkpoint to ask."""
    inspection: Inspection | None = None
    problem: str = ""
    """Why there is no inspection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectPage:
    """The components that handlers read or change."""

    photo: gr.Image
    notice: gr.HTML
    product: gr.Dropdown
    checkpoint: gr.Dropdown
    shelf: gr.HTML
    viewer: gr.HTML
    verdict: gr.HTML
    regions: gr.HTML
    downloads: dict[str, gr.Button]
    delivery: gr.DownloadButton
    """Hidden; holds the file that a download button has just prepared."""
    footer: gr.HTML
    forget: gr.Button
    # States may hold paths: they lie on the server by session, what a client sends in their place is ignored,
    # and a session runs no event for anybody but the browser that opened it (`LocalFilesBlocks`).
    shown: gr.State
    """The `Question` whose answer is on the page, or None."""
    files: gr.State
    """Paths of what this visitor uploaded and downloaded, so that it can be deleted on request."""


def draw_inspect_page(checkpoints: tuple[str, ...], first: Opening, *, on_space: bool) -> InspectPage:
    """Draw the page into the surrounding Blocks, showing its opening.

    Args:
        checkpoints: names to choose from.
        first: what the page shows when it opens.
        on_space: whether strangers share a Space, who then can take a copy of their own.
    """
    shows = first.inspection
    with gr.Row(elem_id="inspect"):
        with gr.Column(elem_id="inspect-input", min_width=0):
            with gr.Column(elem_classes="card"):
                photo = photo_input(elem_id="photo")
                gr.DuplicateButton(DUPLICATE, visible=on_space)
                notice = fragment(present.notice_html(first.problem), elem_id="notice")
                product = gr.Dropdown(present.category_choices(shows), value="", label="Product")
                checkpoint = gr.Dropdown(list(checkpoints), label="Checkpoint")
            with gr.Column(elem_classes="card"):
                shelf = fragment(present.shelf_html({}, chosen=None), script="shelf.js", elem_id="shelf")
        with gr.Column(elem_id="inspect-picture", elem_classes="card", min_width=0):
            viewer = gr.HTML(
                present.viewer_value(shows, sample=0) if shows else None,
                html_template=text("viewer.html"),
                css_template=text("viewer.css"),
                js_on_load=text("viewer.js"),
                apply_default_css=False,
                elem_id="viewer",
            )
        with gr.Column(elem_id="inspect-result", min_width=0):
            verdict = fragment(present.verdict_html(shows) if shows else "", elem_id="verdict")
            with gr.Column(elem_classes="card"):
                regions = fragment(present.regions_html(shows) if shows else "", script="regions.js")
            with gr.Column(elem_classes="card"):
                fragment(text("downloads.html"))
                with gr.Row(elem_id="downloads"):
                    downloads = {label: _small_button(label) for label in present.DOWNLOADS}
                delivery = gr.DownloadButton(visible="hidden", elem_id="delivery")
    with gr.Row(elem_id="inspect-footer"):
        footer = fragment(present.footer_html(shows) if shows else "")
        forget = _small_button("Delete my files now")
    return InspectPage(
        photo=photo,
        notice=notice,
        product=product,
        checkpoint=checkpoint,
        shelf=shelf,
        viewer=viewer,
        verdict=verdict,
        regions=regions,
        downloads=downloads,
        delivery=delivery,
        footer=footer,
        forget=forget,
        shown=gr.State(first.question if shows else None),
        files=gr.State([]),
    )


def fragment(markup: str, *, script: str | None = None, elem_id: str | None = None) -> gr.HTML:
    """A component for finished, escaped markup, with the asset that makes it answer to clicks."""
    return gr.HTML(
        markup,
        js_on_load=None if script is None else text(script),
        apply_default_css=False,
        elem_id=elem_id,
    )


def photo_input(*, elem_id: str) -> gr.Image:
    """The upload box; `image_mode=None` keeps Gradio from converting what it is given."""
    return gr.Image(
        type="filepath",
        image_mode=None,
        sources=["upload", "webcam", "clipboard"],
        label="Photo of a part",
        show_label=False,
        placeholder=PROMPT,
        buttons=[],
        height=176,
        elem_id=elem_id,
    )


def _small_button(label: str) -> gr.Button:
    return gr.Button(label, size="sm", min_width=0)
