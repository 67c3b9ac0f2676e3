"""Batches of a server: one at a time in a thread of its own, so that they outlive the tab that started them.

The files of a batch are linked, or copied, from the visitor's uploads into a folder of its own until it is
done; thus a batch can be resumed after a killed server too.
"""

import logging
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from mambaad_demo.errors import DemoError, InputError, StorageError
from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.storage import jobs
from mambaad_demo.storage.jobs import RESUMABLE, JobFacts, JobState
from mambaad_demo.storage.limits import in_force
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.batches import (
    BatchSpec,
    new_batch,
    pictures_of,
    reason_of,
    require_possible,
    run_batch,
)
from mambaad_demo.workflow.folder_labels import require_folder_labels

MOST_WAITING = 20
"""Batches of all visitors that wait for their turn."""

Finish = Callable[[Workspace, BatchSpec, Sequence[Path]], None]
"""What happens with the files of a batch once all are judged, such as reading labels from folder names."""

log = logging.getLogger(__name__)


class BatchRunner:
    """Runs batches one after the other; safe to call from any thread."""

    def __init__(self, catalog: Catalog, folder: Path, *, finish: Finish) -> None:
        """
        Args:
            catalog: where checkpoints come from.
            folder: where the files of unfinished batches lie.
            finish: called when all pictures are confirmed and before their files are deleted; where it
                fails, so does the batch, which can be resumed.
        """
        self._catalog = catalog
        self._folder = folder
        self._finish = finish
        self._lane = ThreadPoolExecutor(1, thread_name_prefix="batch")
        self._stops: dict[str, threading.Event] = {}
        self._work_of: dict[str, Future[None]] = {}
        self._owners: dict[str, Workspace] = {}
        self._lock = threading.RLock()
        self._is_closing = False

    def start(
        self,
        workspace: Workspace,
        spec: BatchSpec,
        files: Sequence[Path],
        *,
        name: str,
        actor: str,
        admit: Callable[[int], None] = lambda count: None,
    ) -> str:
        """Take over the files and queue the batch; returns the id of its job.

        Args:
            workspace: whose batch it is.
            spec: what is asked for.
            files: pictures and zip files; their owner may delete them afterwards.
            name: what people call the batch.
            actor: who asks.
            admit: given the number of pictures, each tile counted; raises `InputError` for too many.

        Raises:
            InputError: no files, no such checkpoint or category, too many pictures, or too many batches wait.
            StorageError: the files cannot be taken over.
        """
        if not files:
            raise InputError("Choose pictures or a zip file first.")
        self._require_room()
        predictor = in_force(workspace, self._catalog.predictor(spec.checkpoint))
        require_possible(spec, predictor)
        pictures = pictures_of(files)  # refuses what cannot be a batch while its owner is still looking
        require_folder_labels(spec, files)
        admit(len(pictures) * (spec.tiles or predictor.tiles) ** 2)
        job_id = new_batch(workspace, spec, name=name, actor=actor)
        self._take_over(workspace, job_id, files)
        self._queue(workspace, job_id)
        return job_id

    def resume(self, workspace: Workspace, job_id: str) -> None:
        """Go on with a batch that was stopped or interrupted.

        Raises:
            InputError: it is not one of those, or its files are gone.
        """
        with self._lock:  # of two that resume it at once, the second finds it waiting
            facts = batch_facts(workspace, job_id)
            if facts.state not in RESUMABLE:
                raise InputError(f"This batch is {facts.state.value}; there is nothing to resume.")
            if not (self._folder / job_id).is_dir():
                raise InputError(
                    "The files of this batch are no longer here. Upload them again as a new batch."
                )
            self._require_room()
            jobs.set_state(workspace, job_id, JobState.WAITING)
            self._queue(workspace, job_id)

    def stop(self, workspace: Workspace, job_id: str) -> None:
        """Stop a batch after the pictures at hand; what is confirmed stays."""
        batch_facts(workspace, job_id)  # of this workspace, or an error
        with self._lock:
            if job_id in self._stops:
                self._stops[job_id].set()
                if self._work_of[job_id].cancel():  # its turn had not come
                    self._leave(job_id, self._stops[job_id])
                    jobs.set_state(workspace, job_id, JobState.STOPPED)

    def forget(self, workspace: Workspace, job_id: str) -> None:
        """Delete the waiting files of a batch that is to be deleted.

        Raises:
            InputError: it is still running.
        """
        batch_facts(workspace, job_id)
        with self._lock:
            if job_id in self._stops:
                raise InputError("This batch is still running. Stop it first.")
        shutil.rmtree(self._folder / job_id, ignore_errors=True)

    def discard(self, job_id: str) -> None:
        """Stop a batch that the store no longer knows, and delete its files."""
        with self._lock:
            if job_id in self._stops:
                self._stops[job_id].set()
        shutil.rmtree(self._folder / job_id, ignore_errors=True)

    def left_over(self) -> set[str]:
        """Batches whose files lie here: those that are not done, also of a server that was killed."""
        return {path.name for path in self._folder.iterdir()} if self._folder.is_dir() else set()

    def queued(self) -> int:
        """How many batches are at work or wait for their turn."""
        with self._lock:
            return len(self._stops)

    def wait(self, job_id: str) -> None:
        """Return when a batch is no longer at work here; at once for one that never was."""
        with self._lock:
            work = self._work_of.get(job_id)
        if work is not None:
            with suppress(CancelledError):
                work.result()

    def close(self) -> None:
        """Stop everything and wait for the pictures at hand; all that was not done can be resumed."""
        with self._lock:
            self._is_closing = True
            for stop in self._stops.values():
                stop.set()
            waiting = [job_id for job_id, work in self._work_of.items() if work.cancel()]
            for job_id in waiting:
                owner = self._owners[job_id]
                self._leave(job_id, self._stops[job_id])
                with suppress(DemoError):  # the next server finds it by its files
                    jobs.set_state(owner, job_id, JobState.INTERRUPTED)
        self._lane.shutdown(wait=True)

    def _require_room(self) -> None:
        with self._lock:
            if self._is_closing:
                raise InputError("The server is closing down. Try again in a minute.")
            if len(self._stops) >= MOST_WAITING:
                raise InputError("Too many batches wait already. Try again when one of them is done.")

    def _take_over(self, workspace: Workspace, job_id: str, files: Sequence[Path]) -> None:
        source = self._folder / job_id
        try:
            for number, file in enumerate(dict.fromkeys(files)):
                place = source / f"{number:05d}"
                place.mkdir(parents=True)
                _keep(file, place / file.name)
        except OSError as error:
            shutil.rmtree(source, ignore_errors=True)
            problem = "The files could not be taken over: the disk may be full. Upload them again later."
            jobs.set_state(workspace, job_id, JobState.FAILED, error=problem)
            raise StorageError(problem) from error

    def _queue(self, workspace: Workspace, job_id: str) -> None:
        stop = threading.Event()
        with self._lock:
            self._stops[job_id], self._owners[job_id] = stop, workspace
            self._work_of[job_id] = self._lane.submit(self._run, workspace, job_id, stop)

    def _leave(self, job_id: str, stop: threading.Event) -> None:
        """Forget a turn, unless the batch has been resumed since and has another one."""
        with self._lock:
            if self._stops.get(job_id) is stop:
                del self._stops[job_id], self._work_of[job_id], self._owners[job_id]

    def _run(self, workspace: Workspace, job_id: str, stop: threading.Event) -> None:
        try:
            self._work(workspace, job_id, stop)
        except DemoError as error:  # the store has it, if the store still works
            log.warning("Batch %s ended: %s", job_id, error)
        except Exception:  # the border of the thread; the store says that it failed
            log.exception("Batch %s failed", job_id)
        finally:
            self._leave(job_id, stop)

    def _work(self, workspace: Workspace, job_id: str, stop: threading.Event) -> None:
        if stop.is_set():
            state = JobState.INTERRUPTED if self._is_closing else JobState.STOPPED
            jobs.set_state(workspace, job_id, state)
            return
        source = self._folder / job_id
        files = sorted(path for path in source.rglob("*") if path.is_file())
        try:
            spec = BatchSpec.model_validate(jobs.job(workspace, job_id).spec)
            predictor = in_force(workspace, self._catalog.predictor(spec.checkpoint))
            pictures = pictures_of(files)
        except BaseException as error:
            jobs.set_state(workspace, job_id, JobState.FAILED, error=reason_of(error))
            raise
        finish = partial(self._finish, workspace, spec, files)
        with closing(run_batch(workspace, job_id, predictor, pictures, finish=finish)) as steps:
            for _ in steps:
                if stop.is_set():
                    break
        if stop.is_set():
            if self._is_closing and jobs.job(workspace, job_id).state is JobState.STOPPED:
                jobs.set_state(workspace, job_id, JobState.INTERRUPTED)  # nobody stopped it
            return
        shutil.rmtree(source, ignore_errors=True)


def batch_facts(workspace: Workspace, job_id: str) -> JobFacts:
    """A batch of this workspace.

    Raises:
        InputError: there is none of this id; other jobs are no batches.
    """
    facts = jobs.job(workspace, job_id)
    if facts.kind != jobs.BATCH:
        raise InputError("This job is no longer here. Load the page again.")
    return facts


def _keep(file: Path, target: Path) -> None:
    """A file under another name, without a copy where the disk allows it.

    The upload itself stays: equal files of two visitors are one file to Gradio.
    """
    try:
        target.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, target)
