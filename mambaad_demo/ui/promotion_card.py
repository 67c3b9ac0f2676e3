"""The card that tries a version on the golden set, promotes it, takes that back, and discards others.

It may stand on any page. What the golden set says is `workflow.promotion`'s business.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import gradio as gr

from mambaad_demo.errors import DemoError, InputError
from mambaad_demo.pipeline.set_comparison import Progress
from mambaad_demo.storage import text
from mambaad_demo.storage.limits import in_force
from mambaad_demo.storage.promotions import NOTHING
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.ui import present, present_promotion
from mambaad_demo.ui.allowance import take_pictures
from mambaad_demo.ui.desk import SOMEBODY, Desk
from mambaad_demo.ui.dropdowns import relisted
from mambaad_demo.ui.inspect_tab import Updates
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.present_batch import thumbnail_uri
from mambaad_demo.ui.promotion_controls import (
    PROMOTE,
    PROMOTE_ANYWAY,
    PromotionCard,
    draw_promotion_card,
)
from mambaad_demo.workflow import promotion
from mambaad_demo.workflow.golden_set import golden_counts
from mambaad_demo.workflow.promotion import Load, Trial

SURE = (
    "(...values) => { if (!confirm('Delete this version for good? Nobody can promote it or roll back to it "
    "any more.')) throw new Error('kept'); return values; }"
)
_LANE: dict[str, Any] = {"concurrency_id": "golden", "concurrency_limit": 1}
"""Replays wait for each other; whoever inspects a picture waits for a few golden ones at the most."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What was tried on which golden set, and what was active then."""

    version: str
    category: str
    product: str
    seen: int = NOTHING
    """Number of the category's newest promotion at that time."""
    escapes: frozenset[str] = frozenset()
    """Hashes of the pictures that were new escapes; a reason covers these alone."""

    def is_of(self, version: object, category: object) -> bool:
        """Whether it is what the page shows as chosen."""
        return (version, category) == (self.version, self.category)


def build_promotion_card(
    desk: Desk, *, tab: gr.Tab, delete_version: Callable[[str], None] | None = None
) -> PromotionCard:
    """Draw the card into the surrounding column and wire it.

    Args:
        desk: the store and the checkpoints.
        tab: opening it lists versions and golden sets anew.
        delete_version: deletes the folder of a version by its name and lets the catalog forget it; None where
            versions are not discarded. Not called where strangers share the server, and with it the versions.
    """

    def show(version: str, category: str | None) -> Updates:
        return {
            card.version: gr.update(choices=version_choices(), value=version),
            card.category: gr.update(choices=present.named([category] if category else []), value=category),
        }

    card = draw_promotion_card(show, can_discard=delete_version is not None and not desk.is_private)

    def version_choices() -> list[str]:
        return present_promotion.version_choices(desk.catalog.names(), desk.catalog.own_names())

    def loader(workspace: Workspace) -> Load:
        return lambda name: in_force(workspace, desk.catalog.predictor(name))

    def offered(workspace: Workspace, version: str, category: str, product: str) -> Updates:
        """The versions of the moment; the chosen one stays chosen if it is still there."""
        choices = version_choices()
        kept = version if version in choices else next(iter(choices), "")
        return {
            **looked_up(workspace, kept, category, product),
            card.version: relisted(choices, version, kept or None),
        }

    def looked_up(workspace: Workspace, version: str, category: str, product: str) -> Updates:
        """What a version can be promoted for, and how that stands."""
        try:
            categories = loader(workspace)(version).categories if version else ()
            problem = ""
        except DemoError as error:
            categories, problem = (), str(error)
        learned = -1 if version in desk.catalog.own_names() else 0  # a version's own category comes last
        kept = category if category in categories else (categories[learned] if categories else "")
        return {
            card.category: relisted(present.named(categories), category, kept or None),
            card.notice: present_promotion.problem_html(problem),
            **standing(workspace, version, kept, product if kept == category else "", sent=product),
        }

    def standing(
        workspace: Workspace, version: str, category: str, product: str, *, sent: str = ""
    ) -> Updates:
        """What is active, what the golden set holds, what was decided before; `sent` is the product that the
        page shows, where it says so."""
        counts = golden_counts(workspace)
        steps = promotion.history(workspace, category) if category else []
        undoing = present_promotion.undoing(steps, desk.catalog.names())
        is_active = bool(steps) and steps[0].checkpoint == version
        choices = present_promotion.product_choices(counts, category)
        golden = product if product in {name for _, name in choices} else category
        return {
            card.product: relisted(choices, sent, golden or None),
            card.status: present_promotion.status_html(category, golden, steps, counts),
            card.history: present_promotion.history_html(category, steps),
            card.undo: gr.update(value=undoing.label, interactive=undoing.is_possible),
            card.discard: gr.update(interactive=version in desk.catalog.own_names() and not is_active),
            card.try_out: gr.update(interactive=bool(version and category)),
            card.seen: steps[0].id if steps else NOTHING,
        }

    def undecidable() -> Updates:
        """Nothing is tried that could be promoted."""
        return {
            card.tried: None,
            card.promote: gr.update(value=PROMOTE, interactive=False),
            card.reason: gr.update(visible=False, value=""),
        }

    def decidable(workspace: Workspace, trial: Trial, asked: Tried) -> Updates:
        """What the golden set says, and what can be done about it."""
        pairs = present_promotion.shown_pairs(trial.gate)[: present_promotion.MOST_PICTURES]
        thumbnails = {pair.after.sha256: thumbnail_uri(workspace, pair.after.sha256) for pair in pairs}
        blocked = trial.gate.is_blocked
        return {
            card.result: present_promotion.trial_html(trial, thumbnails),
            card.tried: replace(
                asked,
                seen=trial.seen,
                escapes=frozenset(pair.after.sha256 for pair in trial.gate.new_escapes),
            ),
            card.promote: gr.update(value=PROMOTE_ANYWAY if blocked else PROMOTE, interactive=True),
            card.reason: gr.update(visible=blocked),
        }

    def working(is_working: bool) -> Updates:
        return {
            one: gr.update(interactive=not is_working)
            for one in (card.version, card.category, card.product, card.try_out)
        }

    def followed(
        steps: Generator[Progress | Trial, None, Result], workspace: Workspace, asked: Tried
    ) -> Generator[Updates, None, Result]:
        """Show progress and the trial on the way; returns what comes out in the end."""
        is_counted = False
        while True:
            try:
                told = next(steps)
            except StopIteration as end:
                result: Result = end.value
                return result
            if isinstance(told, Trial):
                yield decidable(workspace, told, asked)
            else:
                if not is_counted:
                    take_pictures(told.total)
                    is_counted = True
                yield {card.result: present_promotion.progress_html(told, asked.version)}

    def guarded(steps: Iterator[Updates], *, is_tried: bool) -> Iterator[Updates]:
        """Free the buttons whatever happens."""
        with shown_to_user():
            try:
                yield from steps
            except Exception as error:
                problem = str(error) if isinstance(error, DemoError) else ""
                notice = present_promotion.problem_html(problem)
                yield {**working(False), card.notice: notice, card.promote: gr.update(interactive=is_tried)}
                if not problem:
                    raise

    def open_page(
        version: object,
        category: object,
        product: object,
        actor: object,
        remembered: object,
        request: gr.Request,
    ) -> Updates:
        with shown_to_user():
            workspace = desk.workspace(request)
            return {
                **offered(workspace, words(version), words(category), words(product)),
                card.actor: words(actor) or words(remembered),
            }

    def choose_version(version: object, category: object, product: object, request: gr.Request) -> Updates:
        with shown_to_user():
            found = looked_up(desk.workspace(request), words(version), words(category), words(product))
            return {**found, **undecidable(), card.result: ""}

    def choose_category(version: object, category: object, request: gr.Request) -> Updates:
        with shown_to_user():
            found = standing(desk.workspace(request), words(version), words(category), "")
            return {**found, **undecidable(), card.result: ""}

    def catch_up(version: object, category: object, product: object, request: gr.Request) -> Updates:
        """How the choice of this moment stands, where a slow answer was about an earlier one."""
        with shown_to_user():
            workspace, known = desk.workspace(request), words(product)
            return standing(workspace, words(version), words(category), known, sent=known)

    def choose_product(version: object, category: object, product: object, request: gr.Request) -> Updates:
        return {**catch_up(version, category, product, request), **undecidable(), card.result: ""}

    def try_version(
        version: object, category: object, product: object, request: gr.Request
    ) -> Iterator[Updates]:
        def steps() -> Iterator[Updates]:
            workspace, asked = desk.workspace(request), asked_for(version, category, product)
            yield {**working(True), **undecidable(), card.notice: ""}
            load = loader(workspace)
            trial = yield from followed(
                promotion.trying(
                    workspace, load(asked.version), category=asked.category, product=asked.product, load=load
                ),
                workspace,
                asked,
            )
            found = standing(workspace, asked.version, asked.category, asked.product)
            yield {**found, **working(False), **decidable(workspace, trial, asked)}

        yield from guarded(steps(), is_tried=False)

    def promote_version(
        tried: Tried | None,
        version: object,
        category: object,
        note: object,
        reason: object,
        actor: object,
        request: gr.Request,
    ) -> Iterator[Updates]:
        is_tried = tried is not None and tried.is_of(version, category)

        def steps() -> Iterator[Updates]:
            workspace = desk.workspace(request)
            if tried is None or not is_tried:
                other = "" if tried is None else f" What was tried is {tried.version} for {tried.category}."
                raise InputError(f"Try {words(version) or 'a version'} on the golden set first.{other}")
            yield {**working(True), card.promote: gr.update(interactive=False), card.notice: ""}
            load = loader(workspace)
            step = yield from followed(
                promotion.promoting(
                    workspace,
                    load(tried.version),
                    category=tried.category,
                    product=tried.product,
                    note=words(note),
                    override_reason=words(reason),
                    actor=person(actor),
                    load=load,
                    seen=tried.seen,
                    seen_escapes=tried.escapes,
                ),
                workspace,
                tried,
            )
            done = present_promotion.done_html(
                f"{step.checkpoint} is now the active version.", is_private=desk.is_private
            )
            found = standing(workspace, tried.version, tried.category, tried.product)
            yield {**found, **working(False), **undecidable(), card.note: "", card.notice: done}

        yield from guarded(steps(), is_tried=is_tried)

    def roll_back(
        version: object,
        category: object,
        product: object,
        seen: int,
        note: object,
        actor: object,
        request: gr.Request,
    ) -> Updates:
        with shown_to_user():
            workspace = desk.workspace(request)
            try:
                step = promotion.rollback(
                    workspace,
                    words(category),
                    note=words(note),
                    actor=person(actor),
                    load=loader(workspace),
                    seen=seen,
                )
            except DemoError as error:
                return {card.notice: present_promotion.problem_html(str(error))}
            told = present_promotion.rollback_words(step, promotion.skipped(workspace, step))
            done = present_promotion.done_html(told, is_private=desk.is_private)
            found = standing(workspace, words(version), words(category), words(product))
            return {**found, **undecidable(), card.result: "", card.note: "", card.notice: done}

    def discard(
        version: object, category: object, product: object, actor: object, request: gr.Request
    ) -> Updates:
        with shown_to_user():
            workspace, name = desk.workspace(request), words(version)
            try:
                if delete_version is None or desk.is_private or name not in desk.catalog.own_names():
                    raise InputError("Only a version that was fine-tuned here can be discarded.")
                promotion.discard(workspace, name, delete=delete_version, actor=person(actor))
            except DemoError as error:
                return {card.notice: present_promotion.problem_html(str(error))}
            gr.Info(f"{name} is deleted.")  # a notice would go as the next version is chosen
            found = offered(workspace, "", words(category), words(product))
            return {**found, **undecidable(), card.result: ""}

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "preprocess": False}
    running = {**private, **_LANE, "show_progress": "minimal", "show_progress_on": card.result}
    choice = [card.version, card.category, card.product]
    stands = [card.product, card.status, card.history, card.undo, card.discard, card.try_out, card.seen]
    decides = [card.tried, card.promote, card.reason, card.result, card.notice]
    everything = [card.version, card.category, *stands, *decides, card.note]
    tab.select(
        open_page,
        [*choice, card.actor, card.remembered],
        [card.version, card.category, *stands, card.notice, card.actor],
        queue=False,
        **private,
    )
    looked = card.version.change(
        choose_version, choice, [card.category, *stands, *decides], queue=False, **private
    )
    looked.success(catch_up, choice, stands, queue=False, **private)
    card.category.change(
        choose_category, [card.version, card.category], [*stands, *decides], queue=False, **private
    )
    card.product.input(choose_product, choice, [*stands, *decides], queue=False, **private)
    card.try_out.click(try_version, choice, everything, **running)
    card.promote.click(
        promote_version,
        [card.tried, card.version, card.category, card.note, card.reason, card.actor],
        everything,
        **running,
    )
    card.undo.click(roll_back, [*choice, card.seen, card.note, card.actor], everything, **private)
    card.discard.click(discard, [*choice, card.actor], everything, js=SURE, **private)
    return card


def asked_for(version: object, category: object, product: object) -> Tried:
    """What the controls ask for; they may hold anything, since a browser sends them.

    Raises:
        InputError: nothing is chosen.
    """
    if not words(version) or not words(category):
        raise InputError("Choose a version and a product first.")
    return Tried(version=words(version), category=words(category), product=words(product) or words(category))


def words(given: object) -> str:
    """What stands in a control, if it is text."""
    return given if isinstance(given, str) else ""


def person(given: object) -> str:
    """Who decides, as the store has it."""
    return text.name(words(given)) or SOMEBODY
