"""Dropdowns listed anew on a page that somebody may be using."""

from collections.abc import Sequence
from typing import Any

import gradio as gr


def still(chosen: str | None, known: Sequence[str]) -> str | None:
    """What was chosen, if it is there still, else the first of what is; None where nothing is."""
    return chosen if chosen in known else next(iter(known), None)


def relisted(
    choices: Sequence[str] | Sequence[tuple[str, str]], chosen: object, wanted: str | None
) -> dict[str, Any]:
    """The update that lists these choices and leaves `wanted` chosen.

    An answer comes later than its question, and somebody may have typed or chosen meanwhile: so the value
    goes back to the page only where it has to change.

    Args:
        choices: the entries, or pairs of what is shown and what is sent.
        chosen: what the page sent.
        wanted: what is to be chosen.
    """
    listed = list(choices)
    return gr.update(choices=listed) if chosen == wanted else gr.update(choices=listed, value=wanted)
