"""Who is waiting: a handler runs for a visitor, a batch and the start of the server do not."""

from concurrent.futures import ThreadPoolExecutor

import gradio as gr
from gradio.routes import App
from starlette.testclient import TestClient

from mambaad_demo.pipeline import model_thread
from mambaad_demo.ui import asked


def answers():
    """On the model thread, and there on behalf of a lane that lasts, as that of batches does."""
    with ThreadPoolExecutor(1) as lane:
        behind = lane.submit(model_thread.run, asked.by_visitor).result()
    return f"{model_thread.run(asked.by_visitor)} {behind}"


def test_a_handler_runs_for_a_visitor_down_to_the_model_thread_and_a_batch_it_started_does_not():
    with gr.Blocks(analytics_enabled=False) as blocks:
        said = gr.Textbox()
        gr.Button().click(answers, None, said, api_name="answers")

    answer = TestClient(App.create_app(blocks)).post("/gradio_api/run/answers", json={"data": []})

    assert answer.json()["data"] == ["True False"]


def test_what_nobody_asked_for_does_not():
    assert not asked.by_visitor()
    assert not model_thread.run(asked.by_visitor)
