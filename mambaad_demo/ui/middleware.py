"""What stands between the network and Gradio: who may call, which doors are shut, which headers go out.

Plain ASGI without Gradio, so that it can be tested alone. What a visitor may do once inside is decided by the
handlers of the tabs.
"""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette._utils import get_route_path
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mambaad_demo.ui.caps import Caps, Disk
from mambaad_demo.ui.visit_gate import VisitGate
from mambaad_demo.ui.visits import Visits

HUB_ANCESTORS = "https://huggingface.co"
"""The only site that may frame the page, and only while it runs as a Space."""

CLOSED_ROUTES = (
    "/gradio_api/file=http",  # fetches any address on behalf of the caller
    "/gradio_api/file/",  # the old spelling of the same
    "/gradio_api/proxy=",
    "/gradio_api/process_recording",  # runs ffmpeg on an upload
    "/gradio_api/deep_link",  # writes session state to a public file
    "/gradio_api/vibe",  # lets a visitor edit the program in development mode
    "/gradio_api/undo-vibe",
    "/gradio_api/dev/",
    "/gradio_api/profiling",
    "/gradio_api/custom_component",
    "/gradio_api/component_server",  # functions of components, for any session
    "/gradio_api/stream/",  # live sound and video, of any session
    "/monitoring",
)
"""Beginnings of Gradio's paths that this app has no use for."""

_OPEN_ROOT = "/gradio_api/"
"""Where requests may bring a body. Elsewhere Gradio would take one too, as a form, onto the disk."""

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def content_security_policy(*, on_space: bool) -> str:
    """The policy of every response: this server only, nothing framed, and no page around it but the Hub's.

    Gradio starts from inline scripts and compiles its templates with `Function`, so script needs both
    `unsafe-` words; what protects against injected markup is escaping (`templates.py`). No other host is
    reachable.
    """
    directives = {
        "default-src": "'self'",
        "script-src": "'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "media-src": "'self' blob:",  # the camera
        "font-src": "'self' data:",
        "connect-src": "'self' data: blob:",
        "worker-src": "'self' blob:",
        "object-src": "'none'",
        "frame-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": f"'self' {HUB_ANCESTORS}" if on_space else "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def security_headers(*, on_space: bool) -> dict[str, str]:
    """Headers added to every response."""
    headers = {
        "Content-Security-Policy": content_security_policy(on_space=on_space),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(self), clipboard-read=(self), microphone=(), geolocation=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if not on_space:
        headers["X-Frame-Options"] = "DENY"  # knows no list of hosts, so a Space relies on frame-ancestors
    return headers


def is_trusted_host(host: str, names: Iterable[str]) -> bool:
    """Whether a Host header can be ours: an address literal, or one of `names`, where `*.` is a family.

    An attacker who rebinds DNS needs a name of his own in the address bar, so literals are safe.
    """
    try:
        hostname = urlsplit(f"//{host}").hostname or ""
    except ValueError:  # unbalanced brackets
        return False
    try:
        ipaddress.ip_address(hostname)
    except ValueError:
        return any(
            hostname == name or (name.startswith("*.") and hostname.endswith(name[1:])) for name in names
        )
    return True


def is_same_origin(origin: str, host: str) -> bool:
    """Whether an Origin header names the server that a Host header names; `null` never does."""
    try:
        scheme, netloc, *_ = urlsplit(origin)
    except ValueError:
        return False
    default_port = _DEFAULT_PORTS.get(scheme)
    if default_port is None:
        return False
    return netloc.lower().removesuffix(default_port) == host.lower().removesuffix(default_port)


class Gatekeeper:
    """Refuses foreign hosts, foreign pages, shut doors and oversized bodies; adds the security headers.

    Behind it the `VisitGate` refuses what belongs to another visitor.

    A browser sends Origin with every unsafe request and with every cross-site script request; programs such
    as `gradio_client` send none. So a request without Origin passes, and one with a foreign Origin never
    does.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        trusted_hosts: tuple[str, ...],
        max_body_bytes: int,
        on_space: bool,
        visits: Visits,
        caps: Caps,
        disk: Disk,
    ) -> None:
        self.app = app
        self.gate = VisitGate(app, visits=visits, caps=caps, disk=disk, on_space=on_space)
        self.trusted_hosts = trusted_hosts
        self.max_body_bytes = max_body_bytes
        self.headers = security_headers(on_space=on_space)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":  # Gradio speaks no WebSocket
                await self.app(scope, receive, send)
            return

        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))  # a body without a declared length
            return message if received <= self.max_body_bytes else {"type": "http.disconnect"}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        app = self._refusal(scope) or self.gate
        await app(scope, receive_within_limit, send_with_headers)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if not is_trusted_host(host, self.trusted_hosts):
            return PlainTextResponse("This server is not known by that name.", status_code=400)
        if origin is not None and not is_same_origin(origin, host):
            return PlainTextResponse("Requests from other pages are refused.", status_code=403)
        path = get_route_path(scope)
        is_reading = scope["method"] in ("GET", "HEAD", "OPTIONS")
        if path.startswith(CLOSED_ROUTES) or not (is_reading or path.startswith(_OPEN_ROOT)):
            return PlainTextResponse("Not found.", status_code=404)
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.max_body_bytes:
            return PlainTextResponse("The upload is too large.", status_code=413)
        return None
