"""The Calibrate page at work: good parts are measured, limits placed, moved and tried on, then put in force.

Whatever is tried on stays on this page until it is saved. Measuring is `workflow.calibrating`'s, counting
`workflow.limit_overview`'s business.
"""

from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

import gradio as gr

from mambaad_demo.errors import DemoError, InputError
from mambaad_demo.hub.schemas import Rates
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.storage import limits
from mambaad_demo.storage.limits import Rejudged
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.ui import limit_trials, present, present_calibrate
from mambaad_demo.ui.allowance import counted
from mambaad_demo.ui.calibrate_page import CalibratePage, draw_calibrate_page
from mambaad_demo.ui.desk import SOMEBODY, Desk
from mambaad_demo.ui.dropdowns import relisted
from mambaad_demo.ui.inspect_tab import Updates
from mambaad_demo.ui.limit_trials import Trial
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.present_calibrate_figure import histogram_figure
from mambaad_demo.ui.uploads import uploaded_path
from mambaad_demo.workflow import calibrating
from mambaad_demo.workflow.batches import Progress
from mambaad_demo.workflow.calibrating import Measured
from mambaad_demo.workflow.limit_overview import Overview, overview, standing_limits

_LANE: dict[str, Any] = {"concurrency_id": "calibrating", "concurrency_limit": 1}
"""Measurements wait for each other; whoever inspects a picture waits for a few of them at the most."""


def build_calibrate_tab(desk: Desk, *, tab: gr.Tab) -> CalibratePage:
    """Draw the Calibrate page into the surrounding tab and wire it.

    Args:
        desk: the store and the checkpoints.
        tab: opening it shows the limits in force.
    """
    page = draw_calibrate_page(desk.catalog.names())

    def chosen(checkpoint: object, tiles: object) -> Predictor:
        if not checkpoint:
            raise InputError("Choose a checkpoint first.")
        return desk.catalog.predictor(str(checkpoint)).tiled(limit_trials.whole(tiles))

    def show(workspace: Workspace, predictor: Predictor, category: str, trial: Trial | None) -> Updates:
        """The page for a category, with limits that are tried on or those in force."""
        seen = overview(workspace, predictor, category, None if trial is None else trial.measured)
        return {page.tried: trial, **_shown(page, seen)}

    def rates_behind(
        workspace: Workspace, predictor: Predictor, category: str, trial: Trial | None
    ) -> Updates:
        """The rates that limits aim at, in their fields; as they are where there are no limits."""
        standing = standing_limits(workspace, predictor, category) if trial is None else trial.measured
        if standing is None:
            return {}
        rates = standing.calibration.rates
        return {
            page.check_rate: round(100 * rates.check, 6),
            page.reject_rate: round(100 * rates.reject, 6),
        }

    def nothing() -> Updates:
        """The page before a product is chosen."""
        return {page.tried: None, **_empty(page)}

    def open_page(
        trial: Trial | None, checkpoint: object, category: object, tiles: object, request: gr.Request
    ) -> Updates:
        """What is chosen, with the limits that are tried on for it, else those in force."""
        with shown_to_user():
            workspace = desk.workspace(request)
            names = desk.catalog.names()
            name = checkpoint if checkpoint in names else next(iter(names), None)
            if name is None:
                raise InputError("There is no checkpoint here that could be calibrated.")
            predictor = chosen(name, tiles)
            known = limit_trials.categories(workspace, predictor)
            wanted = limit_trials.meant(category, known)
            kept = None if limit_trials.at_hand(trial, predictor, wanted) is None else trial
            cleared: Updates = {page.notice: "", page.saved: "", page.progress: ""}
            controls: Updates = {
                page.checkpoint: relisted(names, checkpoint, name),
                page.category: relisted(present.named(known), category, wanted or None),
            }
            if not wanted:
                return {**cleared, **controls, **nothing()}
            shown = show(workspace, predictor, wanted, kept)
            return {**cleared, **controls, **shown, **rates_behind(workspace, predictor, wanted, kept)}

    def choose_checkpoint(checkpoint: object, category: object, request: gr.Request) -> Updates:
        with shown_to_user():
            tiles = chosen(checkpoint, 1).checkpoint.config.tiles
            return {page.tiles: tiles, **open_page(None, checkpoint, category, tiles, request)}

    def discard(checkpoint: object, category: object, tiles: object, request: gr.Request) -> Updates:
        return open_page(None, checkpoint, category, tiles, request)

    def measure(
        uploads: list[dict[str, Any]] | None,
        checkpoint: object,
        category: object,
        tiles: object,
        check_rate: object,
        reject_rate: object,
        request: gr.Request,
    ) -> Iterator[Updates]:
        def steps(workspace: Workspace, predictor: Predictor, rates: Rates) -> Generator[Progress | Measured]:
            files = [path for path in map(uploaded_path, uploads or []) if path is not None]
            if not files:
                raise InputError("Choose photos of good parts or a zip file first.")
            return calibrating.measure_photos(predictor, files, str(category or ""), rates=rates)

        yield from run(steps, checkpoint, category, tiles, check_rate, reject_rate, request)

    def use_labels(
        checkpoint: object,
        category: object,
        tiles: object,
        check_rate: object,
        reject_rate: object,
        request: gr.Request,
    ) -> Iterator[Updates]:
        def steps(workspace: Workspace, predictor: Predictor, rates: Rates) -> Generator[Progress | Measured]:
            predictor = limits.in_force(workspace, predictor)
            return calibrating.measure_labeled(workspace, predictor, str(category or ""), rates=rates)

        yield from run(steps, checkpoint, category, tiles, check_rate, reject_rate, request)

    def run(
        steps: Callable[[Workspace, Predictor, Rates], Generator[Progress | Measured]],
        checkpoint: object,
        category: object,
        tiles: object,
        check_rate: object,
        reject_rate: object,
        request: gr.Request,
    ) -> Iterator[Updates]:
        """Measure, telling how far that is, then try on what comes out."""
        with shown_to_user():
            free = working(False)
            try:
                workspace = desk.workspace(request)
                predictor = chosen(checkpoint, tiles)
                rates = limit_trials.rates_of(check_rate, reject_rate)
                free |= labels_button(workspace, predictor, category)
                for step in counted(steps(workspace, predictor, rates), times=predictor.tiles**2):
                    if isinstance(step, Measured):
                        trial = Trial.of(predictor, step)
                        yield {
                            page.files: None,
                            page.progress: present_calibrate.left_out_html(step),
                            **free,
                            **show(workspace, predictor, step.category, trial),
                        }
                    else:
                        cleared = {page.notice: "", page.saved: ""}
                        yield {
                            page.progress: present_calibrate.progress_html(step),
                            **cleared,
                            **working(True),
                        }
            except Exception as error:
                problem = str(error) if isinstance(error, DemoError) else ""
                yield {
                    page.notice: present_calibrate.notice_html(problem),
                    page.progress: "",
                    **free,
                }
                if not problem:
                    raise

    def working(is_working: bool) -> Updates:
        """What is measured stays chosen while it is; whether labels can be used is `labels_button`'s to say
        afterwards."""
        resting = (page.checkpoint, page.category, page.tiles, page.measure)
        return {
            **dict.fromkeys(resting, gr.update(interactive=not is_working)),
            page.stop: gr.update(interactive=is_working),
            **({page.labeled: gr.update(interactive=False)} if is_working else {}),
        }

    def labels_button(workspace: Workspace, predictor: Predictor, category: object) -> Updates:
        name = limits.category_name(str(category or ""))
        good = calibrating.good_pictures(workspace, limits.in_force(workspace, predictor), name)
        return {page.labeled: gr.update(interactive=bool(good))}

    def say_stopped(checkpoint: object, category: object, tiles: object, request: gr.Request) -> Updates:
        with shown_to_user():
            button = labels_button(desk.workspace(request), chosen(checkpoint, tiles), category)
            return {page.progress: present_calibrate.progress_html(None), **working(False), **button}

    def change(
        trial: Trial | None,
        checkpoint: object,
        category: object,
        tiles: object,
        request: gr.Request,
        how: Callable[[Measured], Measured],
    ) -> Updates:
        """Try on other limits for the good parts at hand."""
        workspace = desk.workspace(request)
        predictor = chosen(checkpoint, tiles)
        name = limits.category_name(str(category or ""))
        start = limit_trials.at_hand(trial, predictor, name) or standing_limits(workspace, predictor, name)
        if start is None:
            raise InputError("There are no limits to move yet. Measure good photos first.")
        changed = how(start)
        if changed == start:
            return {page.saved: ""}
        other = Trial.of(predictor, changed)
        return {page.saved: "", **show(workspace, predictor, name, other)}

    def place(
        trial: Trial | None,
        checkpoint: object,
        category: object,
        tiles: object,
        check_rate: object,
        reject_rate: object,
        request: gr.Request,
    ) -> Updates:
        with shown_to_user():
            rates = limit_trials.rates_of(check_rate, reject_rate)
            how = partial(calibrating.placed, rates=rates)
            return change(trial, checkpoint, category, tiles, request, how)

    def move_check(
        trial: Trial | None,
        checkpoint: object,
        category: object,
        tiles: object,
        value: object,
        request: gr.Request,
    ) -> Updates:
        with shown_to_user():
            limit = limit_trials.number(value)
            how = partial(limit_trials.check_moved, limit=limit)
            return change(trial, checkpoint, category, tiles, request, how)

    def move_reject(
        trial: Trial | None,
        checkpoint: object,
        category: object,
        tiles: object,
        value: object,
        request: gr.Request,
    ) -> Updates:
        with shown_to_user():
            limit = limit_trials.number(value)
            how = partial(limit_trials.reject_moved, limit=limit)
            return change(trial, checkpoint, category, tiles, request, how)

    def try_earlier(
        number: object, checkpoint: object, category: object, tiles: object, request: gr.Request
    ) -> Updates:
        with shown_to_user():
            workspace = desk.workspace(request)
            predictor = chosen(checkpoint, tiles)
            name = limits.category_name(str(category or ""))
            for entry in limits.history(workspace, predictor, name):
                if entry.id == number and entry.calibration is not None:
                    measured = Measured(
                        category=name,
                        tiles=predictor.tiles,
                        calibration=entry.calibration,
                        source=entry.source,
                        is_moved=entry.is_moved,
                    )
                    trial = Trial.of(predictor, measured)
                    shown = show(workspace, predictor, name, trial)
                    return {page.saved: "", **shown, **rates_behind(workspace, predictor, name, trial)}
            raise InputError("These limits are no longer here. Load the page again.")

    def save(trial: Trial | None, note: str, request: gr.Request) -> Iterator[Updates]:
        with shown_to_user():
            if trial is None:
                raise InputError("There is nothing to save: these limits are in force.")
            workspace = desk.workspace(request)
            predictor = desk.catalog.predictor(trial.checkpoint).tiled(trial.measured.tiles)
            if not trial.is_of(predictor):
                raise InputError(f"Meanwhile {trial.checkpoint} was replaced. Measure the good parts again.")
            steps = calibrating.put_in_force(
                workspace, predictor, trial.measured, actor=SOMEBODY, note=str(note or "")
            )
            category = trial.measured.category
            yield from kept(steps, workspace, predictor, category, is_of_visit=desk.is_private)

    def take_back(
        checkpoint: object, category: object, tiles: object, note: str, request: gr.Request
    ) -> Iterator[Updates]:
        with shown_to_user():
            workspace = desk.workspace(request)
            predictor = chosen(checkpoint, tiles)
            name = limits.category_name(str(category or ""))
            steps = calibrating.take_back(workspace, predictor, name, actor=SOMEBODY, note=str(note or ""))
            yield from kept(steps, workspace, predictor, name)

    def kept(
        steps: Generator[Progress | Rejudged],
        workspace: Workspace,
        predictor: Predictor,
        category: str,
        *,
        is_of_visit: bool = False,
    ) -> Iterator[Updates]:
        """The limits are in force with the first step; the rest draws regions."""
        is_shown = False
        for step in steps:
            if isinstance(step, Rejudged):
                yield {page.saved: present_calibrate.saved_html(step, is_of_visit=is_of_visit)}
                continue
            shown = {} if is_shown else {page.note: "", **show(workspace, predictor, category, None)}
            is_shown = True
            yield {page.saved: present_calibrate.drawing_html(step, is_of_visit=is_of_visit), **shown}

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "preprocess": False}
    where = [page.checkpoint, page.category, page.tiles]
    view = [
        page.tried,
        page.summary,
        page.figure,
        page.check,
        page.reject,
        page.numbers,
        page.history,
        page.earlier,
        page.take_back,
        page.place,
        page.save,
        page.discard,
        page.labeled,
    ]
    cleared = [page.notice, page.saved, page.progress]
    rates = [page.check_rate, page.reject_rate]
    opened = [*cleared, page.checkpoint, page.category, *rates, *view]
    gr.on(
        [tab.select, page.category.input, page.tiles.submit, page.tiles.blur],
        open_page,
        [page.tried, *where],
        opened,
        queue=False,
        **private,
    )
    page.discard.click(discard, where, opened, queue=False, **private)
    page.checkpoint.input(
        choose_checkpoint, [page.checkpoint, page.category], [page.tiles, *opened], **private
    )
    busy = [*where, page.measure, page.stop]
    measuring = [page.files, *busy, *cleared, *view]
    lane = {**private, **_LANE}
    runs: list[Any] = [
        page.measure.click(measure, [page.files, *where, *rates], measuring, **lane),
        page.labeled.click(use_labels, [*where, *rates], measuring, **lane),
    ]
    page.stop.click(
        say_stopped, where, [page.progress, page.labeled, *busy], cancels=runs, queue=False, **private
    )
    live: dict[str, Any] = {**private, "queue": False, "trigger_mode": "always_last"}
    moving = [page.saved, *view]
    gr.on(
        [page.place.click, page.check_rate.submit, page.reject_rate.submit],
        place,
        [page.tried, *where, *rates],
        moving,
        **live,
    )
    for slider, move in ((page.check, move_check), (page.reject, move_reject)):
        gr.on([slider.release, slider.input], move, [page.tried, *where, slider], moving, **live)
    page.earlier.input(try_earlier, [page.earlier, *where], [*rates, *moving], queue=False, **private)
    page.save.click(save, [page.tried, page.note], [page.note, *moving], **private)
    page.take_back.click(take_back, [*where, page.note], [page.note, *moving], **private)
    return page


def _shown(page: CalibratePage, seen: Overview) -> Updates:
    has_limits = seen.calibration is not None
    is_tried = not seen.is_in_force
    step, (low, high) = limit_trials.slider(seen.range)
    sliders = {
        slider: gr.update(
            minimum=low,
            maximum=high,
            step=step,
            value=limit_trials.on_slider(value or low, step),
            interactive=has_limits,
        )
        for slider, value in ((page.check, seen.limits.check), (page.reject, seen.limits.reject))
    }
    was_set = bool(seen.history) and seen.history[0].calibration is not None
    return {
        page.summary: present_calibrate.summary_html(seen),
        page.figure: histogram_figure(seen),
        **sliders,
        page.numbers: present_calibrate.numbers_html(seen),
        page.history: present_calibrate.history_html(seen),
        page.earlier: gr.update(choices=present_calibrate.earlier_choices(seen.history), value=None),
        page.take_back: gr.update(interactive=was_set),
        page.place: gr.update(interactive=has_limits),
        page.save: gr.update(interactive=is_tried),
        page.discard: gr.update(interactive=is_tried),
        page.labeled: gr.update(
            value=present_calibrate.labeled_text(seen.labeled_good), interactive=seen.labeled_good > 0
        ),
    }


def _empty(page: CalibratePage) -> Updates:
    off = gr.update(interactive=False)
    return {
        page.summary: present_calibrate.summary_html(None),
        page.figure: None,
        page.numbers: "",
        page.history: "",
        page.earlier: gr.update(choices=[], value=None),
        **dict.fromkeys(
            (
                page.check,
                page.reject,
                page.take_back,
                page.place,
                page.save,
                page.discard,
                page.labeled,
            ),
            off,
        ),
    }
