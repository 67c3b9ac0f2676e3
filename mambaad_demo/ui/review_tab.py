"""The Review page at work: a queue is chosen, parts are decided on by key, each decision committed at once.

What a key does is `reviewing.py`'s business, what the page shows `present_review.py`'s.
"""

from collections.abc import Sequence
from itertools import count
from typing import Any

import gradio as gr

from mambaad_demo.errors import DemoError
from mambaad_demo.storage import jobs, labels, review
from mambaad_demo.storage.listing import Decided, Filters, Order
from mambaad_demo.storage.review import Queue
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.ui import present
from mambaad_demo.ui.batch_page import BatchPage
from mambaad_demo.ui.desk import Desk
from mambaad_demo.ui.dropdowns import relisted
from mambaad_demo.ui.inspect_tab import Updates
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.present_batch import job_choices
from mambaad_demo.ui.present_review import review_value
from mambaad_demo.ui.review_page import ALL, SHARED, ReviewPage, draw_review_page
from mambaad_demo.ui.reviewing import Action, Sitting, act, begin
from mambaad_demo.ui.words import spoken

TAB = "review"
"""The id of the tab."""


def build_review_tab(desk: Desk, *, tabs: gr.Tabs, tab: gr.Tab, batch_page: BatchPage) -> ReviewPage:
    """Draw the Review page into the surrounding tab and wire it.

    Args:
        desk: the store.
        tabs: all tabs.
        tab: opening it offers the products and batches of the moment.
        batch_page: whose batch can be taken over.
    """
    page = draw_review_page(desk)
    controls = page.filters.in_order()
    turns = count(1)  # the page redraws when its value differs from the last one

    def drawn(workspace: Workspace, sitting: Sitting | None) -> dict[str, Any]:
        return {**review_value(workspace, sitting), "turn": next(turns)}

    def open_page(
        reviewer: str, remembered: str, sitting: Sitting | None, product: str, batch: str, request: gr.Request
    ) -> Updates:
        with shown_to_user():
            workspace = desk.workspace(request)
            products = [ALL, *((spoken(name), name) for name in labels.products(workspace))]
            batches = [ALL, *job_choices(jobs.jobs(workspace))]
            views = [("none", ""), *((name, name) for name in review.saved_views(workspace))]
            return {
                **({page.reviewer: remembered} if remembered and not reviewer else {}),
                page.filters.product: relisted(products, product, _still(product, products)),
                page.filters.batch: relisted(batches, batch, _still(batch, batches)),
                page.view: gr.update(choices=views),
                page.card: drawn(workspace, sitting),
            }

    def take_over(batch: str | None, request: gr.Request) -> Updates:
        with shown_to_user():
            batches = [ALL, *job_choices(jobs.jobs(desk.workspace(request)))]
            chosen = gr.update(choices=batches, value=_still(batch or "", batches))
            return {tabs: gr.Tabs(selected=TAB), page.filters.batch: chosen}

    def start(request: gr.Request, reviewer: str, mode: str, *values: Any) -> Updates:
        with shown_to_user():
            workspace = desk.workspace(request)
            try:
                queue = Queue(reviewer=reviewer, filters=filters_of(values), is_shared=mode == SHARED)
                sitting = begin(workspace, queue)
            except DemoError as error:
                return {page.notice: present.notice_html(str(error))}
            return {
                page.sitting: sitting,
                page.card: drawn(workspace, sitting),
                page.notice: present.notice_html(),
                page.remembered: reviewer,
            }

    def pressed(sitting: Sitting | None, event: gr.EventData, request: gr.Request) -> Updates:
        with shown_to_user():
            workspace = desk.workspace(request)
            if sitting is None:
                return {page.card: drawn(workspace, None) | {"problem": "Press Start first."}}
            try:
                sitting = act(workspace, sitting, Action.read(event._data))
                problem = sitting.problem
            except DemoError as error:
                problem = str(error)
            return {page.sitting: sitting, page.card: drawn(workspace, sitting) | {"problem": problem}}

    def keep_draft(sitting: Sitting | None, event: gr.EventData, request: gr.Request) -> None:
        with shown_to_user():
            if sitting is not None:
                act(desk.workspace(request), sitting, Action.read(event._data))

    def save_view(request: gr.Request, name: str, *values: Any) -> Updates:
        with shown_to_user():
            workspace = desk.workspace(request)
            kept = review.save_view(workspace, name, filters_of(values))
            views = [("none", ""), *((view, view) for view in review.saved_views(workspace))]
            return {page.view: gr.update(choices=views, value=kept), page.view_name: ""}

    def delete_view(name: str, request: gr.Request) -> Updates:
        with shown_to_user():
            workspace = desk.workspace(request)
            review.delete_view(workspace, name)
            views = [("none", ""), *((view, view) for view in review.saved_views(workspace))]
            return {page.view: gr.update(choices=views, value="")}

    def use_view(name: str, request: gr.Request) -> Updates:
        with shown_to_user():
            filters = review.saved_views(desk.workspace(request)).get(name, Filters())
            values = (
                filters.product,
                filters.job_id,
                filters.verdict,
                filters.decided.value,
                filters.finding,
                filters.collection,
                filters.search,
                filters.order.value,
            )
            return dict(zip(controls, values, strict=True))

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "queue": False}
    tab.select(
        open_page,
        [page.reviewer, page.remembered, page.sitting, page.filters.product, page.filters.batch],
        [page.reviewer, page.filters.product, page.filters.batch, page.view, page.card],
        **private,
    )
    gr.on(
        [page.start.click, page.reviewer.submit],
        start,
        [page.reviewer, page.mode, *controls],
        [page.sitting, page.card, page.notice, page.remembered],
        **private,
    )
    batch_page.review.click(take_over, batch_page.batch, [tabs, page.filters.batch], **private)
    page.card.act(pressed, page.sitting, [page.sitting, page.card], **private)
    page.card.draft(keep_draft, page.sitting, None, **private)
    page.save_view.click(save_view, [page.view_name, *controls], [page.view, page.view_name], **private)
    page.delete_view.click(delete_view, page.view, page.view, **private)
    page.view.input(use_view, page.view, controls, **private)
    return page


def filters_of(values: Sequence[Any]) -> Filters:
    """What the controls ask for, in the order of `FilterControls.in_order`."""
    product, batch, verdict, decided, finding, collection, search, order = values
    if finding or collection:  # of parts that nobody has decided on there are none
        decided = Decided.SOMEBODY
    return Filters(
        product=product or "",
        job_id=batch or "",
        verdict=verdict or "",
        decided=Decided(decided),
        finding=finding or "",
        collection=collection or "",
        search=(search or "").strip(),
        order=Order(order),
    )


def _still(value: str, choices: Sequence[tuple[str, str]]) -> str:
    """The choice as it was, if it is still among the choices."""
    return value if value in [choice for _, choice in choices] else ""
