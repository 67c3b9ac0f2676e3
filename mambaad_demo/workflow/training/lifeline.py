"""How the process of a job stays out of the way: it goes last, and ends when asked to or left alone."""

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType

from mambaad_demo.workflow.training.layout import ExitStatus

_LOWER_PRIORITY = 10
_FIRST_TO_GO = "500"  # of 1000: where memory runs out, the kernel ends the job and not the server
_BETWEEN_LOOKS = 1.0  # seconds
_GRACE = 3.0  # seconds to save and end by itself, once the parent is gone


def step_back() -> None:
    """Let inspections go first, with processors and with memory."""
    os.nice(_LOWER_PRIORITY)
    where_sessions_compete = ("/proc/self/autogroup", str(_LOWER_PRIORITY))
    for file, value in (where_sessions_compete, ("/proc/self/oom_score_adj", _FIRST_TO_GO)):
        with suppress(OSError):  # there are no such files but on Linux
            Path(file).write_text(value, encoding="ascii")


def hold(parent: int) -> threading.Event:
    """From now on, an event that is set when this process should save and end; call it in the main thread.

    That is on SIGTERM, or when the parent is gone; then the process ends in a few seconds whatever it is
    doing.
    """
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    threading.Thread(target=_watch, args=(parent, stop), name="lifeline", daemon=True).start()
    return stop


def _watch(parent: int, stop: threading.Event) -> None:
    never = threading.Event()
    while os.getppid() == parent:
        never.wait(_BETWEEN_LOOKS)
    stop.set()
    never.wait(_GRACE)
    os._exit(ExitStatus.STOPPED)
