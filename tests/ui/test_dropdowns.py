"""Lists that are renewed take nothing back that was chosen meanwhile."""

import gradio as gr

from mambaad_demo.ui.dropdowns import relisted, still


def test_what_was_chosen_stays_while_it_is_there_else_the_first_takes_its_place():
    assert still("b", ["a", "b"]) == "b"
    assert still("gone", ["a", "b"]) == "a"
    assert still("gone", []) is None


def test_a_choice_that_stands_is_not_sent_back():
    assert relisted(("a", "b"), "b", "b") == gr.update(choices=["a", "b"])


def test_a_choice_that_has_to_change_is_sent():
    assert relisted([("A", "a")], "gone", "a") == gr.update(choices=[("A", "a")], value="a")
    assert relisted([], "gone", None) == gr.update(choices=[], value=None)
