"""Errors on their way to the screen: ours keep their text, a bug becomes one sentence and a log entry.

Without the general sentence a bug would pass unseen: with `show_error=False`, which keeps paths out of
answers, Gradio shows nothing at all.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import gradio as gr

from mambaad_demo.errors import DemoError

ERROR_SECONDS = 20.0
"""How long a message stays on screen: long enough to read two sentences."""
BUG_MESSAGE = "Something went wrong on our side; nothing was changed. The log of the server says what."

log = logging.getLogger(__name__)


@contextmanager
def shown_to_user() -> Iterator[None]:
    """Turn errors into a message on the page, which is also the answer to a client."""
    try:
        yield
    except gr.Error:
        raise
    except DemoError as error:
        raise _message(str(error), title="That did not work") from error
    except Exception as error:  # the border to the visitor; the traceback goes to the log
        log.exception("A handler failed")
        raise _message(BUG_MESSAGE, title="Error") from error


def told_on_page(error: DemoError) -> gr.Error:
    """What ends an event, and keeps its successors from running, where the page says already what happened:
    no message comes up beside it."""
    return gr.Error(escape(str(error)), visible=False, print_exception=False)


def _message(words: str, *, title: str) -> gr.Error:
    """A message that shows exactly these words: Gradio renders it as markup."""
    return gr.Error(escape(words), title=title, duration=ERROR_SECONDS, print_exception=False)
