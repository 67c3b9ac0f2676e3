"""The part of the gatekeeper that knows Gradio's routes: which session, event or file a request is about, and
whether that is another visitor's or more than one may have.

Plain ASGI without Gradio, so that it can be tested alone. `LocalFilesBlocks` asks the same `Visits` before a
handler runs; but Gradio answers many addresses without any handler.
"""

import json
import re
from collections.abc import Mapping

from starlette._utils import get_route_path
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mambaad_demo.ui.askers import asker, seen_by_proxy
from mambaad_demo.ui.bodies import InMemory, MemoryFullError, replayed, understood, whole_body
from mambaad_demo.ui.caps import Allowance, Asker, Caps, Disk
from mambaad_demo.ui.visits import Visits, browser_of, is_file_in, new_cookie, set_cookie

_ROOT = "/gradio_api/"
_UPLOAD = f"{_ROOT}upload"
_FILE = f"{_ROOT}file="
_NAMES = ("session_hash", "event_id", "upload_id")
_NAME = re.compile(r"[\w-]{1,64}", re.ASCII)
_NAME_IN_PATH = re.compile(rf"{_ROOT}(?:heartbeat|call/(?:v2/)?[^/]+)/([^/]+)/?")

_HOUR = 3600.0
_MEGABYTE = 2**20
_SMALL = 2**16  # bodies that are counted, and taken even from who uploaded enough: a page must go on


class VisitGate:
    """Gives browsers their cookie, refuses what is another visitor's, and keeps uploads within their caps."""

    def __init__(self, app: ASGIApp, *, visits: Visits, caps: Caps, disk: Disk, on_space: bool) -> None:
        self.app = app
        self.visits = visits
        self.disk = disk
        self.on_space = on_space
        megabytes = caps.upload_mb_per_hour
        self._bytes = Allowance(None if megabytes is None else megabytes * _MEGABYTE, _HOUR)
        self._files = Allowance(caps.upload_files_per_hour, _HOUR)
        self._in_memory = InMemory()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = seen_by_proxy(scope) if self.on_space else scope
        browser = browser_of(HTTPConnection(scope).cookies)
        who = asker(scope, browser)
        send = self._noting(scope, browser, send)
        refusal = self._foreign_address(scope, who.address, browser)
        if refusal is None and _is_upload(scope):
            await self._upload(scope, receive, send, who)
        elif refusal is None and scope["method"] == "POST" and get_route_path(scope).startswith(_ROOT):
            await self._question(scope, receive, send, who, browser)
        else:
            await (refusal or self.app)(scope, receive, send)

    async def _question(
        self, scope: Scope, receive: Receive, send: Send, who: Asker, browser: str | None
    ) -> None:
        """Takes JSON whose bytes count before they are read, as far as they are declared, and hands it on."""
        declared = int(Headers(scope=scope).get("content-length", 0))
        refusal = _too_much(self._bytes.wait(who, declared)) if declared > _SMALL else None
        with self._in_memory.of(who.address) as take:
            if refusal is None:
                try:
                    body = await whole_body(receive, take)
                except MemoryFullError:
                    refusal = _busy()
                else:
                    refusal = self._unwelcome(body, who, browser)
                    receive = replayed(body, receive)
            await (refusal or self.app)(scope, receive, send)

    def _unwelcome(self, body: bytes, who: Asker, browser: str | None) -> PlainTextResponse | None:
        refusal = _too_much(self._bytes.wait(who, len(body))) if len(body) > _SMALL else None
        self._bytes.add(who, len(body))
        return refusal or self._foreign_body(body, who.address, browser)

    async def _upload(self, scope: Scope, receive: Receive, send: Send, who: Asker) -> None:
        """Takes an upload whose bytes count from the start, or many at once would find the same room."""
        declared = int(Headers(scope=scope).get("content-length", 0))
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if not declared:
                self._bytes.add(who, len(message.get("body", b"")))
                if self._bytes.wait(who):
                    return {"type": "http.disconnect"}
            return message

        if refusal := await self._no_room() or _too_much(
            max(self._bytes.wait(who, declared), self._files.wait(who))
        ):
            await refusal(scope, receive, send)
            return
        self._bytes.add(who, declared)
        try:
            await self.app(scope, counted, send)
        finally:
            if declared:
                self._bytes.add(who, received - declared)

    def _foreign_address(self, scope: Scope, address: str, browser: str | None) -> PlainTextResponse | None:
        path = get_route_path(scope)
        query = QueryParams(scope["query_string"])
        names = [name for key in _NAMES for name in query.getlist(key)]
        if len(names) > len(_NAMES):  # each is kept for long
            return PlainTextResponse("The address names too many sessions.", status_code=400)
        if scope["method"] in ("GET", "HEAD") and (match := _NAME_IN_PATH.fullmatch(path)):
            names.append(match[1])
        if path.startswith(_FILE) and not self._may_open(path.removeprefix(_FILE), browser):
            return _not_found()
        return self._foreign(names, address, browser)

    def _may_open(self, path: str, browser: str | None) -> bool:
        """Whether a path leads to a file among the uploads that is not another browser's; a file that is not
        there and one that may not be seen get one answer."""
        return is_file_in(self.disk.uploads, path) and self.visits.may_open(path, browser)

    def _foreign_body(self, body: bytes, address: str, browser: str | None) -> PlainTextResponse | None:
        said = understood(body)
        if isinstance(said, PlainTextResponse):
            return said
        values = [said.get(key) for key in _NAMES]
        return self._foreign([value for value in values if isinstance(value, str)], address, browser)

    def _foreign(self, names: list[str], address: str, browser: str | None) -> PlainTextResponse | None:
        if not all(_NAME.fullmatch(name) for name in names):  # they are kept for long
            return PlainTextResponse("That is no name of a session.", status_code=400)
        if all(self.visits.is_own_name(name, browser, address) for name in names):
            return None
        return _not_found({"X-Visit": "another"})  # the page that asks starts anew: see head.html

    async def _no_room(self) -> PlainTextResponse | None:
        if await run_in_threadpool(self.disk.has_room):
            return None
        return PlainTextResponse(
            "There is no room for uploads on this server. Delete your files if you are done with them, "
            "or try again later: uploads are deleted in time.",
            status_code=507,
        )

    def _noting(self, scope: Scope, browser: str | None, send: Send) -> Send:
        """Sends an answer after keeping what it names, an event or uploads, for who asked."""
        answer = bytearray()
        names_things = scope["method"] == "POST" and _names_things(scope)  # the app may change the scope
        is_read = False

        async def noting(message: Message) -> None:
            nonlocal is_read
            if message["type"] == "http.response.start":
                is_read = names_things and message["status"] == 200
                headers = Headers(raw=message["headers"])
                if browser is None and headers.get("content-type", "").startswith("text/html"):
                    # Only a page gets a cookie: a program that keeps cookies but never opened the page, or
                    # several first requests at once, would get one too many.
                    cookie = set_cookie(new_cookie(), on_space=self.on_space)
                    MutableHeaders(scope=message).append("set-cookie", cookie)
            elif is_read and message["type"] == "http.response.body":
                answer.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    self._keep(json.loads(answer), scope, browser)
            await send(message)

        return noting

    def _keep(self, named: object, scope: Scope, browser: str | None) -> None:
        if isinstance(named, list):
            self._files.add(asker(scope, browser), len(named))
            for path in named:
                self.visits.claim_file(path, browser)
        elif isinstance(named, dict) and isinstance(named.get("event_id"), str):
            # Gradio takes the id for the session of who sent no session of their own.
            self.visits.is_own_name(named["event_id"], browser, asker(scope, browser).address)


def in_words(seconds: int) -> str:
    """A waiting time as people say it."""
    if seconds < 120:
        return f"{seconds} second{'' if seconds == 1 else 's'}"
    return f"{-(-seconds // 60)} minutes"


def _is_upload(scope: Scope) -> bool:
    return scope["method"] == "POST" and get_route_path(scope).rstrip("/") == _UPLOAD


def _names_things(scope: Scope) -> bool:
    path = get_route_path(scope)
    return _is_upload(scope) or path.startswith((f"{_ROOT}queue/join", f"{_ROOT}call/"))


def _too_much(wait: int) -> PlainTextResponse | None:
    """The refusal of who has to wait so many seconds, if any."""
    if not wait:
        return None
    return PlainTextResponse(
        "You have uploaded as much as one visitor may for now, or all at your network address as much as "
        f"they may together. Try again in {in_words(wait)}.",
        status_code=429,
        headers={"Retry-After": str(wait)},
    )


def _busy() -> PlainTextResponse:
    return PlainTextResponse(
        "Too much is being sent from your network address at once. Try again in a moment.",
        status_code=429,
        headers={"Retry-After": "1"},
    )


def _not_found(headers: Mapping[str, str] | None = None) -> PlainTextResponse:
    return PlainTextResponse("Not found. It may belong to another visitor.", status_code=404, headers=headers)
