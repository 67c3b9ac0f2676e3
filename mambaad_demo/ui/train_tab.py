"""The Train page at work: good photos are looked at, a training starts, its curves grow, a version comes out.

Training is the runner's, in processes of its own; the page only shows what lies in the store and in the
folder of the job, so a closed tab changes nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import gradio as gr

from mambaad_demo.data.picture_sets import GoodSet
from mambaad_demo.errors import DemoError, InputError
from mambaad_demo.pipeline.augmentation import Augmentation, variant_count
from mambaad_demo.storage.jobs import RESUMABLE, UNFINISHED, JobFacts
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.ui import present_preflight, present_train, present_version
from mambaad_demo.ui.assets import text
from mambaad_demo.ui.desk import SOMEBODY, Desk
from mambaad_demo.ui.dropdowns import relisted, still
from mambaad_demo.ui.good_photos import good_photos, without
from mambaad_demo.ui.good_set_look import Look, Pace, look_at, pace
from mambaad_demo.ui.inspect_tab import Updates
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.promotion_card import build_promotion_card
from mambaad_demo.ui.train_page import OWN, TrainPage, draw_train_page
from mambaad_demo.ui.training_requests import (
    category_name,
    changes_of,
    chosen_training,
    files_of,
    go_on,
    minutes_of,
    product_choices,
    refusal,
    require_allowed,
    share,
    start_training,
    training_spec,
)
from mambaad_demo.workflow.training.status import TrainingStatus, previews_of

LOOK_LANE: dict[str, Any] = {"concurrency_id": "preflight", "concurrency_limit": 1}
"""Good sets are looked at one after the other, also for programs that ask."""
MEASURE_LANE: dict[str, Any] = {"concurrency_id": "warmup", "concurrency_limit": 1}
"""Two trial runs at once would measure each other."""
SURE = (
    "(...values) => { if (!confirm('Delete this training, its photos and all it learned? A version that was "
    "made of it stays.')) throw new Error('kept'); return values; }"
)


def build_train_tab(
    desk: Desk, *, tab: gr.Tab, delete_version: Callable[[str], None] | None = None
) -> TrainPage:
    """Draw the Train page into the surrounding tab and wire it.

    Args:
        desk: the store, the checkpoints and the runner of trainings.
        tab: opening it shows the newest training.
        delete_version: as for `build_promotion_card`.
    """
    page = draw_train_page(desk.catalog.names(), refusal=refusal(desk))
    with page.results:
        promotion = build_promotion_card(desk, tab=tab, delete_version=delete_version)

    # The good set

    def look(
        uploads: list[dict[str, Any]] | None,
        product: str | None,
        checkpoint: str,
        is_taught: bool,
        request: gr.Request,
    ) -> Iterator[Updates]:
        with shown_to_user():
            try:
                good = photos_of(uploads, product, is_taught, request)
                predictor = desk.catalog.predictor(checkpoint)
                yield {**forget_look(), **looking(True)}
                for step in look_at(predictor, good.pictures):
                    if isinstance(step, Look):
                        found = step
                    else:
                        yield {page.preflight: present_preflight.progress_html(step)}
                yield {**looked(found, good), **looking(False)}
            except Exception as error:
                problem = str(error) if isinstance(error, DemoError) else ""
                notice = present_train.notice_html(problem, title="Not looked at.")
                yield {**forget_look(), **looking(False), page.notice: notice}
                if not problem:
                    raise

    def looking(is_looking: bool) -> Updates:
        """What a report speaks of stays as it is while it is written."""
        return {
            one: gr.update(interactive=not is_looking)
            for one in (page.files, page.product, page.checkpoint, page.taught, page.look)
        }

    def looked(found: Look, good: GoodSet) -> Updates:
        can_train = found.report.can_train
        return {
            page.preflight: present_preflight.report_html(found, notes=good.notes),
            page.estimate: present_preflight.estimate_html(None, None, is_measuring=can_train),
            page.start: gr.update(interactive=can_train),
            page.can_train: can_train,
        }

    def measure(
        can_train: bool,
        uploads: list[dict[str, Any]] | None,
        product: str | None,
        checkpoint: str,
        is_taught: bool,
        budget: str,
        minutes: float,
        is_flipped: bool,
        is_rotated: bool,
        varies_brightness: bool,
        request: gr.Request,
    ) -> Updates:
        with shown_to_user():
            if not can_train:
                return {page.pace: None}
            try:
                good = photos_of(uploads, product, is_taught, request)
                found = pace(desk.catalog.predictor(checkpoint), good.pictures)
            except DemoError as error:
                return {page.estimate: present_preflight.estimate_html(None, None, problem=str(error))}
            changes = changes_of(is_flipped, is_rotated, varies_brightness)
            return {page.pace: found, **estimated(found, budget, minutes, changes)}

    def photos_of(
        uploads: list[dict[str, Any]] | None, product: object, is_taught: bool, request: gr.Request
    ) -> GoodSet:
        require_allowed(desk)
        taught = category_name(product) if is_taught else None
        return good_photos(desk.workspace(request), files_of(uploads), taught=taught)

    def forget_look() -> Updates:
        return {
            page.preflight: "",
            page.notice: "",
            page.pace: None,
            page.estimate: present_preflight.estimate_html(None, None),
            page.start: gr.update(interactive=False),
            page.can_train: False,
        }

    def rename(is_taught: bool) -> Updates:
        """Parts that were taught belong to a product; of another one nobody has looked at them."""
        return forget_look() if is_taught else {page.notice: ""}

    def budget_chosen(
        budget: str,
        minutes: float,
        is_flipped: bool,
        is_rotated: bool,
        varies_brightness: bool,
        found: Pace | None,
    ) -> Updates:
        with shown_to_user():
            changes = changes_of(is_flipped, is_rotated, varies_brightness)
            return {
                page.minutes: gr.update(visible=budget == OWN),
                **estimated(found, budget, minutes, changes),
            }

    def estimated(
        found: Pace | None, budget: str, minutes: float, changes: Sequence[Augmentation]
    ) -> Updates:
        words = present_preflight.estimate_html(
            found, minutes_of(budget, minutes), variants=variant_count(changes)
        )
        return {page.estimate: words}

    def start(
        left_out: list[str] | None,
        uploads: list[dict[str, Any]] | None,
        product: str | None,
        checkpoint: str,
        is_taught: bool,
        budget: str,
        minutes: float,
        is_flipped: bool,
        is_rotated: bool,
        varies_brightness: bool,
        reject_percent: float,
        request: gr.Request,
    ) -> Updates:
        with shown_to_user():
            try:
                require_allowed(desk)
                workspace = desk.workspace(request)
                spec = training_spec(
                    checkpoint,
                    product,
                    minutes=minutes_of(budget, minutes),
                    augmentations=changes_of(is_flipped, is_rotated, varies_brightness),
                    reject_rate=share(reject_percent),
                )
                good = photos_of(uploads, product, is_taught, request)
                photos = without(good.pictures, set(left_out or []))
                job_id = start_training(desk, workspace, spec, photos)
            except DemoError as error:
                return {page.notice: present_train.notice_html(str(error))}
            return {**forget_look(), **show(workspace, job_id)}

    # The job

    def show(workspace: Workspace, job_id: str | None) -> Updates:
        """The page for a training, or for the newest one."""
        known = desk.trainings.trainings(workspace)
        job = next((job for job in known if job.id == job_id), known[0] if known else None)
        status = None if job is None else desk.trainings.status(workspace, job.id)
        choices = listed(known)
        return {
            page.job_row: gr.update(visible=bool(known)),
            page.training: gr.update(choices=choices, value=None if job is None else job.id),
            **follow(status, drawn=""),
            page.log_box: gr.update(open=False),
            page.log: "",
        }

    def listed(known: list[JobFacts]) -> list[tuple[str, str]]:
        positions = {job.id: desk.trainings.queue_position(job.id) for job in known}
        return present_train.training_choices(known, positions)

    def follow(status: TrainingStatus | None, *, drawn: str) -> Updates:
        """What changes while a training runs; curves and pictures only where they differ from those drawn."""
        is_at_work = status is not None and status.job.state in UNFINISHED
        is_at_rest = status is not None and not is_at_work
        updates: Updates = {
            page.status: present_train.status_html(status),
            page.timer: gr.Timer(active=is_at_work),
            page.stop: gr.update(interactive=is_at_work),
            page.resume: gr.update(interactive=status is not None and status.job.state in RESUMABLE),
            page.finish: gr.update(interactive=status is not None and status.can_finish),
            page.delete: gr.update(interactive=is_at_rest),
        }
        mark = "" if status is None else present_train.drawn_mark(status)
        return updates if mark == drawn and drawn else {**updates, page.drawn: mark, **pictured(status)}

    def pictured(status: TrainingStatus | None) -> Updates:
        has_curves = status is not None and bool(status.steps or status.validations)
        return {
            page.curves_card: gr.update(visible=status is not None),
            page.curves: gr.update(
                value=present_train.curves_figure(status) if status is not None and has_curves else None,
                visible=has_curves,
            ),
            page.previews: present_train.previews_html([] if status is None else previews_of(status)),
            page.result: "" if status is None else present_version.result_html(status.version, status.report),
        }

    def open_page(job_id: str | None, checkpoint: str | None, request: gr.Request) -> Updates:
        with shown_to_user():
            workspace = desk.workspace(request)
            names = desk.catalog.names()
            return {
                page.product: gr.update(choices=product_choices(workspace)),
                page.checkpoint: relisted(names, checkpoint, still(checkpoint, names)),
                **show(workspace, job_id),
            }

    def choose(job_id: str | None, request: gr.Request) -> Updates:
        with shown_to_user():
            workspace = desk.workspace(request)
            return {
                **show(workspace, job_id),
                **preselected(desk.trainings.status(workspace, chosen_training(job_id))),
            }

    def preselected(status: TrainingStatus) -> Updates:
        """The finished version on the promotion card."""
        if status.version is None:
            return {}
        return promotion.show(status.version, status.job.spec["finetune"]["category"])

    def tick(job_id: str | None, drawn: str, request: gr.Request) -> Updates:
        with shown_to_user():
            if job_id is None:
                return {page.timer: gr.Timer(active=False)}
            workspace = desk.workspace(request)
            try:
                status = desk.trainings.status(workspace, job_id)
            except InputError:  # deleted in another tab
                return show(workspace, None)
            updates = follow(status, drawn=drawn)
            if page.drawn in updates:  # its word in the list may be another one too
                choices = listed(desk.trainings.trainings(workspace))
                updates |= {page.training: gr.update(choices=choices), **preselected(status)}
            return updates

    def acting(act: Callable[[Workspace, str], None], job_id: str | None, request: gr.Request) -> Updates:
        """Do something to the chosen training, and show what came of it."""
        with shown_to_user():
            workspace = desk.workspace(request)
            try:
                act(workspace, chosen_training(job_id))
            except DemoError as error:
                return {page.notice: present_train.notice_html(str(error), title="That did not work.")}
            return {page.notice: "", **show(workspace, job_id)}

    def stop(job_id: str | None, request: gr.Request) -> Updates:
        return acting(desk.trainings.stop, job_id, request)

    def resume(job_id: str | None, request: gr.Request) -> Updates:
        return acting(partial(go_on, desk, desk.trainings.resume), job_id, request)

    def finish(job_id: str | None, request: gr.Request) -> Updates:
        return acting(partial(go_on, desk, desk.trainings.finish), job_id, request)

    def delete(job_id: str | None, request: gr.Request) -> Updates:
        def discard(workspace: Workspace, job_id: str) -> None:
            desk.trainings.discard(workspace, job_id, actor=SOMEBODY)

        return acting(discard, job_id, request)

    def read_log(job_id: str | None, request: gr.Request) -> Updates:
        with shown_to_user():
            if job_id is None:
                return {page.log: present_train.log_html("")}
            return {
                page.log: present_train.log_html(desk.trainings.log_tail(desk.workspace(request), job_id))
            }

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "preprocess": False}
    good_set = [page.files, page.product, page.checkpoint, page.taught]
    time = [page.budget, page.minutes]
    changes = [page.flip, page.rotate, page.brightness]
    unlooked = [page.preflight, page.notice, page.pace, page.estimate, page.start, page.can_train]
    chosen = [promotion.version, promotion.category]
    buttons = [page.stop, page.resume, page.finish, page.delete]
    pictures = [page.drawn, page.curves_card, page.curves, page.previews, page.result]
    working = [page.status, page.timer, *buttons, *pictures]
    shows = [page.job_row, page.training, page.log_box, page.log, *working]
    page.look.click(
        look,
        good_set,
        [*unlooked, *good_set, page.look],
        **private | LOOK_LANE | {"show_progress": "minimal", "show_progress_on": page.notice},
    ).success(
        measure,
        [page.can_train, *good_set, *time, *changes],
        [page.pace, page.estimate],
        **private | MEASURE_LANE,
    )
    gr.on(
        [page.files.upload, page.files.clear, page.files.delete, page.checkpoint.input, page.taught.input],
        forget_look,
        None,
        unlooked,
        queue=False,
        **private,
    )
    page.product.input(rename, page.taught, unlooked, queue=False, **private)
    gr.on(
        [page.budget.input, page.minutes.input, *(box.input for box in changes)],
        budget_chosen,
        [*time, *changes, page.pace],
        [page.minutes, page.estimate],
        queue=False,
        **private,
    )
    page.start.click(
        start,
        [page.left_out, *good_set, *time, *changes, page.reject_percent],
        [*unlooked, *shows],
        js=text("train_start.js"),
        **private,
    )
    tab.select(
        open_page,
        [page.training, page.checkpoint],
        [page.product, page.checkpoint, *shows],
        queue=False,
        **private,
    )
    page.training.input(choose, page.training, [*shows, *chosen], queue=False, **private)
    page.timer.tick(
        tick,
        [page.training, page.drawn],
        [*shows, *chosen],
        trigger_mode="once",
        queue=False,
        **private,
    )
    noticed = [page.notice, *shows]
    page.stop.click(stop, page.training, noticed, queue=False, **private)
    page.resume.click(resume, page.training, noticed, **private)
    page.finish.click(finish, page.training, noticed, **private)
    page.delete.click(delete, page.training, noticed, js=SURE, **private)
    page.log_box.expand(read_log, page.training, page.log, queue=False, **private)
    return page
