"""What the pages of stored work share: the store as a visitor may see it, checkpoints, long work."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from weakref import WeakValueDictionary

import gradio as gr

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.storage import jobs, removal
from mambaad_demo.storage.limits import in_force
from mambaad_demo.storage.tables import now
from mambaad_demo.storage.workspace import SHARED, Workspace
from mambaad_demo.ui.allowance import room_of_asker, take_pictures, take_room
from mambaad_demo.ui.visits import visitor_behind
from mambaad_demo.workflow.batch_runner import BatchRunner
from mambaad_demo.workflow.batches import BatchSpec
from mambaad_demo.workflow.promotion import active_checkpoints
from mambaad_demo.workflow.training.runner import TrainingRunner

_BETWEEN_LOOKS = timedelta(minutes=10)
_ALL = 1_000_000
_KEY_LENGTH = 64

SOMEBODY = "somebody"
"""The actor of what a visitor did who gave no name."""


class Desk:
    """The door to stored work; safe to share between threads."""

    def __init__(
        self,
        store: Workspace,
        catalog: Catalog,
        runner: BatchRunner,
        trainings: TrainingRunner,
        *,
        is_private: bool,
        on_zero_gpu: bool = False,
        retention_minutes: int,
        most_unfinished: int | None = None,
    ) -> None:
        """
        Args:
            store: any workspace of the store.
            catalog: checkpoints by name.
            runner: works on batches.
            trainings: fine-tunes.
            is_private: whether each visitor has a workspace of their own, deleted in time; else
                all share one, and it is kept.
            on_zero_gpu: whether this is a Space that lends a GPU call by call.
            retention_minutes: how long a visitor's own workspace is kept.
            most_unfinished: batches of one workspace that may wait or run; None for any number.
        """
        self.catalog = catalog
        self.runner = runner
        self.trainings = trainings
        self.is_private, self.on_zero_gpu = is_private, on_zero_gpu
        self._store = store
        self.retention = timedelta(minutes=retention_minutes)
        self._next_look = now()
        self._lock = threading.Lock()
        self.most_unfinished = most_unfinished
        self._starting: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        """One for each workspace that starts a batch now."""

    def workspace(self, request: gr.Request) -> Workspace:
        """The workspace of who asks; among strangers what is written to its files counts as theirs.

        Raises:
            InputError: strangers share this server, and the request belongs to no visit of the page.
        """
        if not self.is_private:
            return self._store.of(SHARED)
        self._expire_now_and_then()
        visitor = visitor_behind(request)
        if visitor is None:
            raise InputError("Open the page first, or use a client that keeps one session.")
        own = self._store.of(f"visit-{visitor}"[:_KEY_LENGTH])
        return replace(own, files=own.files.within(room_of_asker()))

    def start_batch(self, workspace: Workspace, spec: BatchSpec, files: Sequence[Path], *, name: str) -> str:
        """Take over the files and queue the batch; returns the id of its job.

        Raises:
            InputError: no files, no such checkpoint or category, too many pictures, or too many batches wait.
            StorageError: the files cannot be taken over, or there is no room for what is found.
        """
        with self._counting(workspace):
            if self.is_private:
                take_room(0)  # before a batch begins that would fail
            return self.runner.start(workspace, spec, files, name=name, actor=SOMEBODY, admit=take_pictures)

    def resume_batch(self, workspace: Workspace, job_id: str) -> None:
        """Go on with a batch that was stopped, interrupted or failed.

        Raises:
            InputError: there is no such batch, it cannot be resumed, or too many wait.
        """
        with self._counting(workspace):
            self.runner.resume(workspace, job_id)

    @contextmanager
    def _counting(self, workspace: Workspace) -> Iterator[None]:
        """Lets a batch begin where few of its workspace wait; of two that begin there at once the second
        counts the first. Other workspaces do not wait.

        Raises:
            InputError: too many wait.
        """
        if self.most_unfinished is None:
            yield
            return
        with self._lock:
            lock = self._starting.setdefault(workspace.key, threading.Lock())
        with lock:
            unfinished = [job for job in jobs.jobs(workspace, at_most=_ALL) if job.state in jobs.UNFINISHED]
            if len(unfinished) >= self.most_unfinished:
                raise InputError(
                    f"{len(unfinished)} of your batches wait or run. Start the next one when one of them is "
                    "done or stopped."
                )
            yield

    def predictor(self, workspace: Workspace, name: str) -> Predictor:
        """A checkpoint with the limits that are in force in a workspace.

        Raises:
            UnknownReleaseError: there is no such checkpoint.
            CheckpointError: it cannot be loaded.
        """
        return in_force(workspace, self.catalog.predictor(name))

    def adjusted(self, predictor: Predictor) -> Predictor:
        """A checkpoint with the limits that all share; strangers have their own on the pages of stored work
        only."""
        return predictor if self.is_private else in_force(self._store.of(SHARED), predictor)

    def active(self) -> dict[str, str]:
        """Category → the checkpoint that was promoted for it, where all share one workspace."""
        return {} if self.is_private else active_checkpoints(self._store.of(SHARED))

    def default_for(self, category: str | None) -> str:
        """The checkpoint that is promoted for a category, else the first one; without any, a name that the
        catalog refuses with a clear message."""
        promoted = self.active().get(category or "")
        names = self.catalog.names()
        return promoted if promoted in names else next(iter(names), "mambaad")

    def _expire_now_and_then(self) -> None:
        with self._lock:
            if now() < self._next_look:
                return
            self._next_look = now() + _BETWEEN_LOOKS
        self.expire()

    def expire(self, at: datetime | None = None) -> None:
        """Delete what strangers left here longer before a moment, by default this one, than they were
        promised."""
        if self.is_private:
            before = (at or now()) - self.retention
            for job_id in removal.delete_old_workspaces(self._store, before=before, keep=SHARED):
                self.runner.discard(job_id)

    def discard_strays(self) -> None:
        """Delete the files of batches that the store does not know."""
        left = self.runner.left_over()
        for job_id in left - jobs.known(self._store, left):
            self.runner.discard(job_id)

    def forget(self, request: gr.Request) -> None:
        """Delete all stored work of who asks, where it is theirs alone; what people share stays."""
        if self.is_private:
            workspace = self.workspace(request)
            for job in jobs.jobs(workspace, at_most=_ALL):
                self.runner.discard(job.id)
            removal.delete_workspace(workspace)

    def stop_work(self) -> None:
        """Interrupt trainings and batches, which can be resumed; returns when they have ended."""
        self.trainings.close()
        self.runner.close()

    def close(self) -> None:
        """Stop what is at work and let go of the database."""
        self.stop_work()
        self._store.database.close()
