"""What nobody comes back for is deleted by the clock.

Uploads everywhere; among strangers also their work, files of batches that are gone, and temporary folders of
processes that were killed.
"""

import logging
import shutil
import tempfile
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import gradio as gr

from mambaad_demo.data.temporary import PREFIX
from mambaad_demo.storage.tables import now
from mambaad_demo.ui.desk import Desk
from mambaad_demo.ui.uploads import delete_old_files

EVERY = timedelta(minutes=5)

_STALE = timedelta(days=1)
_PATIENCE = 5.0  # seconds to wait for a round at hand

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to delete in time."""

    name: str
    do: Callable[[datetime], object]
    """Given the moment."""


def chores(desk: Desk, *, uploads: Path | None, kept: Callable[[], Collection[str]]) -> list[Chore]:
    """What there is to do on this server.

    Args:
        desk: stored work; that of strangers expires.
        uploads: folder of what visitors send; None where it holds other files too.
        kept: files there that the page itself needs.
    """
    found = []
    if uploads is not None:
        found.append(Chore("uploads", partial(_delete_uploads, uploads, desk.retention, kept)))
    if desk.is_private:
        found += [
            Chore("work of visitors", desk.expire),
            Chore("files of batches that are gone", lambda at: desk.discard_strays()),
            Chore("temporary folders", delete_stale_temporary),
        ]
    return found


class Janitor:
    """Does its chores at once and then every few minutes, in a thread of its own, until it is closed."""

    def __init__(
        self,
        chores: Sequence[Chore],
        *,
        every: timedelta = EVERY,
        clock: Callable[[], datetime] = now,
    ) -> None:
        """
        Args:
            chores: one that fails does not keep the others.
            every: from the end of a round to the beginning of the next one.
            clock: the moment, with its zone.
        """
        self._chores, self._every, self._clock = tuple(chores), every, clock
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="janitor", daemon=True)

    def start(self) -> None:
        """Begin the first round."""
        self._thread.start()

    def close(self) -> None:
        """Begin no other chore, and wait a little for the one at hand."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE)

    def round(self) -> None:
        """Do every chore once."""
        for chore in self._chores:
            if self._closing.is_set():
                return
            try:
                chore.do(self._clock())
            except Exception:  # the border of the thread
                log.exception("Cleaning failed: %s", chore.name)

    def _run(self) -> None:
        self.round()
        while not self._closing.wait(self._every.total_seconds()):
            self.round()


def kept_files(app: gr.Blocks) -> set[str]:
    """Files among the uploads that components of the page show from the beginning."""
    return {path for block in app.blocks.values() for path in getattr(block, "keep_in_cache", ())}


def delete_stale_temporary(at: datetime, *, folder: Path | None = None) -> int:
    """Delete our temporary folders that nobody has touched for a day; returns how many.

    Args:
        at: the moment.
        folder: where temporary folders are; the system's by default.
    """
    oldest = (at - _STALE).timestamp()
    count = 0
    for path in (folder or Path(tempfile.gettempdir())).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink() and path.lstat().st_mtime < oldest:
                shutil.rmtree(path, ignore_errors=True)
                count += 1
    return count


def _delete_uploads(
    folder: Path, retention: timedelta, kept: Callable[[], Collection[str]], at: datetime
) -> None:
    minutes = int(retention.total_seconds() // 60)
    delete_old_files(folder, minutes=minutes, at=at.timestamp(), keep=kept())
