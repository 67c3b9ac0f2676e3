"""Calls that report by a callback, turned into generators, which is what a page can show the progress of."""

import queue
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Told:
    """How far some work is."""

    what: str
    done: int = 0
    total: int = 0
    """0 where nobody counts."""


Tell = Callable[[Told], None]


class _NobodyListens(BaseException):
    """Ends work whose generator was closed; no handler of errors may keep it."""


def told(work: Callable[[Tell], Result]) -> Generator[Told, None, Result]:
    """Do work in a thread, yield what it tells, and return its result.

    Closing the generator ends the work the next time it tells something.

    Raises:
        whatever the work raises.
    """
    said: queue.SimpleQueue[Told | None] = queue.SimpleQueue()
    is_closed = threading.Event()
    outcome: list[Result] = []
    problems: list[BaseException] = []

    def tell(progress: Told) -> None:
        if is_closed.is_set():
            raise _NobodyListens
        said.put(progress)

    def run() -> None:
        try:
            outcome.append(work(tell))
        except _NobodyListens:
            pass
        except BaseException as error:  # crosses to the thread that waits
            problems.append(error)
        finally:
            said.put(None)

    threading.Thread(target=run, name="told", daemon=True).start()
    try:
        while (progress := said.get()) is not None:
            yield progress
    finally:
        is_closed.set()
    if problems:
        raise problems[0]
    return outcome[0]
