"""The Metrics page at work: a product and a version are chosen, figures follow in two steps.

Measuring is `workflow.figures`' business. What rests on rows alone is shown at once; what needs maps and
masks follows, some seconds later for a thousand pictures.
"""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from mambaad_demo.errors import StorageError
from mambaad_demo.storage import labels
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.ui import present, present_metrics
from mambaad_demo.ui import present_metrics_figures as charts
from mambaad_demo.ui.desk import Desk
from mambaad_demo.ui.dropdowns import relisted, still
from mambaad_demo.ui.inspect_tab import Updates
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.metrics_page import MetricsPage, draw_metrics_page
from mambaad_demo.workflow.figures.pixel_ranking import FullRanking
from mambaad_demo.workflow.figures.summary import FigureBook, Overview, product_versions

_LANE: dict[str, Any] = {"concurrency_id": "figures", "concurrency_limit": 1}
"""A thousand maps take a gigabyte while they are sorted: one at a time."""


def build_metrics_tab(desk: Desk, *, tab: gr.Tab, book: FigureBook | None = None) -> None:
    """Draw the Metrics page into the surrounding tab and wire it.

    Args:
        desk: whose workspaces are measured.
        tab: opening it measures the first product, or the one that is chosen.
        book: keeps answers; by default a new one.
    """
    page = draw_metrics_page()
    answers = book or FigureBook()

    def fill(
        workspace: Workspace, product: str | None, version: str | None, reviewer: str
    ) -> Iterator[Updates]:
        """The page, first what is there at once."""
        products = list(labels.products(workspace))
        chosen = still(product, products)
        versions = [] if chosen is None else product_versions(workspace, chosen)
        key = still(version, [one.key for one in versions])
        reviewers = labels.reviewers(workspace)
        who = reviewer if reviewer in reviewers else ""
        controls: Updates = {
            page.notice: "",
            page.product: relisted(present.named(products), product, chosen),
            page.version: relisted(present_metrics.version_choices(versions), version, key),
            page.reviewer: relisted(
                [(present_metrics.EVERYBODY, ""), *((name, name) for name in reviewers)], reviewer, who
            ),
        }
        if chosen is None or key is None:
            yield {**controls, **_nothing(page)}
            return
        used = next(one for one in versions if one.key == key)
        shown = answers.overview(workspace, chosen, used, reviewer=who or None)
        yield {**controls, **_first_part(page, shown)}
        if shown.labeled.decided:
            try:
                yield _second_part(page, shown, answers.ranking(workspace, shown.labeled))
            except StorageError as error:
                yield _half(page, shown, str(error))

    def measure(
        product: str | None, version: str | None, reviewer: str, request: gr.Request
    ) -> Iterator[Updates]:
        with shown_to_user():
            yield from fill(desk.workspace(request), product, version, reviewer)

    chosen = [page.product, page.version, page.reviewer]
    gr.on(
        [tab.select, page.refresh.click, *(control.input for control in chosen)],
        measure,
        chosen,
        [
            page.notice,
            *chosen,
            page.ground,
            page.empty,
            page.labeled,
            page.rates,
            page.sweep,
            page.metrics,
            page.roc,
            page.precision_recall,
            page.overlap,
            page.agreement,
            page.drift_card,
            page.drift,
            page.drift_chart,
        ],
        api_visibility="private",
        show_progress="minimal",
        show_progress_on=page.ground,
        preprocess=False,
        trigger_mode="always_last",
        **_LANE,
    )


def _nothing(page: MetricsPage) -> Updates:
    return {
        page.empty: present_metrics.empty_html(None),
        page.ground: "",
        page.labeled: gr.update(visible=False),
        page.drift_card: gr.update(visible=False),
    }


def _first_part(page: MetricsPage, shown: Overview) -> Updates:
    """What rows alone tell."""
    has_labels = bool(shown.labeled.decided)
    return {
        page.empty: "" if has_labels else present_metrics.empty_html(shown),
        page.ground: present_metrics.ground_html(shown),
        page.labeled: gr.update(visible=has_labels),
        page.rates: present_metrics.rates_html(shown),
        page.sweep: None if shown.sweep is None else charts.sweep_figure(shown.sweep),
        page.metrics: present_metrics.metrics_html(shown, None),
        page.roc: charts.roc_figure(shown.by_score, None),
        page.precision_recall: charts.precision_recall_figure(shown.by_score, None),
        page.overlap: charts.overlap_figure(None),
        page.agreement: present_metrics.agreement_html(shown.agreement),
        page.drift_card: gr.update(visible=True),
        page.drift: present_metrics.drift_html(shown.drift),
        page.drift_chart: charts.drift_figure(shown.drift),
    }


def _second_part(page: MetricsPage, shown: Overview, ranking: FullRanking) -> Updates:
    """What maps and masks add."""
    return {
        page.metrics: present_metrics.metrics_html(shown, ranking),
        page.roc: charts.roc_figure(ranking.images, ranking.pixels),
        page.precision_recall: charts.precision_recall_figure(ranking.images, ranking.pixels),
        page.overlap: charts.overlap_figure(ranking.pixels),
    }


def _half(page: MetricsPage, shown: Overview, problem: str) -> Updates:
    """The second part where maps or masks cannot be read."""
    return {
        page.notice: present_metrics.problem_html(problem),
        page.metrics: present_metrics.metrics_html(shown, None, is_waiting=False),
    }
