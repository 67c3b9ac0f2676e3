"""The Inspect page at work: a picture goes in, a judged picture comes out.

Judging is `inspection.py`'s business, words and markup are `present.py`'s; the views of the picture are
drawn in the browser by `assets/viewer.js`.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from mambaad_demo.errors import DemoError, InputError
from mambaad_demo.ui import present
from mambaad_demo.ui.fetching import FETCH_LANE, fetch
from mambaad_demo.ui.inspect_page import InspectPage, Opening, draw_inspect_page
from mambaad_demo.ui.inspection import Inspector, Photo, Question
from mambaad_demo.ui.launch import MODEL_LANE
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.uploads import delete_uploads, download, uploaded_path

START_DOWNLOAD = "() => document.querySelector('#delivery').click()"

Updates = dict[Any, Any]
"""New values by component; components that are missing keep what they show."""


def opening(inspector: Inspector) -> Opening:
    """Inspect the first sample part with the first checkpoint, so that a visitor sees a result at once."""
    checkpoints = inspector.catalog.names()
    if not checkpoints:
        return Opening(problem="There is no checkpoint yet. Train one or fetch one, then start again.")
    question = Question(source=inspector.shelf.parts[0], checkpoint=checkpoints[0])
    try:
        return Opening(question=question, inspection=inspector.inspect(question))
    except DemoError as error:
        return Opening(question=question, problem=str(error))


def build_inspect_tab(
    inspector: Inspector,
    first: Opening,
    *,
    chips: gr.HTML,
    retention_minutes: int,
    files_of: Callable[[gr.Request], Collection[str] | None] = lambda request: None,
    on_space: bool = False,
    needs_storage: bool = False,
) -> InspectPage:
    """Draw the Inspect page into the surrounding Blocks and wire it to `inspector`.

    Args:
        inspector: answers the questions.
        first: what the page shows when it opens.
        chips: the part of the top bar that says what is in force.
        retention_minutes: how long uploads are kept, for the top bar.
        files_of: all files of who asks, from all of their tabs; None where nobody knows those of others.
        on_space: whether this is a Space that a visitor can copy.
        needs_storage: whether the top bar says that work is kept on attached storage only.
    """
    page = draw_inspect_page(inspector.catalog.names(), first, on_space=on_space)

    def answer(question: Question, shown: Question | None) -> Updates:
        """The page after a question: its answer, or why there is none beside what it showed before."""
        try:
            inspection = inspector.inspect(question)
        except DemoError as error:
            return refused(question.checkpoint, error, shown=shown)
        return {
            page.shown: question,
            page.notice: present.notice_html(),
            page.viewer: present.viewer_value(inspection, sample=inspector.shelf.position(question.source)),
            page.verdict: present.verdict_html(inspection),
            page.regions: present.regions_html(inspection),
            page.footer: present.footer_html(inspection),
            page.product: gr.update(
                choices=present.category_choices(inspection), value=question.category or ""
            ),
            chips: present.chips_html(
                inspection, retention_minutes=retention_minutes, needs_storage=needs_storage
            ),
        }

    def refused(checkpoint: str, error: DemoError, *, shown: Question | None) -> Updates:
        """The page with what it showed before; the checkpoint is again that of the picture shown, so that
        choosing the refused one once more is a new choice."""
        kept = shown.source.title if shown else None
        updates: Updates = {page.notice: present.notice_html(str(error), kept=kept)}
        if shown is not None and shown.checkpoint != checkpoint:
            updates[page.checkpoint] = shown.checkpoint
        return updates

    def fetch_chosen(checkpoint: str, shown: Question | None) -> Iterator[Updates]:
        yield from fetch(
            inspector.catalog, [checkpoint], notice=page.notice, refused=partial(refused, shown=shown)
        )

    def inspect_photo(
        upload: dict[str, Any] | None,
        checkpoint: str,
        category: str,
        shown: Question | None,
        files: list[str],
    ) -> Updates:
        with shown_to_user():
            path = uploaded_path(upload)
            if path is None:  # the box was emptied, or the camera is being switched on
                return {page.files: files}
            question = Question(source=Photo(path), checkpoint=checkpoint, category=category or None)
            return {page.photo: None, page.files: [*files, str(path)], **answer(question, shown)}

    def inspect_sample(checkpoint: str, shown: Question | None, event: gr.EventData) -> Updates:
        with shown_to_user():
            return answer(Question(source=inspector.shelf.part_at(event.index), checkpoint=checkpoint), shown)

    def inspect_again(checkpoint: str, category: str, shown: Question | None) -> Updates:
        with shown_to_user():
            if shown is None:
                raise InputError("Choose a picture first.")
            try:
                known = inspector.predictor(checkpoint).categories
            except DemoError as error:
                return refused(checkpoint, error, shown=shown)
            chosen = category if category in known else None
            question = replace(shown, checkpoint=checkpoint, category=chosen)
            return {page.shown: shown} if question == shown else answer(question, shown)

    def inspect_with(checkpoint: str, category: str, shown: Question | None) -> Updates:
        """Inspect with a checkpoint that was chosen; nothing where the page went back to the one it shows."""
        if shown is not None and shown.checkpoint == checkpoint:
            return {page.shown: shown}
        return inspect_again(checkpoint, category, shown)

    def prepare_download(label: str, shown: Question | None, files: list[str]) -> Updates:
        with shown_to_user():
            if shown is None:
                raise InputError("Nothing is inspected yet.")
            ending, content = present.DOWNLOADS[label]
            name = present.download_name(shown.source.title, ending)
            prediction = inspector.inspect(shown).prediction
            path = download(content(prediction), name, page.delivery.GRADIO_CACHE)
            return {page.delivery: path, page.files: [*files, path]}

    def delete_files(files: list[str], request: gr.Request) -> Updates:
        with shown_to_user():
            of_all_tabs = files_of(request)
            count = delete_uploads([*files, *(of_all_tabs or ())])
            gr.Info(present.deleted_text(count, of_all_tabs=of_all_tabs is not None))
            emptied: Updates = {page.files: [], page.delivery: None}
            return emptied if first.question is None else {**emptied, **answer(first.question, None)}

    def draw_shelf() -> str:
        thumbnails = {part: inspector.shelf.thumbnail(part) for part in inspector.shelf.parts}
        return present.shelf_html(thumbnails, chosen=0 if first.inspection else None)

    shows = [
        page.shown,
        page.notice,
        page.viewer,
        page.verdict,
        page.regions,
        page.footer,
        page.product,
        page.checkpoint,
        chips,
    ]
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal", "preprocess": False}
    busy: dict[str, Any] = {**private, **MODEL_LANE, "show_progress_on": page.viewer}
    choice = [page.checkpoint, page.product, page.shown]
    page.photo.input(
        inspect_photo,
        [page.photo, *choice, page.files],
        [page.photo, page.files, *shows],
        **busy,
    )
    page.shelf.choose(
        inspect_sample, [page.checkpoint, page.shown], shows, trigger_mode="always_last", **busy
    )
    # A choice by mouse fires `input` twice: once for itself, once for leaving the list.
    page.product.input(inspect_again, choice, shows, trigger_mode="always_last", **busy)
    fetched = page.checkpoint.change(
        fetch_chosen,
        [page.checkpoint, page.shown],
        [page.notice, page.checkpoint],
        trigger_mode="always_last",
        **private | FETCH_LANE,
    )
    fetched.success(inspect_with, choice, shows, trigger_mode="always_last", **busy)
    for label, button in page.downloads.items():
        prepared = button.click(
            partial(prepare_download, label),
            [page.shown, page.files],
            [page.delivery, page.files],
            **{**busy, "show_progress_on": button},
        )
        prepared.success(None, js=START_DOWNLOAD)
    page.forget.click(delete_files, page.files, [page.files, page.delivery, *shows], **busy)
    gr.on(fn=draw_shelf, outputs=page.shelf, **private)
    return page
