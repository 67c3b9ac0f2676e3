"""An end to every wait for the Hub: its library sets no time limit for listings and pauses as long as asked.

The limits hang on the HTTP session that the library shares with the whole process.
"""

import re
from collections.abc import Callable
from functools import cache, partial
from threading import Lock
from typing import Any

from huggingface_hub import constants, get_session, set_client_factory
from huggingface_hub.errors import HfHubHTTPError

_LIMITING = Lock()  # two first visits at once would close each other's session
LONGEST_ANSWER = 60
"""Seconds until the Hub has to take a piece of what is sent, or to answer when all was sent."""

_LONGEST_PAUSE = 10  # seconds between two tries; the Hub library makes up to six
_USED_UP = re.compile(r"\br=0;\s*t=(?P<seconds>\d+)")  # in a RateLimit header: nothing left until then


def limit_waits() -> None:
    """Bound each wait for the Hub, for the whole process: its library sets no time limit for listings and
    histories, and pauses as long as the Hub asks for."""
    with _LIMITING:
        _install()


@cache
def _install() -> None:
    session = get_session()
    hooks: dict[str, list[Callable[..., Any]]] = {
        "request": [*session.event_hooks["request"], _limit_steps],
        "response": [*session.event_hooks["response"], _refuse_long_pause, _refuse_endless_conflict],
    }
    set_client_factory(
        partial(
            type(session),
            event_hooks=hooks,
            follow_redirects=session.follow_redirects,
            timeout=session.timeout,
        )
    )


def _limit_steps(request: Any) -> None:
    """Give no step of a request more time than the operator's settings do, or than sending needs."""
    longest: float = max(constants.HF_HUB_ETAG_TIMEOUT, constants.HF_HUB_DOWNLOAD_TIMEOUT)
    if request.method not in ("GET", "HEAD"):
        longest = LONGEST_ANSWER
    limits = request.extensions["timeout"]
    request.extensions["timeout"] = {step: min(limits[step] or longest, longest) for step in limits}


def _refuse_long_pause(response: Any) -> None:
    """Fail now where the Hub library would silently pause for long before it tries again."""
    used_up = _USED_UP.search(response.headers.get("RateLimit", "")) if response.status_code == 429 else None
    pause = used_up["seconds"] if used_up else response.headers.get("Retry-After", "")
    if response.is_error and pause.isdigit() and int(pause) > _LONGEST_PAUSE:
        raise HfHubHTTPError(f"{response.status_code}: ask again in {pause} seconds", response=response)


def _refuse_endless_conflict(response: Any) -> None:
    """Fail now where the Hub library would ask for a new repository again and again, without a pause."""
    if response.status_code == 409 and response.request.url.path.endswith("/api/repos/create"):
        response.read()
        if "conflicting operation" in response.text:
            raise HfHubHTTPError("409: another operation is in progress", response=response)
