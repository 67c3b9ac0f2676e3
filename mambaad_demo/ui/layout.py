"""The whole app: its top bar and its tabs in order. What a tab does is the tab's business."""

from typing import Any

import gradio as gr

from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.ui import present
from mambaad_demo.ui.allowance import Allowances
from mambaad_demo.ui.api import build_api
from mambaad_demo.ui.assets import text
from mambaad_demo.ui.batch_tab import build_batch_tab
from mambaad_demo.ui.calibrate_tab import build_calibrate_tab
from mambaad_demo.ui.calibration_api import build_calibration_api
from mambaad_demo.ui.caps import Allowance, Caps, Disk
from mambaad_demo.ui.compare_tab import build_compare_tab
from mambaad_demo.ui.comparing import Comparer
from mambaad_demo.ui.dashboard_api import build_dashboard_api
from mambaad_demo.ui.desk import Desk
from mambaad_demo.ui.health_tab import build_health_tab
from mambaad_demo.ui.inspect_page import fragment
from mambaad_demo.ui.inspect_tab import build_inspect_tab, opening
from mambaad_demo.ui.inspection import Inspector
from mambaad_demo.ui.janitor import kept_files
from mambaad_demo.ui.launch import QUEUE_OPTIONS, delete_cache
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.metrics_tab import build_metrics_tab
from mambaad_demo.ui.publish_card import build_publish_card
from mambaad_demo.ui.review_tab import TAB as REVIEW
from mambaad_demo.ui.review_tab import build_review_tab
from mambaad_demo.ui.samples import SampleShelf
from mambaad_demo.ui.sign_in import SERVER, SignIn
from mambaad_demo.ui.study_card import build_study_card
from mambaad_demo.ui.train_tab import build_train_tab
from mambaad_demo.ui.training_api import build_training_api
from mambaad_demo.ui.uploads import LocalFilesBlocks
from mambaad_demo.ui.visits import Visits, browser_behind
from mambaad_demo.workflow.figures.summary import FigureBook
from mambaad_demo.workflow.service import Retention, Service

TITLE = "MambaAD Inspector"


def build_app(
    catalog: Catalog,
    desk: Desk,
    *,
    retention_minutes: int,
    visits: Visits,
    caps: Caps,
    disk: Disk | None = None,
    service: Service | None = None,
    sign_in: SignIn = SERVER,
    on_space: bool = False,
    needs_storage: bool = False,
) -> gr.Blocks:
    """Assemble the app; the first sample part is inspected on the way, so the default checkpoint gets loaded.

    Args:
        catalog: predictors by name.
        desk: stored work.
        retention_minutes: minutes until a visitor's files are deleted.
        visits: whose is what; the same as `launch_options` takes.
        caps: what one visitor may ask for.
        disk: whether there is room for what is written; None for any amount.
        service: facts of this server; by default one that knows no folders.
        sign_in: in whose name something is sent to the Hub.
        on_space: whether a Hugging Face Space serves it.
        needs_storage: whether the disk lasts no longer than the process unless storage is attached.
    """
    service = service or Service(
        catalog,
        desk.runner,
        desk.trainings,
        places={},
        retention=Retention(uploads_minutes=retention_minutes, stored_work_minutes=None),
    )
    kept: dict[str, Any] = {"retention_minutes": retention_minutes, "needs_storage": needs_storage}
    inspector = Inspector(catalog, SampleShelf(), adjusted=desk.adjusted, default_for=desk.default_for)
    comparer = Comparer(inspector)
    book = FigureBook()
    first = opening(inspector)

    def forget_stored(request: gr.Request) -> None:
        with shown_to_user():
            desk.forget(request)
            if desk.is_private:
                gr.Info("Your batches, labels, limits and studies are deleted too.")

    def files_of(request: gr.Request) -> frozenset[str] | None:
        browser = browser_behind(request)
        return None if browser is None else visits.files_of(browser) - kept_files(app)

    def offer() -> dict[str, Any]:
        """The checkpoints of this moment: versions come and go while pages are open."""
        with shown_to_user():
            update: dict[str, Any] = gr.update(
                choices=present.checkpoint_choices(catalog.names(), desk.active())
            )
            return update

    with LocalFilesBlocks(
        visits=visits,
        requests=Allowance(caps.requests_per_minute, seconds=60),
        unfinished=caps.unfinished_requests,
        allowances=Allowances(caps, disk),
        title=TITLE,
        analytics_enabled=False,
        delete_cache=delete_cache(retention_minutes),
        fill_width=True,
    ) as app:
        with gr.Row(elem_id="top-bar"):
            fragment(text("top_bar.html"), script="top_bar.js")
            chips = fragment(present.chips_html(first.inspection, **kept))
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Inspect", id="inspect") as inspect_tab:
                page = build_inspect_tab(
                    inspector, first, chips=chips, files_of=files_of, on_space=on_space, **kept
                )
            with gr.Tab("Compare", id="compare") as compare_tab:
                compare_page = build_compare_tab(inspector, comparer, tab=compare_tab, inspect_page=page)
            with gr.Tab("Calibrate", id="calibrate") as tab:
                build_calibrate_tab(desk, tab=tab)
            with gr.Tab("Batch", id="batch") as batch_tab:
                batch_page = build_batch_tab(desk, tab=batch_tab)
            with gr.Tab("Review", id=REVIEW) as tab:
                build_review_tab(desk, tabs=tabs, tab=tab, batch_page=batch_page)
            with gr.Tab("Train", id="train") as tab:
                build_train_tab(desk, tab=tab, delete_version=catalog.delete)
            with gr.Tab("Metrics", id="metrics") as tab:
                build_metrics_tab(desk, tab=tab, book=book)
                build_study_card(desk, tab=tab)
            with gr.Tab("Models & Health", id="health") as tab:
                build_health_tab(service, tab=tab)
                build_publish_card(desk, tab=tab, sign_in=sign_in)
        offered = (
            (inspect_tab, page.checkpoint),
            (compare_tab, compare_page.checkpoints),
            (batch_tab, batch_page.checkpoint),
        )
        for tab, choice in offered:
            gr.on([app.load, tab.select], offer, None, choice, api_visibility="private", queue=False)
        page.forget.click(forget_stored, None, None, api_visibility="private", queue=False)
        build_api(inspector, comparer, service)
        build_dashboard_api(desk, book)
        build_calibration_api(desk)
        build_training_api(desk)
    app.queue(**QUEUE_OPTIONS)
    return app
