"""The Compare page at work: a picture goes in, the columns fill one by one.

Judging is `comparing.py`'s business, words and markup are `present_comparison.py`'s.
"""

from collections.abc import Iterator
from functools import partial
from itertools import zip_longest
from typing import Any

import gradio as gr

from mambaad_demo.errors import DemoError
from mambaad_demo.pipeline.calibration import DEFAULT_RATES
from mambaad_demo.pipeline.comparison import Comparison
from mambaad_demo.pipeline.prediction import Prediction
from mambaad_demo.ui import present, present_comparison
from mambaad_demo.ui.compare_page import ComparePage, draw_compare_page
from mambaad_demo.ui.compare_set_card import build_set_card
from mambaad_demo.ui.comparing import MOST_AT_ONCE, Comparer
from mambaad_demo.ui.fetching import FETCH_LANE, fetch, fetching
from mambaad_demo.ui.inspect_page import InspectPage
from mambaad_demo.ui.inspect_tab import Updates
from mambaad_demo.ui.inspection import Inspector, Photo, Question
from mambaad_demo.ui.launch import MODEL_LANE
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.samples import SamplePart
from mambaad_demo.ui.uploads import uploaded_path


def build_compare_tab(
    inspector: Inspector, comparer: Comparer, *, tab: gr.Tab, inspect_page: InspectPage
) -> ComparePage:
    """Draw the Compare page into the surrounding tab and wire it.

    Args:
        inspector: whose checkpoints and sample parts are offered.
        comparer: does the work.
        tab: opening it for the first time compares the picture of the Inspect page.
        inspect_page: that page; its button that deletes a visitor's files deletes those of this page too.
    """
    page = draw_compare_page(inspector.catalog.names())
    with page.result:
        build_set_card(
            comparer, checkpoints=page.checkpoints, files=inspect_page.files, forget=inspect_page.forget
        )

    def answer(
        source: Photo | SamplePart, checkpoints: list[str], category: str | None, shown: Any
    ) -> Iterator[Updates]:
        """The page after each judgement, then with what each checkpoint costs."""
        is_drawn = False
        try:
            comparer.require_choice(checkpoints)
            for markup in fetching(inspector.catalog, checkpoints):
                yield {page.notice: markup}
            for updates in fill(source, checkpoints, category):
                is_drawn = True
                yield updates
        except Exception as error:
            if is_drawn:  # half a comparison is none
                yield {**empty(), page.shown: source}
            if not isinstance(error, DemoError):
                raise
            kept = shown.title if shown and not is_drawn else None
            yield {page.notice: present.notice_html(str(error), kept=kept), page.shown: shown or source}

    def refused(
        name: str, error: DemoError, *, checkpoints: list[str], shown: Photo | SamplePart | None
    ) -> Updates:
        """The page with what it showed before, and without the tick at the refused checkpoint."""
        return {
            page.notice: present.notice_html(str(error), kept=shown.title if shown else None),
            page.checkpoints: [other for other in checkpoints if other != name],
        }

    def fetch_compared(checkpoints: list[str], shown: Photo | SamplePart | None) -> Iterator[Updates]:
        yield from fetch(
            inspector.catalog,
            checkpoints if len(checkpoints) <= MOST_AT_ONCE else (),  # what comes next refuses more
            notice=page.notice,
            refused=partial(refused, checkpoints=checkpoints, shown=shown),
        )

    def fetch_first(checkpoints: list[str], shown: Photo | SamplePart | None) -> Iterator[Updates]:
        yield from fetch_compared(checkpoints if shown is None else [], shown)

    def empty() -> Updates:
        emptied: Updates = dict.fromkeys((*page.columns, page.agreement, page.costs), "")
        return {**emptied, page.scores: None}

    def fill(source: Photo | SamplePart, checkpoints: list[str], category: str | None) -> Iterator[Updates]:
        known = comparer.categories(checkpoints)
        category = category if category in known else None
        judged: list[Prediction] = []
        for prediction in comparer.predictions(source, checkpoints, category):
            judged.append(prediction)
            yield {
                **(empty() if len(judged) == 1 else {}),
                page.notice: present.notice_html(),
                page.shown: source,
                **dict(zip(page.columns, columns_html(judged, checkpoints, source.title), strict=True)),
            }
        choices = [(present.SUGGEST, ""), *present.named(known)]
        comparison = Comparison(predictions=tuple(judged), rates=DEFAULT_RATES)
        yield {
            page.agreement: present_comparison.agreement_html(comparison),
            page.scores: present_comparison.scores_figure(judged),
            page.costs: present_comparison.costs_html(judged, [None] * len(judged)),
            page.product: gr.update(choices=choices, value=category or ""),
        }
        yield {page.costs: present_comparison.costs_html(judged, comparer.costs(checkpoints))}

    def columns_html(judged: list[Prediction], checkpoints: list[str], title: str) -> list[Any]:
        """One value per column; the columns that a step does not change are left alone."""
        markup: list[Any] = []
        for number, (checkpoint, _) in enumerate(zip_longest(checkpoints, page.columns)):
            if number < len(judged) - 1:
                markup.append(gr.skip())
            elif number == len(judged) - 1:
                markup.append(present_comparison.column_html(judged[number], title))
            else:
                markup.append(present_comparison.waiting_html(checkpoint) if checkpoint else "")
        return markup

    def compare_photo(
        upload: dict[str, Any] | None,
        checkpoints: list[str],
        category: str,
        shown: Photo | SamplePart | None,
        files: list[str],
    ) -> Iterator[Updates]:
        with shown_to_user():
            path = uploaded_path(upload)
            if path is None:
                yield {inspect_page.files: files}
                return
            yield {page.photo: None, inspect_page.files: [*files, str(path)]}
            yield from answer(Photo(path), checkpoints, category or None, shown)

    def compare_sample(
        checkpoints: list[str], shown: Photo | SamplePart | None, event: gr.EventData
    ) -> Iterator[Updates]:
        with shown_to_user():
            yield from answer(inspector.shelf.part_at(event.index), checkpoints, None, shown)

    def compare_again(
        checkpoints: list[str], category: str, shown: Photo | SamplePart | None
    ) -> Iterator[Updates]:
        with shown_to_user():
            if shown is None:
                yield {page.notice: present.notice_html("Choose a picture first.")}
                return
            yield from answer(shown, checkpoints, category or None, shown)

    def compare_first(
        checkpoints: list[str], shown: Photo | SamplePart | None, inspected: Question | None
    ) -> Iterator[Updates]:
        with shown_to_user():
            if shown is not None or inspected is None:
                yield {page.shown: shown}
                return
            yield from answer(inspected.source, checkpoints, inspected.category, shown)

    def clear() -> Updates:
        with shown_to_user():
            return {
                **empty(),
                page.shown: None,
                page.notice: present.notice_html(),
                page.product: gr.update(choices=present.category_choices(None), value=""),
            }

    def draw_shelf() -> str:
        thumbnails = {part: inspector.shelf.thumbnail(part) for part in inspector.shelf.parts}
        return present.shelf_html(thumbnails, chosen=None)

    results = [*page.columns, page.agreement, page.costs, page.scores]
    shows = [*results, page.shown, page.notice, page.product]
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal", "preprocess": False}
    busy: dict[str, Any] = {**private, **MODEL_LANE, "show_progress_on": page.notice}
    page.photo.input(
        compare_photo,
        [page.photo, page.checkpoints, page.product, page.shown, inspect_page.files],
        [page.photo, inspect_page.files, *shows],
        trigger_mode="always_last",
        **busy,
    )
    page.shelf.choose(
        compare_sample, [page.checkpoints, page.shown], shows, trigger_mode="always_last", **busy
    )
    again = [page.checkpoints, page.product, page.shown]
    page.product.input(compare_again, again, shows, trigger_mode="always_last", **busy)
    for begins, brings, compares, choice in (
        (page.checkpoints.input, fetch_compared, compare_again, again),
        (tab.select, fetch_first, compare_first, [page.checkpoints, page.shown, inspect_page.shown]),
    ):
        fetched = begins(
            brings,
            [page.checkpoints, page.shown],
            [page.notice, page.checkpoints],
            trigger_mode="always_last",
            **private | FETCH_LANE,
        )
        fetched.success(compares, choice, shows, trigger_mode="always_last", **busy)
    inspect_page.forget.click(clear, None, shows, **busy)
    gr.on(fn=draw_shelf, outputs=page.shelf, **private)
    return page
