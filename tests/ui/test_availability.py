"""What a monitor is told, and what a closing server still answers."""

from types import SimpleNamespace

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from mambaad_demo.ui.availability import Availability


@pytest.fixture
def call():
    """A function that sends one request to a stand-in app behind the door."""

    async def hello(request):
        return PlainTextResponse("hello")

    def send(method, path, *, is_ready=True, is_closing=False):
        app = Starlette(routes=[Route("/{path:path}", hello, methods=["GET", "POST", "DELETE"])])
        state = SimpleNamespace(is_ready=is_ready, is_closing=is_closing)

        async def request():
            transport = httpx.ASGITransport(Availability(app, state=state))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path)

        return anyio.run(request)

    return send


def test_a_monitor_gets_a_word_and_a_status(call):
    ready, failing = call("GET", "/healthz"), call("GET", "/healthz", is_ready=False)

    assert (ready.status_code, ready.text) == (200, "ok")
    assert (failing.status_code, failing.text) == (503, "not ready")
    assert ready.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_closing_server_takes_no_new_work(call, method):
    refused = call(method, "/gradio_api/queue/join", is_ready=False, is_closing=True)

    assert refused.status_code == 503
    assert "closing down" in refused.text
    assert refused.headers["retry-after"] == "60"


def test_a_closing_server_still_hands_out_answers(call):
    assert call("GET", "/gradio_api/call/inspect/1", is_ready=False, is_closing=True).text == "hello"


def test_all_else_passes(call):
    assert call("POST", "/healthz").text == "hello"
    assert call("POST", "/gradio_api/queue/join", is_ready=False).text == "hello"
