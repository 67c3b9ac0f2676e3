"""Bodies of JSON requests: read whole, bounded before anything parses them, and handed on.

Parsing holds up every other visitor, and what it costs grows with the number of values rather than of bytes.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive

MOST_BYTES = 16 * 2**20
"""Of one body. The mask of a review is a text of up to 4.2 MB; the names of 20 000 uploads take 8 MB."""

MOST_PARTS = 200_000
"""Commas and opening brackets of one body: 20 000 uploads have 180 000."""


MOST_IN_MEMORY = 64 * 2**20
"""Bytes of all bodies from one network address that are being read or answered."""


class MemoryFullError(Exception):
    """Bodies from one network address take as much memory as they may."""


class InMemory:
    """Bodies that are being read or answered, by where they come from; used by one event loop."""

    def __init__(self, most: int = MOST_IN_MEMORY) -> None:
        """
        Args:
            most: bytes of all from one network address.
        """
        self._most = most
        self._held: Counter[str] = Counter()

    @contextmanager
    def of(self, address: str) -> Iterator[Callable[[int], None]]:
        """A function that takes room for bytes of a body, for as long as the block lasts; it raises
        `MemoryFullError` where there is none."""
        held = 0

        def take(size: int) -> None:
            nonlocal held
            if self._held[address] + size > self._most:
                raise MemoryFullError
            self._held[address] += size
            held += size

        try:
            yield take
        finally:
            self._held[address] -= held
            if not self._held[address]:
                del self._held[address]


async def whole_body(receive: Receive, take: Callable[[int], None] | None = None) -> bytes:
    """All that a request sends, or sent before it broke off; no more than is needed to see that it is too
    much.

    Args:
        take: is told the bytes of each piece before the next is read.
    """
    body = bytearray()
    while True:
        message = await receive()
        body.extend(message.get("body", b""))
        if take is not None:
            take(len(message.get("body", b"")))
        if (
            message["type"] == "http.disconnect"
            or not message.get("more_body", False)
            or len(body) > MOST_BYTES
        ):
            return bytes(body)


def replayed(body: bytes, receive: Receive) -> Receive:
    """The body once more, then what comes after it, which is the end of the connection."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


def understood(body: bytes) -> dict[str, Any] | PlainTextResponse:
    """The JSON object in a body, empty for none, or the refusal of anything else."""
    if len(body) > MOST_BYTES or sum(body.count(mark) for mark in b"[{,") > MOST_PARTS:
        return PlainTextResponse("The request is too large.", status_code=413)
    try:
        said = json.loads(
            body or b"{}"
        )  # the reader that Gradio uses, or a session could hide from one of them
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        return PlainTextResponse("The request is no readable JSON object.", status_code=400)
    return said


async def without_echo(_: Request, __: Exception) -> PlainTextResponse:
    """The answer to a body that Gradio does not expect; FastAPI's own repeats it, which takes seconds."""
    return PlainTextResponse("The request is not what this address expects.", status_code=422)


async def broken_off(_: Request, __: Exception) -> PlainTextResponse:
    """The answer to a body that ended early, because its sender went or because it was too long."""
    return PlainTextResponse("The request broke off, or was longer than it may be.", status_code=400)


EXCEPTION_HANDLERS = {RequestValidationError: without_echo, ClientDisconnect: broken_off}
"""As `FastAPI` takes them."""
