"""One thread for all tensor work of a server, whoever asks for it.

OpenMP keeps a team of workers for every thread that has ever computed. As soon as all teams together have
more workers than there are processors they no longer wait awake, and each of the hundreds of parallel
regions of a pass begins with a wake-up: measured on two processors, a pass then takes 1.5 to 2 times as long,
for every thread, until the process ends. So a server computes on this thread alone. Programs with one thread
need none of this.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
Result = TypeVar("Result")

_here = threading.local()


def run(function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """Call a function on the model thread, after all calls that came before, and wait for its result.

    A call from that thread itself does not wait. Raises whatever the function raises.
    """
    if getattr(_here, "is_model_thread", False):
        return function(*args, **kwargs)
    return submit(function, *args, **kwargs).result()


def submit(function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Future[Result]:
    """Call a function on the model thread some time, without waiting, in the caller's context: on a Space it
    says whose request this is."""
    future = _executor.submit(copy_context().run, partial(function, *args, **kwargs))
    _unfinished.add(future)
    future.add_done_callback(_unfinished.discard)
    return future


def pending() -> int:
    """How many calls are at work or wait for their turn."""
    return len(_unfinished)


def _new_executor() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(
        1, thread_name_prefix="model", initializer=lambda: setattr(_here, "is_model_thread", True)
    )


def _start_anew() -> None:
    """A forked child has no copy of the thread and would wait for it for ever."""
    global _executor
    _executor = _new_executor()
    _unfinished.clear()


_unfinished: set[Future[Any]] = set()
_executor = _new_executor()
if hasattr(os, "register_at_fork"):  # where processes fork
    os.register_at_fork(after_in_child=_start_anew)
