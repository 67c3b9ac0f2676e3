"""The card of the Compare page that compares checkpoints over a whole set of pictures."""

from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from mambaad_demo.data.picture_sets import Picture, read_set
from mambaad_demo.data.sample_parts import CATEGORIES
from mambaad_demo.errors import DemoError, InputError
from mambaad_demo.pipeline.set_comparison import SetComparison
from mambaad_demo.ui import present, present_set
from mambaad_demo.ui.comparing import Comparer
from mambaad_demo.ui.inspect_page import fragment
from mambaad_demo.ui.inspect_tab import Updates
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.samples import sample_set
from mambaad_demo.ui.uploads import uploaded_path

MOST_PICTURES = 500
"""In a set of the page; the command line takes more."""

_OWN = ""
_LANE: dict[str, Any] = {"concurrency_id": "sets", "concurrency_limit": 1}
"""Sets wait for each other; whoever inspects a picture waits for one picture of a set at the most."""


def build_set_card(
    comparer: Comparer, *, checkpoints: gr.CheckboxGroup, files: gr.State, forget: gr.Button
) -> None:
    """Draw the card into the surrounding column and wire it.

    Args:
        comparer: does the work.
        checkpoints: the choice of the page.
        files: paths of what this visitor uploaded.
        forget: the button that deletes them, and what this card shows.
    """
    kinds = present.named(CATEGORIES)
    with gr.Column(elem_classes="card", elem_id="compare-set", min_width=0):
        fragment('<h3 class="card-title">A whole set</h3>')
        with gr.Row(elem_id="compare-set-input"):
            archive = gr.File(
                label="Zip of pictures", file_types=[".zip"], height=104, elem_id="compare-set-zip"
            )
            with gr.Column(min_width=0):
                kind = gr.Dropdown(
                    [("the zip file", _OWN), *((f"sample parts: {label}", value) for label, value in kinds)],
                    value=kinds[0][1],
                    label="Set",
                )
                product = gr.Dropdown([(present.SUGGEST, "")], value="", label="Product in the zip file")
            with gr.Column(min_width=0, elem_id="compare-set-buttons"):
                start = gr.Button("Compare the set", variant="primary")
                stop = gr.Button("Stop", interactive=False)
        result = fragment("", elem_id="compare-set-result")
        scores = gr.Plot(show_label=False, container=False, visible=False, elem_id="compare-set-scores")

    def compare_set(
        upload: dict[str, Any] | None, kind: str, product: str, checkpoints: list[str]
    ) -> Iterator[Updates]:
        with shown_to_user():
            try:
                pictures = _pictures(upload, kind)
                category = (product or None) if kind == _OWN else None
                for step in comparer.on_set(pictures, checkpoints, category):
                    if isinstance(step, SetComparison):
                        yield finished(step)
                    else:
                        yield {result: present_set.progress_html(step), **working(True)}
            except Exception as error:
                problem = str(error) if isinstance(error, DemoError) else ""
                yield {result: present.notice_html(problem), **working(False)}
                if not problem:
                    raise

    def working(is_working: bool) -> Updates:
        return {
            start: gr.update(interactive=not is_working),
            stop: gr.update(interactive=is_working),
            **({scores: gr.update(visible=False)} if is_working else {}),
        }

    def finished(comparison: SetComparison) -> Updates:
        figure = present_set.scores_figure(comparison)
        has_dots = any(judged.has_limits for judged in comparison.results)
        return {
            **working(False),
            result: present_set.result_html(comparison),
            scores: gr.update(value=figure if has_dots else None, visible=has_dots),
        }

    def say_stopped() -> Updates:
        return {result: present_set.stopped_html(), **working(False)}

    def keep_zip(
        upload: dict[str, Any] | None, checkpoints: list[str], known_files: list[str]
    ) -> Iterator[Updates]:
        """Remember an uploaded file, so that it can be deleted, and offer to compare on it."""
        with shown_to_user():
            path = uploaded_path(upload)
            if path is None:
                yield {files: known_files}
                return
            yield {files: [*known_files, str(path)], kind: _OWN}
            choices = [(present.SUGGEST, ""), *present.named(comparer.categories(checkpoints))]
            yield {product: gr.update(choices=choices, value="")}

    def clear_set() -> Updates:
        return {archive: None, result: "", scores: gr.update(value=None, visible=False), **working(False)}

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "preprocess": False}
    shows = [result, scores, start, stop]
    archive.upload(keep_zip, [archive, checkpoints, files], [kind, product, files], **private)
    run = start.click(
        compare_set,
        [archive, kind, product, checkpoints],
        shows,
        **{**private, **_LANE, "show_progress": "minimal", "show_progress_on": result},
    )
    stop.click(say_stopped, None, shows, cancels=[run], queue=False, **private)
    forget.click(clear_set, None, [archive, *shows], cancels=[run], queue=False, **private)


def _pictures(upload: dict[str, Any] | None, kind: str) -> Sequence[Picture]:
    if kind != _OWN:
        return sample_set(kind)
    path = uploaded_path(upload)
    if path is None:
        raise InputError("Upload a zip file of pictures first, or choose a kind of sample part.")
    return read_set(path, at_most=MOST_PICTURES)
