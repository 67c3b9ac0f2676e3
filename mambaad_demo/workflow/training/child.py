"""The process of a job as the server sees it: started, waited for, and ended for certain."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import mambaad_demo

GRACE = 1.25
"""Seconds that a process has to save and end before it is killed."""

_ROOT = Path(mambaad_demo.__file__).resolve().parents[1]


class Child:
    """A process in a session of its own, with all it starts; safe to share between threads."""

    def __init__(
        self, command: Sequence[str], folder: Path, *, log: Path, environ: Mapping[str, str]
    ) -> None:
        """
        Args:
            command: finds this package whether it is installed or not.
            folder: where it works.
            log: receives what it prints, after what is there.
            environ: its environment.

        Raises:
            OSError: it cannot be started.
        """
        paths = [str(_ROOT), *filter(None, [environ.get("PYTHONPATH")])]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**environ, "PYTHONPATH": os.pathsep.join(paths)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> int:
        """Its exit status, minus the signal where one ended it, once it and all it started are gone."""
        status = self._process.wait()
        self._signal(signal.SIGKILL)
        return status

    def end(self, *, grace: float = GRACE) -> None:
        """Ask it to save and end, and kill it where it has not after some seconds."""
        if self._process.poll() is None:
            self._hurry()
            self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(grace)
        if self._process.poll() is None:
            self._signal(signal.SIGKILL)

    def _hurry(self) -> None:
        """Let it go no longer last where we may: even a killed process needs its turn to be gone."""
        with suppress(ProcessLookupError, PermissionError):
            os.setpriority(os.PRIO_PGRP, self._process.pid, os.getpriority(os.PRIO_PROCESS, 0))

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group that is gone
            os.killpg(self._process.pid, number)
