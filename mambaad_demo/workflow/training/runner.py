"""Fine-tuning jobs of a server: one at a time, each in a process of its own that cannot harm the server.

A thread waits for the process and says in the store how it ended; the process knows its folder only. Folders
outlive tab, process and server, so that a job can be resumed, or a version be made of what was learned.
"""

import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mambaad_demo.errors import DemoError, InputError, StorageError
from mambaad_demo.pipeline.catalog import Catalog
from mambaad_demo.storage import jobs, removal
from mambaad_demo.storage.jobs import FINETUNE, RESUMABLE, JobFacts, JobState
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.training import log_file, versions
from mambaad_demo.workflow.training.job_folder import TrainingSpec
from mambaad_demo.workflow.training.lane import Lane
from mambaad_demo.workflow.training.photos import arriving, take_over
from mambaad_demo.workflow.training.status import TrainingStatus, read_status
from mambaad_demo.workflow.training.turn import Phase, Turn, Workplace

"""The kind of these jobs in the store."""
MOST_WAITING = 10
"""Jobs of all visitors, the one at work included."""
COMMAND = (sys.executable, "-P", "-m", "mambaad_demo.workflow.training.process")


class TrainingRunner:
    """Runs fine-tuning jobs one after the other; safe to call from any thread."""

    def __init__(
        self,
        catalog: Catalog,
        folder: Path,
        versions_root: Path,
        replay: Path,
        *,
        device: str,
        kernel: str,
        environ: Mapping[str, str],
        command: Sequence[str] = COMMAND,
    ) -> None:
        """
        Args:
            catalog: where checkpoints come from, and where versions will be found.
            folder: holds the folders of all jobs.
            versions_root: receives finished versions; on the same disk as `folder`.
            replay: stored features with which the engine rehearses what a checkpoint knows.
            device, kernel: as for `hub.checkpoints.load_checkpoint`.
            environ: environment of the processes.
            command: runs one job, with its folder as last argument.
        """
        self._place = Workplace(
            catalog=catalog,
            folder=folder,
            versions=versions_root,
            replay=replay,
            device=device,
            kernel=kernel,
            environ=dict(environ),
            command=tuple(command),
        )
        self._lane = Lane(lambda turn: turn.run(self._place), most=MOST_WAITING)

    def start(
        self, workspace: Workspace, spec: TrainingSpec, photos: Sequence[Path], *, name: str, actor: str
    ) -> str:
        """Take over the photos and queue the job; returns its id.

        Args:
            workspace: whose job it is.
            spec: what is asked for.
            photos: pictures and zip files; their owner may delete them afterwards.
            name: what people call the job.
            actor: who asks.

        Raises:
            InputError: fewer than five photos that can be read, a damaged zip file, or too many jobs wait.
            CheckpointError: there is no such checkpoint. There is no job then either.
            StorageError: the photos cannot be taken over.
        """
        self._lane.require_room()
        self._place.catalog.predictor(spec.checkpoint)  # while the owner is looking
        try:
            with arriving(self._place.folder) as folder:
                take_over(photos, folder)
                job_id = jobs.create_job(
                    workspace, kind=FINETUNE, name=name, spec=spec.model_dump(mode="json"), actor=actor
                )
                with self._lane.lock:
                    folder.path.rename(self._place.job(job_id).path)
                    self._lane.add(Turn(workspace, job_id, "train"))
        except OSError as error:
            raise StorageError(
                "The photos could not be taken over: the disk may be full. Upload them again later."
            ) from error
        return job_id

    def resume(self, workspace: Workspace, job_id: str) -> None:
        """Go on with a job that was stopped, interrupted or failed, from where its state was saved last.

        Raises:
            InputError: it is not one of those, its photos are gone, or too many jobs wait.
        """
        self._queue_again(workspace, job_id, "train")

    def finish(self, workspace: Workspace, job_id: str) -> None:
        """Make a version from the best weights of a job that was stopped, interrupted or failed.

        Raises:
            InputError: as for `resume`, or nothing was saved yet.
        """
        self._queue_again(workspace, job_id, "save")

    def stop(self, workspace: Workspace, job_id: str) -> None:
        """Stop a job, keeping the best weights; its process is gone when this returns, in two seconds."""
        with self._lane.lock:
            self._facts(workspace, job_id)  # of this workspace, or an error
            turn = self._lane.turn(job_id)
            if turn is None:
                return
            if self._lane.withdraw(turn):
                jobs.set_state(workspace, job_id, JobState.STOPPED)
                return
        turn.end(JobState.STOPPED)
        turn.work.result()

    def discard(self, workspace: Workspace, job_id: str, *, actor: str = jobs.SYSTEM) -> None:
        """Delete a job with its photos and all it learned; a version that was made of it stays.

        Raises:
            InputError: it is running.
        """
        with self._lane.lock:
            facts = self._facts(workspace, job_id)
            turn = self._lane.turn(job_id)
            if turn is not None and not self._lane.withdraw(turn):
                raise InputError("This training is still running. Stop it first.")
            removal.delete_job(workspace, job_id, actor=actor)
        folder = self._place.job(job_id)
        order = folder.order()
        if order is not None and facts.state is not JobState.DONE:  # a version's name is never given again
            versions.release(self._place.versions, order.version)
        shutil.rmtree(folder.path, ignore_errors=True)

    def status(self, workspace: Workspace, job_id: str) -> TrainingStatus:
        """How far a job is.

        Raises:
            InputError: this workspace has no such job.
        """
        with self._lane.lock:
            facts, position = self._facts(workspace, job_id), self._lane.position(job_id)
        folder = self._place.job(job_id)
        order = folder.order() if facts.state is JobState.DONE else None
        version = None if order is None else order.version
        return read_status(facts, folder, position=position, version=version)

    def trainings(self, workspace: Workspace, *, at_most: int = 100) -> list[JobFacts]:
        """The newest jobs first."""
        with self._lane.lock:
            return [self._seen(facts) for facts in jobs.jobs(workspace, kind=FINETUNE, at_most=at_most)]

    def log_tail(self, workspace: Workspace, job_id: str) -> str:
        """The end of what the process printed, without the paths of this machine."""
        self._facts(workspace, job_id)
        place = self._place
        roots = (place.folder, place.versions, place.replay, Path.home(), Path(sys.prefix))
        return log_file.tail(place.job(job_id).log, roots)

    def queue_position(self, job_id: str) -> int | None:
        """How many are before it; 0 is at work, None is not in the queue."""
        return self._lane.position(job_id)

    def queued(self) -> int:
        """How many jobs are at work or wait for their turn."""
        return len(self._lane)

    def left_over(self) -> set[str]:
        """Jobs whose folders lie here, also those of a server that was killed."""
        folder = self._place.folder
        found = folder.iterdir() if folder.is_dir() else ()
        return {path.name for path in found if not path.name.startswith(".")}

    def wait(self, job_id: str) -> None:
        """Return when a job is no longer at work here; at once for one that is not."""
        self._lane.wait(job_id)

    def close(self) -> None:
        """End the process at hand; it and all that wait can be resumed."""
        for turn in self._lane.close():
            with suppress(DemoError):  # the next server finds it by its folder
                jobs.set_state(turn.workspace, turn.job_id, JobState.INTERRUPTED)

    def _facts(self, workspace: Workspace, job_id: str) -> JobFacts:
        with self._lane.lock:
            facts = jobs.job(workspace, job_id)
            if facts.kind != FINETUNE:
                raise InputError("This job is no training. Load the page again.")
            return self._seen(facts)

    def _seen(self, facts: JobFacts) -> JobFacts:
        """A job as it is: the store may have been out of reach when it ended, such as on a full disk."""
        is_unfinished = facts.state in (JobState.WAITING, JobState.RUNNING)
        is_ours = self._place.job(facts.id).path.is_dir()
        if is_unfinished and is_ours and self._lane.turn(facts.id) is None:
            state, error = self._lane.ending(facts.id) or (JobState.INTERRUPTED, None)
            return replace(facts, state=state, error=error)
        return facts

    def _queue_again(self, workspace: Workspace, job_id: str, phase: Phase) -> None:
        with self._lane.lock:  # of two that ask at once, the second finds it waiting
            facts = self._facts(workspace, job_id)
            if facts.state not in RESUMABLE:
                raise InputError(f"This training is {facts.state.value}; there is nothing to resume.")
            folder = self._place.job(job_id)
            if not folder.path.is_dir():
                raise InputError("The photos of this training are no longer here. Start it anew with them.")
            if phase == "save" and not folder.state.exists():
                raise InputError("It ended before anything was saved. Resume it, or start anew.")
            self._lane.require_room()
            jobs.set_state(workspace, job_id, JobState.WAITING)
            self._lane.add(Turn(workspace, job_id, phase))
