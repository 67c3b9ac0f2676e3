"""The door for agents before a stand-in of the app, which says what came through it."""

import asyncio
import base64
import json

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mambaad_demo.ui.messages import BUG_MESSAGE

pytest.importorskip("mcp", reason="the package mcp is not installed")
mcp_door = pytest.importorskip("mambaad_demo.ui.mcp_door")

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
DATA_URL = "data:image/png;base64," + base64.b64encode(b"a picture").decode()
ANSWER = (
    'event: heartbeat\ndata: null\n\nevent: complete\ndata: [{"verdict": "accept"}, [{"path": "/p q"}]]\n\n'
)


class Gate:
    """Stands where the gatekeeper does."""

    def __init__(self, app, passed):
        self.app, self.passed = app, passed

    async def __call__(self, scope, receive, send):
        self.passed.append(scope["path"])
        await self.app(scope, receive, send)


class App:
    """What Gradio answers with, unless a route is told otherwise."""

    def __init__(self):
        self.seen, self.passed = [], []
        self.answers = {
            "/gradio_api/upload": JSONResponse(["/uploads/picture"]),
            "/gradio_api/call/inspect": JSONResponse({"event_id": "e"}),
            "/gradio_api/call/inspect/e": PlainTextResponse(ANSWER),
            "/gradio_api/file=/p q": Response(b"preview", media_type="image/jpeg"),
        }
        everything = Route("/{path:path}", self.answer, methods=["GET", "POST"])
        middleware = [Middleware(Gate, passed=self.passed), Middleware(mcp_door.McpDoor)]
        self.asgi = Starlette(routes=[everything], middleware=middleware)

    async def answer(self, request):
        self.seen.append((request, await request.body()))
        return self.answers[request.url.path]

    def ask(self, method="POST", path="/gradio_api/mcp/", *, client=("203.0.113.7", 9), **options):
        async def ask():
            transport = httpx.ASGITransport(app=self.asgi, client=client)
            async with httpx.AsyncClient(transport=transport, base_url="http://parts.example.org") as http:
                return await http.request(method, path, **options)

        return asyncio.run(ask())

    def call(self, headers=(), **arguments):
        """The outcome of one call of the tool."""
        message = CALL | {"params": {"name": "inspect", "arguments": arguments}}
        headers = {"Accept": "application/json", **dict(headers)}
        return self.ask(json=message, headers=headers).json()["result"]


@pytest.fixture
def app():
    return App()


def test_a_call_uploads_asks_and_fetches_what_it_answers_with(app):
    result = app.call(file=DATA_URL, checkpoint="one", category="gear")

    (upload, sent), (_, asked), *_ = app.seen
    assert [request.url.path for request, _ in app.seen] == list(app.answers)
    assert upload.headers["content-type"].startswith("multipart/form-data")
    assert b"a picture" in sent
    file = {"path": "/uploads/picture", "meta": {"_type": "gradio.FileData"}}
    assert json.loads(asked) == {"data": [file, "one", "gear"]}
    assert result["structuredContent"] == {"verdict": "accept"}
    text, picture = result["content"]
    assert json.loads(text["text"]) == {"verdict": "accept"}
    assert (picture["mimeType"], base64.b64decode(picture["data"])) == ("image/jpeg", b"preview")


def test_whatever_the_app_is_asked_passes_the_gate_before_the_door_again(app):
    app.call(file=DATA_URL)

    assert app.passed == ["/gradio_api/mcp/", *app.answers]


def test_whatever_the_app_is_asked_comes_from_the_caller_s_address_with_the_caller_s_cookie(app):
    app.call({"Cookie": "visit=me", "X-Ip-Token": "mine", "Authorization": "x", "X-Else": "y"}, file=DATA_URL)

    assert len(app.seen) == 4
    for request, _ in app.seen:
        assert request.client == ("203.0.113.7", 9)
        assert request.headers["host"] == "parts.example.org"
        assert (request.headers["cookie"], request.headers["x-ip-token"]) == ("visit=me", "mine")
        assert not {"authorization", "x-else", "origin"} & set(request.headers)


@pytest.mark.parametrize(("path", "status"), [("upload", 429), ("upload", 507), ("call/inspect", 503)])
def test_a_refusal_of_the_app_is_the_answer_in_its_own_words(app, path, status):
    app.answers[f"/gradio_api/{path}"] = PlainTextResponse("Try again in 9 seconds.", status)

    result = app.call(file=DATA_URL)

    assert result["isError"]
    assert result["content"] == [{"type": "text", "text": "Try again in 9 seconds."}]


@pytest.mark.parametrize("said", ["null", '"a word"', '{"error": null}'])
def test_a_refusal_without_words_gets_some(app, said):
    app.answers["/gradio_api/call/inspect/e"] = PlainTextResponse(f"event: error\ndata: {said}\n\n")

    result = app.call(file="/etc/passwd")

    assert result["isError"]
    assert "upload it first" in result["content"][0]["text"]


def test_a_bug_shows_a_general_sentence_and_logs_the_rest(app, caplog):
    app.answers["/gradio_api/call/inspect/e"] = PlainTextResponse("Traceback in /srv/secret.py", 500)

    result = app.call(file="/uploads/picture")

    assert result["content"] == [{"type": "text", "text": BUG_MESSAGE}]
    assert "The tool failed" in caplog.text


@pytest.mark.parametrize("length", [str(2**24 + 1), "-1", "many", ""])
def test_a_message_that_is_too_long_or_does_not_say_how_long_it_is_stays_unread(app, length):
    answer = app.ask(content=b"{}", headers={"Content-Length": length})

    assert answer.status_code == 413
    assert "Upload a larger picture" in answer.text


NESTED = b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": ' + b'{"a": ' * 900 + b"1" + b"}" * 901


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (b"", 400),
        (b"5", 400),
        (b"[]", 400),
        (NESTED, 400),
        (b'{"jsonrpc": "2.0", "id": "\\ud800", "method": "ping"}', 400),
        (b'{"jsonrpc": "2.0", "id": 1, "result": {}}', 202),
        (b'{"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "x"}}', 202),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', 202),
        (b'{"jsonrpc": "2.0", "method": "notifications/else"}', 202),
        (b'{"jsonrpc": "2.0", "method": "notifications/initialized"}', 202),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "else"}', 200),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"arguments": 5}}', 200),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "resources/list"}', 200),
    ],
)
def test_a_message_that_is_not_understood_leaves_no_line_in_the_log(app, caplog, message, status):
    headers = {"Accept": "application/json", "Content-Type": "application/json"}

    answer = app.ask(content=message, headers=headers)

    assert answer.status_code == status
    assert (status == 200) == ('"id":1,"error":' in answer.text)
    assert caplog.text == ""
    assert app.seen == []


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_only_posts_come_in(app, method):
    assert app.ask(method).status_code == 405
    assert app.seen == []


@pytest.mark.parametrize("path", ["/", "/gradio_api/mcp/else", "/gradio_api/mcpx"])
def test_everything_else_goes_on_to_the_app(app, path):
    app.answers[path] = PlainTextResponse("the app")

    assert app.ask(path=path, content=b"x").text == "the app"
