"""The door for monitors, and the one that shuts while the server closes down.

Plain ASGI behind the gatekeeper, so that foreign hosts and pages reach neither.
"""

from typing import Protocol

from starlette._utils import get_route_path
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/healthz"
_READS = ("GET", "HEAD", "OPTIONS")


class State(Protocol):
    """The part of `workflow.service.Service` that is asked here."""

    @property
    def is_ready(self) -> bool: ...

    @property
    def is_closing(self) -> bool: ...


class Availability:
    """Answers `GET /healthz` with 200 or 503 and no facts; refuses new work once the server is closing.

    Reading goes on then: that is how answers to work that was taken before are fetched.
    """

    def __init__(self, app: ASGIApp, *, state: State) -> None:
        self.app = app
        self.state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answer(scope) if scope["type"] == "http" else None
        await (answer or self.app)(scope, receive, send)

    def _answer(self, scope: Scope) -> PlainTextResponse | None:
        is_read = scope["method"] in _READS
        if get_route_path(scope) == PATH and is_read:
            headers = {"Cache-Control": "no-store"}
            if self.state.is_ready:
                return PlainTextResponse("ok", headers=headers)
            return PlainTextResponse("not ready", status_code=503, headers=headers)
        if self.state.is_closing and not is_read:
            return PlainTextResponse(
                "The server is closing down. Try again in a minute.",
                status_code=503,
                headers={"Retry-After": "60"},
            )
        return None
