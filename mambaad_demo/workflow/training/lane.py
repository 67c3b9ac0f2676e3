"""The queue of fine-tuning jobs: one is at work in a thread of its own, the others wait in order."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress

from mambaad_demo.errors import DemoError, InputError
from mambaad_demo.storage.jobs import JobState
from mambaad_demo.workflow.training.turn import Ending, Turn

_GRACE = 5.0  # seconds to save for the process of a closing server, where nobody waits before a screen

log = logging.getLogger(__name__)


class Lane:
    """Turns in order; safe to share between threads."""

    def __init__(self, work: Callable[[Turn], None], *, most: int) -> None:
        """
        Args:
            work: does the work of a turn.
            most: turns that may be in the queue, the one at work included.
        """
        self.lock = threading.RLock()
        """To be held by who looks at the store and at the queue."""
        self._work = work
        self._most = most
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="training")
        self._turns: dict[str, Turn] = {}
        self._endings: dict[str, Ending] = {}
        self._is_closed = False

    def __len__(self) -> int:
        """Turns in the queue, the one at work included."""
        with self.lock:
            return len(self._turns)

    def require_room(self) -> None:
        """Refuse what would make the queue too long.

        Raises:
            InputError: as many wait as may, or the queue is closed.
        """
        with self.lock:
            if self._is_closed:
                raise InputError("The server is closing down. Try again in a minute.")
            if len(self._turns) >= self._most:
                raise InputError("Too many trainings wait already. Try again when one of them is done.")

    def add(self, turn: Turn) -> None:
        """Put a turn at the end of the queue."""
        with self.lock:
            self._turns[turn.job_id] = turn
            turn.work = self._thread.submit(self._run, turn)

    def turn(self, job_id: str) -> Turn | None:
        """The turn of a job that waits or is at work."""
        with self.lock:
            return self._turns.get(job_id)

    def position(self, job_id: str) -> int | None:
        """How many are before it; 0 is at work, None is not in the queue."""
        with self.lock:
            return list(self._turns).index(job_id) if job_id in self._turns else None

    def ending(self, job_id: str) -> Ending | None:
        """How the last turn of a job ended here, whatever the store has been told."""
        with self.lock:
            return self._endings.get(job_id)

    def withdraw(self, turn: Turn) -> bool:
        """Take a turn out of the queue; False where it is at work."""
        with self.lock:
            is_withdrawn = turn.work.cancel()
            if is_withdrawn:
                self._leave(turn)
            return is_withdrawn

    def wait(self, job_id: str) -> None:
        """Return when a job is no longer in the queue; at once for one that is not."""
        turn = self.turn(job_id)
        if turn is not None:
            with suppress(CancelledError):
                turn.work.result()

    def close(self) -> list[Turn]:
        """Interrupt the turn at work; returns those whose turn had not come."""
        with self.lock:
            self._is_closed = True
            turns = list(self._turns.values())
            waiting = [turn for turn in turns if self.withdraw(turn)]
        for turn in turns:
            turn.end(JobState.INTERRUPTED, grace=_GRACE)
        self._thread.shutdown(wait=True)
        return waiting

    def _run(self, turn: Turn) -> None:
        try:
            self._work(turn)
        except DemoError as error:  # the store has it, if the store still works
            log.warning("Training %s ended: %s", turn.job_id, error)
        except Exception:  # the border of the thread; the store says that it failed
            log.exception("Training %s failed", turn.job_id)
        finally:
            self._leave(turn)

    def _leave(self, turn: Turn) -> None:
        """Forget a turn, unless the job has been resumed since and has another one."""
        with self.lock:
            if self._turns.get(turn.job_id) is turn:
                del self._turns[turn.job_id]
                if turn.ending is not None:
                    self._endings[turn.job_id] = turn.ending
