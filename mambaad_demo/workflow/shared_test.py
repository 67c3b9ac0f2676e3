"""One self-test at a time: whoever asks while one is at work, or has just passed, is answered by that one."""

import threading
import time
from collections.abc import Callable, Iterator

FRESH_SECONDS = 10.0
"""For how long a self-test that all checkpoints passed answers those who come after it."""


class SelfTestRun:
    """A self-test at work in a thread of its own; safe to share between threads."""

    def __init__(self, total: int) -> None:
        self.total = total
        """Checkpoints to be tested."""
        self.done = 0
        """Of these."""
        self.problem: Exception | None = None
        """What ended it early; it is told to all who asked."""
        self.ended_at: float | None = None
        """By the clock of `SharedTest`; None while it is at work."""
        self._over = threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self._over.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end, at most so long; whether it has come."""
        return self._over.wait(seconds)

    def work(self, steps: Iterator[object], clock: Callable[[], float]) -> None:
        """Take the steps, one for each checkpoint."""
        try:
            for _ in steps:
                self.done += 1
        except Exception as error:  # the border of the thread
            self.problem = error
        finally:
            self.ended_at = clock()
            self._over.set()


class SharedTest:
    """Begins self-tests, never two at once; safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: SelfTestRun | None = None
        self._lock = threading.Lock()

    def join(self, steps: Callable[[], Iterator[object]], *, total: int, has_passed: bool) -> SelfTestRun:
        """The self-test at work, or one that has just passed, else a new one.

        Args:
            steps: begins a new one; yields once for each checkpoint.
            total: how many those are.
            has_passed: whether no checkpoint failed the last one.
        """
        with self._lock:
            last = self._last
            if last is not None and (not last.is_over or (has_passed and self._is_fresh(last))):
                return last
            self._last = run = SelfTestRun(total)
        threading.Thread(target=run.work, args=(steps(), self._clock), name="self-test", daemon=True).start()
        return run

    def _is_fresh(self, run: SelfTestRun) -> bool:
        age = self._clock() - (run.ended_at or 0.0)
        return run.problem is None and age < FRESH_SECONDS
