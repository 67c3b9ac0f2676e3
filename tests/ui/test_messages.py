"""Errors on their way to the screen."""

import gradio as gr
import pytest

from mambaad_demo.errors import UnreadableImageError
from mambaad_demo.ui import messages
from mambaad_demo.ui.messages import BUG_MESSAGE, shown_to_user


def test_our_errors_keep_their_text():
    with pytest.raises(gr.Error) as shown, shown_to_user():
        raise UnreadableImageError("part.gif is an animation. Save one picture of it.")

    assert shown.value.message == "part.gif is an animation. Save one picture of it."
    assert isinstance(shown.value.__cause__, UnreadableImageError)


def test_markup_in_a_message_stays_text():
    with pytest.raises(gr.Error) as shown, shown_to_user():
        raise UnreadableImageError("<img src=x onerror=alert(1)>.png is no picture")

    assert shown.value.message.startswith("&lt;img src=x")


def test_a_bug_shows_a_general_sentence_and_logs_the_rest(caplog, monkeypatch):
    monkeypatch.setattr(
        messages.log, "disabled", False
    )  # import-linter, run by another test, switches loggers off
    with pytest.raises(gr.Error) as shown, shown_to_user():
        raise KeyError("/srv/secret/place")

    assert shown.value.message == BUG_MESSAGE
    assert "/srv/secret/place" in caplog.text


def test_a_message_made_by_gradio_passes_unchanged():
    message = gr.Error("already said")
    with pytest.raises(gr.Error) as shown, shown_to_user():
        raise message

    assert shown.value is message


def test_without_an_error_nothing_happens():
    with shown_to_user():
        pass
