"""The card that sends a checkpoint, or the labels, to a repository of the Hub: shown first, then sent.

On a Space it is the visitor who signs in and sends in their own name; elsewhere, among people who share their
work, the server's token is used, if the operator gave it one. Strangers elsewhere send nothing.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import gradio as gr

from mambaad_demo.data.temporary import PREFIX
from mambaad_demo.errors import DemoError, InputError
from mambaad_demo.hub.checkpoints import load_folder
from mambaad_demo.hub.publishing import PushPlan, checkpoint_plan, push
from mambaad_demo.hub.self_test import GOLDEN_IMAGES
from mambaad_demo.pipeline import model_thread
from mambaad_demo.storage import labels
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.ui import present, present_publish
from mambaad_demo.ui.allowance import take_pictures, take_room
from mambaad_demo.ui.desk import Desk
from mambaad_demo.ui.dropdowns import relisted, still
from mambaad_demo.ui.inspect_page import fragment
from mambaad_demo.ui.inspect_tab import Updates
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.sign_in import SignIn
from mambaad_demo.workflow.exchange.exporting import ExportKind
from mambaad_demo.workflow.exchange.publishing import labels_plan


class Sent(StrEnum):
    """What can be sent."""

    CHECKPOINT = "checkpoint"
    LABELS = "labels"


WHAT = [("A checkpoint", Sent.CHECKPOINT.value), ("Labels and their pictures", Sent.LABELS.value)]
ALL_PRODUCTS = ("all products", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishCard:
    """The components that handlers read or change."""

    what: gr.Radio
    checkpoint: gr.Dropdown
    product: gr.Dropdown
    repo: gr.Textbox
    public: gr.Checkbox
    show: gr.Button
    send: gr.Button
    result: gr.HTML
    agreed: gr.State
    """Fingerprint of the plan on the page; only that one is sent."""


def build_publish_card(desk: Desk, *, tab: gr.Tab, sign_in: SignIn) -> PublishCard:
    """Draw the card into the surrounding column and wire it.

    Args:
        desk: the store and the checkpoints.
        tab: opening it lists checkpoints and products anew.
        sign_in: in whose name is sent.
    """
    card = _draw(desk.catalog.names(), sign_in)

    def list_choices(checkpoint: str | None, product: str | None, request: gr.Request) -> Updates:
        with shown_to_user():
            names = list(desk.catalog.names())
            products = [ALL_PRODUCTS, *present.named(list(labels.products(desk.workspace(request))))]
            known = [value for _, value in products]
            return {
                card.checkpoint: relisted(names, checkpoint, still(checkpoint, names)),
                card.product: relisted(products, product, still(product, known)),
            }

    def show_plan(
        what: str, checkpoint: str, product: str, repo: str, public: bool, request: gr.Request
    ) -> Updates:
        with shown_to_user():
            try:
                sign_in.require_possible()
                workspace = desk.workspace(request)
                with plan(workspace, what, checkpoint, product, repo, public) as made:
                    return shows(made)
            except DemoError as error:
                return refused(error)

    def send_plan(
        what: str,
        checkpoint: str,
        product: str,
        repo: str,
        public: bool,
        agreed: str,
        request: gr.Request,
    ) -> Updates:
        with shown_to_user():
            try:
                token = sign_in.token(request)
                workspace = desk.workspace(request)
                with plan(workspace, what, checkpoint, product, repo, public) as made:
                    if made.fingerprint != agreed:
                        return shows(made, is_changed=True)
                    published = push(made, token=token)
            except DemoError as error:
                return refused(error)
            return {card.result: present_publish.sent_html(published, made), **ready("")}

    @contextmanager
    def plan(
        workspace: Workspace, what: str, checkpoint: str, product: str, repo: str, public: bool
    ) -> Iterator[PushPlan]:
        """What is to be sent; its files last as long as the block."""
        repo = repo.strip()
        if not repo:
            raise InputError("Name the repository it should go to, as owner/name.")
        if what == Sent.CHECKPOINT:
            take_pictures(GOLDEN_IMAGES)  # its self-test
            folder = desk.catalog.predictor(checkpoint).checkpoint.folder
            loaded = model_thread.run(load_folder, folder, device="cpu")
            yield checkpoint_plan(loaded, repo, private=not public)
            return
        take_room(0)
        with tempfile.TemporaryDirectory(prefix=f"{PREFIX}publish-") as folder_name:
            made, _ = labels_plan(
                workspace,
                Path(folder_name) / "labels",
                repo,
                ExportKind.MVTEC,
                product=product or None,
                private=not public,
            )
            yield made

    def shows(made: PushPlan, *, is_changed: bool = False) -> Updates:
        return {
            card.result: present_publish.plan_html(made, is_changed=is_changed),
            **ready(made.fingerprint),
        }

    def refused(error: DemoError) -> Updates:
        return {card.result: present_publish.refused_html(str(error)), **ready("")}

    def ready(fingerprint: str) -> Updates:
        return {card.agreed: fingerprint, card.send: gr.update(interactive=bool(fingerprint))}

    def fields_of(what: str) -> Updates:
        return {
            card.checkpoint: gr.update(visible=what == Sent.CHECKPOINT),
            card.product: gr.update(visible=what == Sent.LABELS),
            card.result: "",
            **ready(""),
        }

    asked = [card.what, card.checkpoint, card.product, card.repo, card.public]
    answers = [card.result, card.agreed, card.send]
    listed = [card.checkpoint, card.product]
    tab.select(list_choices, listed, listed, api_visibility="private", queue=False)
    card.what.input(fields_of, card.what, [*listed, *answers], api_visibility="private", queue=False)
    for button, handler, more in ((card.show, show_plan, []), (card.send, send_plan, [card.agreed])):
        button.click(
            handler,
            [*asked, *more],
            answers,
            api_visibility="private",
            concurrency_id="publishing",
            concurrency_limit=1,
            show_progress="minimal",
            show_progress_on=card.result,
        )
    return card


def _draw(checkpoints: tuple[str, ...], sign_in: SignIn) -> PublishCard:
    with gr.Column(elem_classes="card", elem_id="publish", min_width=0):
        fragment('<h3 class="card-title">Publish on the Hugging Face Hub</h3>')
        fragment(present_publish.whose_html(sign_in.words))
        if sign_in.is_needed:
            # Gradio's icon is a file of its package, which this server gives to nobody.
            gr.LoginButton("Sign in with Hugging Face", "Sign out ({})", size="sm", icon=None)
        what = gr.Radio(WHAT, value=Sent.CHECKPOINT.value, label="What")
        with gr.Row():
            checkpoint = gr.Dropdown(list(checkpoints), label="Checkpoint")
            product = gr.Dropdown([ALL_PRODUCTS], value="", label="Labels of", visible=False)
            repo = gr.Textbox(
                label="Repository",
                placeholder="owner/name",
                max_lines=1,
                max_length=100,
                elem_id="publish-repo",
            )
        public = gr.Checkbox(label="Anybody may see it", info="otherwise only its owner")
        with gr.Row():
            show = gr.Button("Show what would be sent", interactive=sign_in.is_possible)
            send = gr.Button("Send", variant="primary", interactive=False)
        result = fragment("", elem_id="publish-result")
    return PublishCard(
        what=what,
        checkpoint=checkpoint,
        product=product,
        repo=repo,
        public=public,
        show=show,
        send=send,
        result=result,
        agreed=gr.State(""),
    )
