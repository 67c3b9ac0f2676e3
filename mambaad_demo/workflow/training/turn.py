"""One run of a job on the server's side: order → process → version, and how it ended in the store."""

import os
import shutil
import signal
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
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
from mambaad_demo.workflow.training.child import GRACE, Child
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

    def end(self, state: JobState, *, grace: float = GRACE) -> None:
        """End the process, or see that none is started, so that the job is in this state afterwards.

        Args:
            state: where the job is then.
            grace: seconds that it has to save.
        """
        with self._lock:
            self._wanted = self._wanted or state
            child = self._child
        if child is not None:
            child.end(grace=grace)

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
        previous = folder.order()
        if previous is not None and _is_published(place, folder, previous.version):
            _delete_needless(folder)  # a server was killed before it could say so
            return JobState.DONE, None
        if previous is not None:
            versions.release(place.versions, previous.version)
        spec = TrainingSpec.model_validate(jobs.job(self.workspace, self.job_id).spec)
        version = versions.reserve(
            place.versions, spec.version, category=spec.finetune.category, taken=place.catalog.names()
        )
        try:
            self._write_order(place, folder, spec, version)
            status = self._process(place, folder)
            if status == ExitStatus.DONE:
                _publish(place, folder, version)
        finally:
            versions.release(place.versions, version)
        return self._outcome(status, folder)

    def _write_order(self, place: Workplace, folder: JobFolder, spec: TrainingSpec, version: str) -> None:
        order = Order(
            base=place.catalog.predictor(spec.checkpoint).checkpoint.folder.absolute(),
            finetune=spec.finetune.model_dump(mode="json"),
            version=version,
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

    def _process(self, place: Workplace, folder: JobFolder) -> int:
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


def _is_published(place: Workplace, folder: JobFolder, version: str) -> bool:
    """Whether what the last run made has been moved to its place."""
    is_moved = folder.report.exists() and not (folder.version / version).exists()
    return is_moved and versions.is_published(place.versions, version)


def _publish(place: Workplace, folder: JobFolder, version: str) -> None:
    """Make a version of what the process left."""
    try:
        versions.publish(folder.version / version, place.versions)
    except OSError as error:
        raise StorageError("The version could not be moved to its place. Resume to try again.") from error
    place.catalog.forget(version)
    _delete_needless(folder)


def _delete_needless(folder: JobFolder) -> None:
    """Delete what only a resumed run would need."""
    for needless in (folder.version, folder.photos):
        shutil.rmtree(needless, ignore_errors=True)
    for state in folder.path.glob(f"{folder.state.stem}.*"):
        with suppress(OSError):
            state.unlink()


def _killed(number: int, folder: JobFolder) -> str:
    """What happened to a process that a signal ended, and what to do."""
    step = saved_step(folder)
    way_out = "Resume starts anew" if step is None else f"Resume goes on from step {step}"
    if number == signal.SIGKILL:
        return (
            f"Its process was ended by signal {number}: the machine may have run out of memory. {way_out}; "
            "close other programs first. A training with fewer photos or fewer variations of them, or from "
            "the command line with a smaller `--batch-size`, needs less memory."
        )
    return f"Its process was ended by signal {number}. {way_out}."
