"""The end of a server in good order: nothing new, answers to what was taken, work kept, then exit.

Gradio would stop at once and leave who waits without an answer.
"""

import logging
import os
import signal
import sys
import threading
import time
from types import FrameType

import gradio as gr
from gradio.queueing import Queue

from mambaad_demo.ui.desk import Desk
from mambaad_demo.workflow.service import Service

SECONDS = 20.0
"""From the signal to the end, at most; then the process ends as it is, and its work is found interrupted."""

_FOR_ANSWERS = 14.0  # of these
_FOR_FETCHING = 3.0  # of these, for answers that somebody has to come for
_LAST_RESORT = 5.0  # more, for a pass through a network that nothing can interrupt
_BETWEEN_LOOKS = 0.05
_INTERRUPTED = 130

log = logging.getLogger(__name__)


def end_before_serving(number: int, frame: FrameType | None) -> None:
    """Handler for signals while there is nothing yet to end in good order."""
    sys.exit(128 + number)


def wait_for_signal() -> None:
    """Return on SIGTERM or SIGINT; call it in the main thread. A second Ctrl-C ends the process at once."""
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set() and number == signal.SIGINT:
            os._exit(_INTERRUPTED)
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    while not asked.wait(1.0):  # where a signal does not end a wait without limit
        pass


def end_for_certain(*, after: float = SECONDS + _LAST_RESORT) -> None:
    """End this process after some seconds whatever it is doing, unless it has ended by then."""
    timer = threading.Timer(after, os._exit, (1,))
    timer.daemon = True
    timer.start()


def close_down(app: gr.Blocks, desk: Desk, service: Service, *, seconds: float = SECONDS) -> bool:
    """End everything; returns False where something was still at work when the time was over.

    Args:
        app: launched.
        desk: whose trainings and batches are interrupted meanwhile.
        service: says that the server is closing, so that it takes no new work.
        seconds: bound of the whole.
    """
    log.info("Closing down: nothing new is begun; what is at work has %g seconds", seconds)
    began = time.monotonic()
    service.close()
    work = threading.Thread(target=desk.stop_work, name="stop-work", daemon=True)
    work.start()
    _wait_for_answers(app._queue, until=began + min(_FOR_ANSWERS, seconds))
    app.close(verbose=False)
    work.join(max(0.0, began + seconds - time.monotonic()))
    if work.is_alive():
        log.error("Work did not end in time; it is marked as interrupted at the next start")
        return False
    desk.close()
    log.info("Closed after %.1f seconds", time.monotonic() - began)
    return True


def _wait_for_answers(queue: Queue, *, until: float) -> None:
    """Wait for events at work or accepted, then a little for who fetches the last answers."""
    while time.monotonic() < until and _is_at_work(queue):
        time.sleep(_BETWEEN_LOOKS)
    until = min(until, time.monotonic() + _FOR_FETCHING)
    while time.monotonic() < until and any(queue.pending_event_ids_session.values()):
        time.sleep(_BETWEEN_LOOKS)


def _is_at_work(queue: Queue) -> bool:
    waiting = any(lane.queue for lane in queue.event_queue_per_concurrency_id.values())
    return waiting or any(job is not None for job in queue.active_jobs)
