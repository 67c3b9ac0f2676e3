"""How much JSON one request may bring, and that none of it comes back."""

import json

import gradio as gr
import httpx
import pytest
from anyio import run
from gradio.routes import App
from starlette.responses import PlainTextResponse

from mambaad_demo.ui.bodies import (
    EXCEPTION_HANDLERS,
    MOST_BYTES,
    MOST_PARTS,
    InMemory,
    MemoryFullError,
    understood,
    whole_body,
)

NAME = "a" * 120
UPLOAD = json.dumps(
    {
        "path": NAME,
        "url": NAME,
        "size": 1000,
        "orig_name": "part.png",
        "mime_type": "image/png",
        "is_stream": False,
        "meta": {"_type": "gradio.FileData"},
    }
)


def told(body):
    """What a body says, or the status of its refusal."""
    answer = understood(body)
    return answer.status_code if isinstance(answer, PlainTextResponse) else answer


def test_an_object_is_understood_and_nothing_is_an_empty_one():
    assert told(b'{"data": [1]}') == {"data": [1]}
    assert told(b"") == {}


@pytest.mark.parametrize("body", [b"[]", b"3", b'"x"', b"{", b"\xff", b"null", b"[" * 10_000])
def test_what_is_no_object_is_refused(body):
    assert told(body) == 400


def test_the_largest_mask_of_a_review_is_understood():
    assert told(b'{"data": ["data:image/png;base64,%s"]}' % (b"A" * (4_200_000)))["data"]


def test_as_many_uploads_as_a_batch_may_have_are_understood():
    files = ", ".join([UPLOAD] * 20_000)

    assert len(told(f'{{"data": [[{files}], "", ""]}}'.encode())["data"][0]) == 20_000


@pytest.mark.parametrize("part", [b"{},", b"[],", b"1,"])
def test_many_values_are_refused_before_they_are_parsed(part):
    body = b'{"data": [' + part * MOST_PARTS + b"1]}"

    assert len(body) < MOST_BYTES
    assert told(body) == 413


def test_a_body_over_the_limit_is_not_read_to_its_end():
    pieces = 0

    async def receive():
        nonlocal pieces
        pieces += 1
        return {"type": "http.request", "body": b" " * 2**20, "more_body": True}

    assert told(run(whole_body, receive)) == 413
    assert pieces == 17


def test_a_body_for_which_there_is_no_room_is_not_read_to_its_end():
    pieces = 0

    async def receive():
        nonlocal pieces
        pieces += 1
        return {"type": "http.request", "body": b" " * 10, "more_body": True}

    with InMemory(most=25).of("10.0.0.1") as take, pytest.raises(MemoryFullError):
        run(whole_body, receive, take)
    assert pieces == 3


def test_bodies_of_one_address_share_room_and_give_it_back():
    bodies = InMemory(most=10)
    with bodies.of("10.0.0.1") as take, bodies.of("10.0.0.1") as also, bodies.of("10.0.0.2") as other:
        take(4)
        also(6)
        other(10)
        with pytest.raises(MemoryFullError):
            take(1)
    with bodies.of("10.0.0.1") as take:
        take(10)


def test_a_body_that_gradio_does_not_expect_does_not_come_back():
    with gr.Blocks(analytics_enabled=False) as blocks:
        gr.Button()
    app = App.create_app(blocks, app_kwargs={"exception_handlers": EXCEPTION_HANDLERS})

    async def answer():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.post("/gradio_api/queue/join", json={"data": "a secret"})

    refused = run(answer)

    assert refused.status_code == 422
    assert "secret" not in refused.text
