"""The history card of the Review page: who did what last, as the audit trail has it."""

import re
from collections.abc import Sequence
from typing import Any

import gradio as gr

from mambaad_demo.storage import audit
from mambaad_demo.storage.audit import Entry
from mambaad_demo.ui.desk import Desk
from mambaad_demo.ui.inspect_page import fragment
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.templates import render

MOST_LINES = 100
TOLD = ("name", "old", "new", "decisions", "pictures", "checkpoint", "category", "override_reason")
"""Details that are told. What a decision says is not: reviewers who see every part stay blind, and hidden
repeats hidden."""

_HASH = re.compile(r"\b[0-9a-f]{32,64}\b")


def build_history_card(desk: Desk) -> None:
    """Draw the folded card into the surrounding column; opening it reads the trail."""
    with gr.Accordion("History", open=False, elem_id="review-history") as card:
        lines = fragment("")

    def read_history(request: gr.Request) -> str:
        with shown_to_user():
            return history_html(audit.entries(desk.workspace(request), at_most=MOST_LINES))

    card.expand(read_history, None, lines, api_visibility="private", show_progress="hidden", queue=False)


def history_html(entries: Sequence[Entry]) -> str:
    """The trail as a table, in the order given."""
    rows: list[dict[str, Any]] = [
        {
            "when": f"{entry.at:%Y-%m-%d %H:%M:%S}",
            "who": entry.actor,
            "what": f"{entry.action}: {_HASH.sub(lambda found: found[0][:12], entry.subject)}",
            "details": ", ".join(f"{key} {entry.details[key]}" for key in TOLD if entry.details.get(key)),
        }
        for entry in entries
    ]
    return render("review_history.html", rows=rows)
