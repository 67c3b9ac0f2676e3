"""One run of a job on the server's side: order → process → version, and how it ended in the store."""

import os
import shutil
import signal
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mambaad_demo.errors import StorageError
from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.storage import jobs
from mambaad_demo.storage.jobs import JobState
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.batches import reason_of
from mambaad_demo.workflow.training import versions
from mambaad_demo.workflow.training.child import Child
from mambaad_demo.workflow.training.events import EventLog, Failed, Prepare, read_events
from mambaad_demo.workflow.training.job_folder import TrainingSpec
from mambaad_demo.workflow.training.layout import ExitStatus, JobFolder, Order, write_whole
from mambaad_demo.workflow.training.loop import DISK_FULL, UNEXPECTED, is_disk_full
from mambaad_demo.workflow.training.status import saved_step

Phase = Literal["train", "save"]
Ending = tuple[JobState, str | None]
"""How a job ended, with words where it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """Where all jobs of a server are done."""

    catalog: Catalog
    folder: Path
    """Holds the folders of the jobs."""
    versions: Path
    replay: Path
    device: str
    kernel: str
    environ: Mapping[str, str]
    command: tuple[str, ...]

    def job(self, job_id: str) -> JobFolder:
        """The folder of a job."""
        return JobFolder(self.folder / job_id)


class Turn:
    """A job in the queue or at work; safe to share between threads."""

    def __init__(self, workspace: Workspace, job_id: str, phase: Phase) -> None:
        self.workspace, self.job_id, self.phase = workspace, job_id, phase
        self.work: Future[None] = Future()
        """Done when the store knows how it ended."""
        self.ending: Ending | None = None
        """None until it has ended; the store may be out of reach then."""
        self._wanted: JobState | None = None
        self._child: Child | None = None
        self._lock = threading.Lock()

    def end(self, state: JobState) -> None:
        """End the process, or see that none is started, so that the job is in this state afterwards."""
        with self._lock:
            self._wanted = self._wanted or state
            child = self._child
        if child is not None:
            child.end()

    def run(self, place: Workplace) -> None:
        """Do the work, and say in the store how it ended.

        Raises:
            DemoError: it cannot even begin, or the store failed.
        """
        self._say(JobState.RUNNING)
        try:
            self.ending = self._attempt(place, place.job(self.job_id))
        except BaseException as problem:
            self.ending = (JobState.FAILED, DISK_FULL if is_disk_full(problem) else reason_of(problem))
            raise
        finally:
            if self.ending is not None:
                self._say(*self.ending)

    def _say(self, state: JobState, error: str | None = None) -> None:
        jobs.set_state(self.workspace, self.job_id, state, error=error)

    def _attempt(self, place: Workplace, folder: JobFolder) -> Ending:
        if _was_published(place, folder):  # by a server that was killed before it could say so
            return JobState.DONE, None
        order = self._order(place, folder)
        try:
            status = self._process(place, folder, order)
            if status == ExitStatus.DONE:
                _publish(place, folder, order.version)
        finally:
            versions.release(place.versions, order.version)
        return self._outcome(status, folder)

    def _order(self, place: Workplace, folder: JobFolder) -> Order:
        spec = TrainingSpec.model_validate(jobs.job(self.workspace, self.job_id).spec)
        previous = folder.order()
        if previous is not None:
            versions.release(place.versions, previous.version)
        order = Order(
            base=place.catalog.predictor(spec.checkpoint).checkpoint.folder.absolute(),
            finetune=spec.finetune.model_dump(mode="json"),
            version=versions.reserve(
                place.versions,
                spec.version,
                category=spec.finetune.category,
                taken=place.catalog.names(),
            ),
            replay=place.replay,
            device=place.device,
            kernel=place.kernel,
            parent=os.getpid(),
            phase=self.phase,
        )
        shutil.rmtree(folder.version, ignore_errors=True)
        folder.report.unlink(missing_ok=True)
        write_whole(folder.order_file, order)
        EventLog(folder.events).write(Prepare(what="starting"))
        return order

    def _process(self, place: Workplace, folder: JobFolder, order: Order) -> int:
        """The exit status of the process, once it is gone; that of a stopped one where none is wanted."""
        with self._lock:
            if self._wanted is not None:
                return ExitStatus.STOPPED
            command = (*place.command, str(folder.path))
            self._child = Child(command, folder.path, log=folder.log, environ=place.environ)
        return self._child.wait()

    def _outcome(self, status: int, folder: JobFolder) -> Ending:
        if status == ExitStatus.DONE:
            return JobState.DONE, None
        if status == ExitStatus.DISK_FULL:
            return JobState.FAILED, DISK_FULL
        if status == ExitStatus.STOPPED or (status < 0 and self._wanted is not None):
            return self._wanted or JobState.INTERRUPTED, None
        if status < 0:
            return JobState.FAILED, _killed(-status, folder)
        failures = [e for e in read_events(folder.events, most_steps=1) if isinstance(e, Failed | Prepare)]
        last = failures[-1] if failures else None
        return JobState.FAILED, last.error if isinstance(last, Failed) else UNEXPECTED


def _was_published(place: Workplace, folder: JobFolder) -> bool:
    order = folder.order()
    return (
        order is not None
        and folder.report.exists()
        and not (folder.version / order.version).exists()
        and versions.is_published(place.versions, order.version)
    )


def _publish(place: Workplace, folder: JobFolder, version: str) -> None:
    """Make a version of what the process left, and delete what only a resumed one would need."""
    try:
        versions.publish(folder.version / version, place.versions)
    except OSError as error:
        raise StorageError("The version could not be moved to its place. Resume to try again.") from error
    place.catalog.forget(version)
    for needless in (folder.version, folder.photos):
        shutil.rmtree(needless, ignore_errors=True)
    for state in folder.path.glob(f"{folder.state.stem}.*"):
        state.unlink()


def _killed(number: int, folder: JobFolder) -> str:
    """What happened to a process that a signal ended, and what to do."""
    step = saved_step(folder)
    memory = ": the machine may have run out of memory" if number == signal.SIGKILL else ""
    way_out = "Resume starts anew" if step is None else f"Resume goes on from step {step}"
    return f"Its process was ended by signal {number}{memory}. {way_out}; a smaller batch needs less memory."
