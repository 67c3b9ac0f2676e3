"""What a process writes about itself: plain text or JSON lines, without places on this machine and secrets.

Set up once by whoever starts the process. Everything passes here: our loggers and those of libraries,
Python's warnings, errors nobody caught, and what others print.
"""

import json
import logging
import re
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from huggingface_hub import get_token

FORMATS = ("text", "json")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

_OURS = "mambaad_demo"
_CHECKOUT = Path(__file__).resolve().parents[1]
_SHORTEST_SECRET = 6  # characters; shorter ones would blacken half of the words
_MASK = "***"
_NAMES = r"session_hash|session|(?:\w+_)?token|password|client_secret|code_verifier|__sign|sign"
_PATTERNS = (
    # Tokens of the Hub: those of a sign-in have prefixes and parts. Names of functions stay readable.
    (
        re.compile(
            r"(?<![A-Za-z0-9])hf_(?:[A-Za-z0-9]{6,}[\w-]*|(?=[\w-]{0,64}[A-Z0-9])[\w-]{6,})(?:\.[\w-]+)*"
        ),
        _MASK,
    ),
    # JSON web tokens, such as those of a private Space
    (re.compile(r"eyJ[\w-]{1,500}+(?:\.[\w-]++){2,}"), _MASK),
    (re.compile(r"(?<=://)[^/\s]+@"), f"{_MASK}@"),  # who calls and the password, before a host
    (re.compile(r"(?i)(?<=\bbearer )\S+"), _MASK),
    (re.compile(rf"(?i)\b({_NAMES})=[^&\s\"']+"), rf"\1={_MASK}"),  # in query strings
    (re.compile(r"(?i)(?<=[?&])(code|state)=[^&\s\"']+"), rf"\1={_MASK}"),  # a sign-in; else plain words
    (re.compile(rf"(?i)(['\"](?:{_NAMES})['\"]: *['\"])[^'\"]+"), rf"\1{_MASK}"),  # in dictionaries
)  # fmt: skip

log = logging.getLogger(_OURS)


class Redactor:
    """Takes places and secrets out of text."""

    def __init__(self, places: Mapping[str, Path], secrets: Iterable[str] = ()) -> None:
        """
        Args:
            places: what a folder or file is called instead → where it is.
            secrets: words that are never to be written.
        """
        named = {
            str(spelt): name for name, path in places.items() for spelt in (path.absolute(), path.resolve())
        }
        longest_first = sorted((path for path in named if path.strip("/")), key=len, reverse=True)
        self._named = named
        self._places = (
            re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, longest_first))})(?![\w-])")
            if longest_first
            else None
        )
        self._secrets = sorted(
            {one for one in secrets if len(one) >= _SHORTEST_SECRET}, key=len, reverse=True
        )

    def __call__(self, text: str) -> str:
        """The text with names in the place of places, and stars in that of secrets."""
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
        if self._places is not None:
            text = self._places.sub(lambda found: f"<{self._named[found.group()]}>", text)
        return text


class PlainFormatter(logging.Formatter):
    """Time, level, origin, message; a traceback below."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))


class JsonFormatter(logging.Formatter):
    """One object a line: time in UTC, level, logger, message, and the traceback where there is one."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": self._redact(record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = self._redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class CleanStream:
    """Stands in for `sys.stdout` or `sys.stderr`: what is printed comes out line by line, redacted."""

    def __init__(self, stream: TextIO, redact: Redactor, *, log_as: tuple[str, int] | None) -> None:
        """
        Args:
            stream: where lines go.
            redact: what they pass.
            log_as: logger and level under which lines are logged instead.
        """
        self._stream, self._redact = stream, redact
        self._log, self._level = None, logging.INFO
        if log_as is not None:
            self._log, self._level = logging.getLogger(log_as[0]), log_as[1]
            self._log.setLevel(self._level)
        self._begun = threading.local()

    def write(self, text: str) -> int:
        """Keep what is no whole line yet; each thread has its own."""
        *lines, rest = (getattr(self._begun, "text", "") + text).split("\n")
        self._begun.text = rest
        for line in lines:
            self._emit(line)
        return len(text)

    def _emit(self, line: str) -> None:
        if self._log is None:
            self._stream.write(f"{self._redact(line)}\n")
            self._stream.flush()
        elif line.strip():
            self._log.log(self._level, "%s", line)

    def flush(self) -> None:
        """Nothing: whole lines are out already."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def set_up(*, form: str, level: str, places: Mapping[str, Path], secrets: Iterable[str] = ()) -> None:
    """Let everything that this process writes pass here.

    Args:
        form: one of `FORMATS`.
        level: one of `LEVELS`, for our own loggers; libraries say warnings and worse.
        places: folders that are to be called by a name, besides those every process has.
        secrets: words that are never to be written, besides the token of the Hub.
    """
    known = {
        "app": _CHECKOUT,
        "python": Path(sys.prefix),
        "user": Path.home(),
        "temp": Path(tempfile.gettempdir()),
        **places,
    }
    redact = Redactor(known, (*secrets, get_token() or ""))
    as_json = form == "json"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(redact) if as_json else PlainFormatter(redact))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelName(level)))
    log.setLevel(level)
    logging.captureWarnings(True)
    sys.stdout = CleanStream(sys.stdout, redact, log_as=("stdout", logging.INFO) if as_json else None)
    sys.stderr = CleanStream(sys.stderr, redact, log_as=("stderr", logging.WARNING) if as_json else None)
    sys.excepthook = _say_uncaught
    threading.excepthook = _say_uncaught_in_thread


def take_over(*names: str) -> None:
    """Let loggers that a library gave handlers of their own speak through ours."""
    for name in names:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def _say_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        log.critical("Ended by an error that nobody expected", exc_info=(kind, error, trace))


def _say_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        log.critical(
            "A thread ended by an error that nobody expected",
            exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
        )
