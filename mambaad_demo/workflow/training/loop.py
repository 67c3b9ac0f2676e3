"""What the process of a job does: engine in, events and files out.

It is told to stop by an event and looks after each step. Whatever goes wrong ends in an exit status and,
where there is room for it, in an event with words for the owner of the job; tracebacks go to the log.
"""

from __future__ import annotations

import errno
import fcntl
import json
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import JsonValue

from mambaad_demo.errors import DemoError
from mambaad_demo.workflow.training import lifeline
from mambaad_demo.workflow.training.events import (
    Done,
    EventLog,
    Failed,
    Note,
    Prepare,
    Preview,
    Save,
    Step,
    Validated,
    left_out,
)
from mambaad_demo.workflow.training.layout import ExitStatus, JobFolder, Order, write_whole

if TYPE_CHECKING:  # the engine brings torch along, for which stand-ins need not wait
    from mambaad_demo.pipeline.finetune_photos import Refusal
    from mambaad_demo.pipeline.finetuning import Preparation, Progress

DISK_FULL = "The disk is full. Free some space, then resume."
UNEXPECTED = "It failed unexpectedly; its log says where. Resume goes on from the last validation."
_SECONDS_BETWEEN_LINES = 0.1
_SECONDS_BETWEEN_PREVIEWS = 20.0
_NO_SPACE = ("No space left on device", "iostream error", "file write failed")  # of safetensors and torch


class Engine(Protocol):
    """The part of `Finetuning` that a job needs."""

    @property
    def refused(self) -> Sequence[Refusal]: ...

    @property
    def notices(self) -> Sequence[str]: ...

    def prepare(self) -> Iterator[Preparation]: ...

    def steps(self) -> Generator[Progress]: ...

    def previews(self) -> list[tuple[str, bytes]]: ...

    def save(self, folder: Path, name: str) -> dict[str, JsonValue]: ...


OpenEngine = Callable[[Order, JobFolder], Engine]


def run_job(folder: JobFolder, open_engine: OpenEngine) -> ExitStatus:
    """Be the process of a job: carry out its newest order and return the exit status.

    Raises:
        FileNotFoundError: there is no order.
    """
    order = folder.order()
    if order is None:
        raise FileNotFoundError("The folder holds no order; jobs are started by the server.")
    stop = lifeline.hold(order.parent)
    lifeline.step_back()
    with folder.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the process of a killed server may still be saving
        return carry_out(folder, order, open_engine, stop)


def carry_out(folder: JobFolder, order: Order, open_engine: OpenEngine, stop: threading.Event) -> ExitStatus:
    """Prepare, train, save, as ordered; returns how it ended, and never raises."""
    events = EventLog(folder.events)
    try:
        return _run(folder, order, open_engine, stop)
    except Exception as error:  # the border of the process
        if is_disk_full(error):
            ending, words = ExitStatus.DISK_FULL, DISK_FULL
        else:
            ending, words = ExitStatus.FAILED, str(error) if isinstance(error, DemoError) else UNEXPECTED
        with suppress(OSError):
            traceback.print_exception(error)
        with suppress(OSError):
            events.write(Failed(error=words))
        return ending


def is_disk_full(error: BaseException | None) -> bool:
    """Whether this, or what it came from, is about room on the disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(words in str(error) for words in _NO_SPACE):
            return True
        error = error.__cause__ or error.__context__
    return False


def _run(folder: JobFolder, order: Order, open_engine: OpenEngine, stop: threading.Event) -> ExitStatus:
    events = EventLog(folder.events)
    events.write(Prepare(what="loading the checkpoint"))
    engine = open_engine(order, folder)
    _prepare(engine, folder, events, stop)
    if order.phase == "train" and not stop.is_set():
        _train(engine, folder, events, stop)
    if stop.is_set():
        return ExitStatus.STOPPED
    events.write(Save())
    report = engine.save(folder.version / order.version, order.version)
    write_whole(folder.report, json.dumps(report).encode())
    events.write(Done())
    return ExitStatus.DONE


def _prepare(engine: Engine, folder: JobFolder, events: EventLog, stop: threading.Event) -> None:
    for part in engine.prepare():
        events.write(Prepare(what=part.what, done=part.done, total=part.total))
        if stop.is_set():
            return
    names = folder.photo_list().names
    for refusal in engine.refused:
        reason = refusal.reason.removeprefix(f"{refusal.name}: ")
        events.write(Note(text=left_out(names.get(refusal.name, refusal.name), reason)))
    for notice in engine.notices:
        events.write(Note(text=notice))


def _train(engine: Engine, folder: JobFolder, events: EventLog, stop: threading.Event) -> None:
    """Train to the end or until told to stop; the engine saves its state when its steps are closed."""
    written = shown = float("-inf")
    with closing(engine.steps()) as steps:
        for at in steps:
            is_validated = at.validation is not None
            if is_validated or at.seconds - written >= _SECONDS_BETWEEN_LINES or at.progress >= 1:
                written = at.seconds
                _tell(events, at)
            if stop.is_set():
                return
            if is_validated and at.seconds - shown >= _SECONDS_BETWEEN_PREVIEWS:
                shown = at.seconds
                _show(engine, folder, events, at.step)
                if stop.is_set():
                    return


def _tell(events: EventLog, at: Progress) -> None:
    events.write(
        Step(
            step=at.step,
            progress=at.progress,
            loss=at.loss,
            learning_rate=at.learning_rate,
            seconds=at.seconds,
            remaining_seconds=at.remaining_seconds,
        )
    )
    if at.validation is not None:
        found = at.validation
        events.write(
            Validated(step=at.step, loss=found.loss, separation=found.separation, is_best=found.is_best)
        )


def _show(engine: Engine, folder: JobFolder, events: EventLog, step: int) -> None:
    """Replace the preview maps, each by one rename."""
    names = folder.photo_list().names
    folder.previews.mkdir(exist_ok=True)
    shown = []
    for number, (file, jpeg) in enumerate(engine.previews()):
        write_whole(folder.previews / f"{number}.jpg", jpeg)
        shown.append(names.get(file, file))
    events.write(Preview(step=step, names=tuple(shown)))
