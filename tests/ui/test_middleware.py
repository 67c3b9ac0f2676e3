"""Who may call, which doors are shut, which headers go out: the gatekeeper before a small stand-in app."""

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from mambaad_demo.ui.caps import Caps, Disk
from mambaad_demo.ui.middleware import Gatekeeper, content_security_policy, is_same_origin, is_trusted_host
from mambaad_demo.ui.visits import Visits

LIMIT = 1000


async def echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture
def call(tmp_path):
    """A function that sends one request through the gatekeeper."""

    def send(
        method="POST", path="/gradio_api/upload", *, host="127.0.0.1:7860", on_space=False, root="", **options
    ):
        app = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST", "PUT", "DELETE"])])
        guarded = Gatekeeper(
            app,
            trusted_hosts=("localhost", "*.hf.space"),
            max_body_bytes=LIMIT,
            on_space=on_space,
            visits=Visits(),
            caps=Caps(),
            disk=Disk(tmp_path, free_gb=0),
        )

        async def request():
            transport = httpx.ASGITransport(guarded, raise_app_exceptions=False, root_path=root)
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
                return await client.request(method, path, **options)

        return anyio.run(request)

    return send


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET"])
@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1:9999", "null", "http://localhost:7860"]
)
def test_a_foreign_page_is_refused(call, method, origin):
    assert call(method, headers={"Origin": origin}).status_code == 403


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:7860", "http://127.0.0.1:7860"),
        ("localhost:7860", "http://LOCALHOST:7860"),
        ("[::1]:7860", "http://[::1]:7860"),
        ("me-demo.hf.space", "https://me-demo.hf.space"),
    ],
)
def test_our_own_page_may_call(call, host, origin):
    assert call(host=host, headers={"Origin": origin}).status_code == 200


def test_a_program_without_origin_may_call(call):
    assert call(content=b"abc").text == "3"


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "hf.space.evil.example", "localhost.evil"]
)
def test_a_foreign_name_is_refused(call, host):
    assert call(host=host).status_code == 400


def test_a_body_over_the_limit_is_refused(call):
    assert call(content=b"x" * LIMIT).status_code == 200
    assert call(content=b"x" * (LIMIT + 1)).status_code == 413


def test_a_body_without_a_length_ends_at_the_limit(call):
    async def endless():
        for _ in range(100):
            yield b"x" * LIMIT

    assert call(content=endless()).status_code >= 400


@pytest.mark.parametrize("length", ["-1", "abc", "1e3"])
def test_a_nonsense_length_is_refused(call, length):
    assert call(headers={"Content-Length": length}).status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=https://example.org/x",
        "/gradio_api/file=http://169.254.169.254/",
        "/gradio_api/file/https://example.org/x",
        "/gradio_api/proxy=https://x.hf.space/file=a",
        "/gradio_api/process_recording",
        "/gradio_api/deep_link",
        "/gradio_api/vibe-edit/",
        "/gradio_api/dev/reload",
        "/gradio_api/component_server",
        "/gradio_api/stream/abc/close",
        "/monitoring",
        "/monitoring/summary",
    ],
)
def test_closed_doors_stay_closed(call, path):
    assert call("GET", path).status_code == 404
    assert call("GET", f"/parts{path}", root="/parts").status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/login", "/login/", "/", "/logout", "/gradio_api", "/anything"])
def test_nothing_is_sent_to_other_places_than_those_that_are_guarded(call, method, path):
    assert call(method, path, content=b"username=x").status_code == 404
    assert call(method, f"/parts{path}", root="/parts", content=b"username=x").status_code == 404


@pytest.mark.parametrize("options", [{}, {"host": "evil.example"}, {"headers": {"Origin": "null"}}])
def test_every_answer_carries_the_security_headers(call, options):
    headers = call(**options).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"
    assert "default-src 'self'" in headers["Content-Security-Policy"]


def test_only_the_hub_may_frame_the_page_and_only_on_a_space(call):
    assert "frame-ancestors 'none'" in content_security_policy(on_space=False)
    on_space = call(on_space=True).headers
    assert "frame-ancestors 'self' https://huggingface.co" in on_space["Content-Security-Policy"]
    assert "X-Frame-Options" not in on_space


def test_no_directive_names_another_host():
    policy = content_security_policy(on_space=False)

    assert "http" not in policy
    assert "*" not in policy


@pytest.mark.parametrize(
    ("host", "is_trusted"),
    [
        ("localhost", True),
        ("LOCALHOST:80", True),
        ("192.168.1.20:7860", True),
        ("[::1]:7860", True),
        ("a.hf.space", True),
        ("hf.space", False),
        ("evilhf.space", False),
        ("", False),
        ("[::1", False),
    ],
)
def test_trusted_hosts(host, is_trusted):
    assert is_trusted_host(host, ("localhost", "*.hf.space")) is is_trusted


@pytest.mark.parametrize(
    ("origin", "host", "is_same"),
    [
        ("http://a:80", "a", True),
        ("https://a", "a:443", True),
        ("https://a", "a:80", False),
        ("file://", "", False),
        ("http://[", "[", False),
        ("", "", False),
    ],
)
def test_same_origin(origin, host, is_same):
    assert is_same_origin(origin, host) is is_same


def test_behind_the_gatekeeper_stands_the_gate_between_visitors(call):
    answer = call("GET", "/gradio_api/file=/etc/passwd")

    assert (answer.status_code, answer.text) == (404, "Not found. It may belong to another visitor.")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
