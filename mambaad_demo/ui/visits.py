"""Whose is what: the sessions, events and files of visitors, each kept for the browser that used it first.

Gradio knows a visitor by a session hash that the client chooses and that whoever knows it can use. A browser
is therefore known by a cookie, which no script can read and no other browser holds.

What has no cookie, a program or a browser that blocks cookies, is known by its session hash alone, and its
files by their names: whoever learns one can use it, so they are as safe as those names are hard to guess. A
browser's things are closed to such clients too; leaving the cookie away opens nothing.
"""

import hashlib
import hmac
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

COOKIE = "visit"
_COOKIE_VALUE = re.compile(r"([\w-]{43})\.([0-9a-f]{64})", re.ASCII)
_KEY = secrets.token_bytes(32)

_WEEK = 7 * 24 * 3600
_MOST_KEPT = 50_000


def new_cookie() -> str:
    """256 random bits for a browser without a cookie, signed, so that nobody comes as many by making them up.

    The key lives as long as the process; a browser gets another cookie from the next one.
    """
    value = secrets.token_urlsafe(32)
    return f"{value}.{_signature(value)}"


def _signature(value: str) -> str:
    return hmac.new(_KEY, value.encode(), "sha256").hexdigest()


def set_cookie(value: str, *, on_space: bool) -> str:
    """The header that gives a browser its cookie until it is closed.

    A Space is shown in a frame of the Hub, where browsers keep a cookie only in a partition of its own.
    """
    where = "SameSite=None; Secure; Partitioned" if on_space else "SameSite=Lax"
    return f"{COOKIE}={value}; Path=/; HttpOnly; {where}"


def browser_of(cookies: Mapping[str, str]) -> str | None:
    """The browser that sent these cookies, as a digest, so that no log or store holds the cookie itself; None
    where it sent none that we signed."""
    match = _COOKIE_VALUE.fullmatch(cookies.get(COOKIE, ""))
    if match is None or not hmac.compare_digest(_signature(match[1]), match[2]):
        return None
    return hashlib.sha256(match[0].encode()).hexdigest()


def browser_behind(request: object) -> str | None:
    """The browser behind a Gradio request; None for a program."""
    http = getattr(request, "request", None)
    return None if http is None else browser_of(http.cookies)


def visitor_behind(request: object) -> str | None:
    """A name, 64 characters, for who sent a Gradio request: by the cookie, without one by the session; None
    where there is neither."""
    if browser := browser_behind(request):
        return browser
    session = getattr(request, "session_hash", None)
    return hashlib.sha256(f"session {session}".encode()).hexdigest() if session else None


class Visits:
    """Who used what first; safe to share between threads.

    It is bounded: what was not used for long is forgotten, and when too much is known, the longest unused
    goes of the network address that brought most, so that nobody can make things of others forgotten. Who did
    bring as much has no session in Gradio either, which keeps the state of 200; and a file still has a name
    that nobody guesses.
    """

    def __init__(
        self,
        *,
        keep_minutes: float = 0,
        most: int = _MOST_KEPT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            keep_minutes: how long files are kept; what was last used a week and this long ago is forgotten.
            most: sessions and events that are remembered, and as many files.
            clock: seconds that only grow.
        """
        keep_seconds = _WEEK + 60 * keep_minutes
        self._names = _Owners(keep_seconds, most, clock)
        self._files = _Owners(keep_seconds, most, clock)

    def is_own_name(self, name: str, browser: str | None, address: str = "") -> bool:
        """Whether a session hash or an event id belongs to who sends it, who gets it where it is new.

        Args:
            name: as the request gives it.
            browser: who sends it; None without a cookie, and then all without a cookie are one.
            address: the network address it comes from.
        """
        return self._names.owner(name, browser, address) == browser

    def claim_file(self, path: str, browser: str | None) -> bool:
        """Keep a file for who uploaded it or was given it; whether it is theirs to use."""
        return self._files.owner(_real(path), browser) in (None, browser)

    def may_open(self, path: str, browser: str | None) -> bool:
        """Whether a file is not another browser's."""
        return self._files.known_owner(_real(path)) in (None, browser)

    def files_of(self, browser: str) -> frozenset[str]:
        """Paths of all files that a browser uploaded or was given, in whichever tab; some may be gone."""
        return self._files.keys_of(browser)


def is_file_in(folder: str | Path, path: str) -> bool:
    """Whether a path leads to a file below a folder, all links followed."""
    try:
        file = Path(path).resolve()
        return file.is_relative_to(Path(folder).resolve()) and file.is_file()
    except (OSError, ValueError):  # too long for a path, or with a null byte in it
        return False


def _real(path: str) -> str:
    """One spelling of a path, whichever way it is given; one that cannot exist is its own."""
    try:
        return os.path.realpath(path)
    except ValueError:  # a null byte
        return path


class _Owners:
    """The first user of each key; of each network address, the longest unused key first."""

    def __init__(self, keep_seconds: float, most: int, clock: Callable[[], float]) -> None:
        self._keep = keep_seconds
        self._most = most
        self._clock = clock
        self._known: dict[str, _Use] = {}
        self._of_address: dict[str, dict[str, None]] = {}
        self._lock = threading.Lock()

    def owner(self, key: str, newcomer: str | None, address: str = "") -> str | None:
        """Whose the key is; the newcomer's where nobody used it yet."""
        now = self._clock()
        with self._lock:
            self._forget_old(now)
            known = self._drop(key) or _Use(newcomer, address, now)
            self._known[key] = replace(known, at=now)
            self._of_address.setdefault(known.address, {})[key] = None
            if len(self._known) > self._most:
                crowd = max(self._of_address, key=lambda one: len(self._of_address[one]))
                self._drop(next(iter(self._of_address[crowd])))
            return known.owner

    def known_owner(self, key: str) -> str | None:
        """Whose the key is; None also where nobody used it yet."""
        with self._lock:
            self._forget_old(self._clock())
            known = self._known.get(key)
            return None if known is None else known.owner

    def keys_of(self, owner: str) -> frozenset[str]:
        """All keys of an owner."""
        with self._lock:
            self._forget_old(self._clock())
            return frozenset(key for key, known in self._known.items() if known.owner == owner)

    def _forget_old(self, now: float) -> None:
        while self._known:
            key, known = next(iter(self._known.items()))
            if known.at >= now - self._keep:
                return
            self._drop(key)

    def _drop(self, key: str) -> "_Use | None":
        known = self._known.pop(key, None)
        if known is not None:
            del self._of_address[known.address][key]
            if not self._of_address[known.address]:
                del self._of_address[known.address]
        return known


@dataclass(frozen=True, slots=True)
class _Use:
    """Who used a key first, from where, and when it was used last, in seconds of the clock."""

    owner: str | None
    address: str
    at: float
