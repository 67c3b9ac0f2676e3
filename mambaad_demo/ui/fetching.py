"""Checkpoints on their way here from the Hub, as the Inspect and Compare pages show it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gradio as gr

from mambaad_demo.errors import DemoError
from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.ui import present
from mambaad_demo.ui.messages import shown_to_user, told_on_page

FETCH_LANE: dict[str, Any] = {"concurrency_id": "fetch", "concurrency_limit": 8, "show_progress": "hidden"}
"""Options of each event that does nothing but fetch: in the lane of the model others would wait for it, and
most choices are of checkpoints that are here and pass at once."""


def fetching(catalog: Catalog, checkpoints: Iterable[str]) -> Iterator[str]:
    """Bring checkpoints here that are not yet, one after another; yields how far that is, as markup.

    Raises:
        CheckpointError: one cannot be fetched.
    """
    for name in checkpoints:
        for step in catalog.fetching(name):
            yield present.fetching_html(step)


def fetch(
    catalog: Catalog,
    checkpoints: Iterable[str],
    *,
    notice: gr.HTML,
    refused: Callable[[str, DemoError], dict[Any, Any]],
) -> Iterator[dict[Any, Any]]:
    """The steps of an event that fetches and does nothing else; where that fails, its successors do not run.

    Args:
        catalog: whose checkpoints they are.
        checkpoints: names.
        notice: says how far it is.
        refused: name and error → what the page then shows, by component.
    """
    with shown_to_user():
        yield {notice: gr.skip()}
        for name in checkpoints:
            try:
                for markup in fetching(catalog, [name]):
                    yield {notice: markup}
            except DemoError as error:
                yield refused(name, error)
                raise told_on_page(error) from error
