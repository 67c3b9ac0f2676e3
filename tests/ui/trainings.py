"""Trainings without a process: a runner that remembers what it was asked, statuses and reports to show."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mambaad_demo.pipeline.good_set_estimate import Estimate
from mambaad_demo.pipeline.good_set_outliers import Finding
from mambaad_demo.pipeline.good_set_report import GoodSetReport
from mambaad_demo.storage import jobs, removal
from mambaad_demo.storage.jobs import JobFacts, JobState
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.training.job_folder import TrainingSpec
from mambaad_demo.workflow.training.status import StepPoint, TrainingStatus, ValidationPoint

KIND = "finetune"
JUDGMENT = {"loss": 0.2, "separation": 4.0, "median_score": 0.1}
ESTIMATE = Estimate(
    seconds_to_start=6.0,
    seconds_per_photo=0.4,
    seconds_per_step=0.9,
    megabytes=1300.0,
    megabytes_per_photo=2.0,
    megabytes_per_variant=1.5,
    gpu_megabytes=None,
    batch_size=8,
    device="cpu",
)


def facts(state: JobState = JobState.RUNNING, **changes: Any) -> JobFacts:
    """A training's row."""
    job = JobFacts(
        id="ab" * 16,
        kind=KIND,
        name="cookie, 31 photos",
        state=state,
        spec={"finetune": {"category": "cookie"}},
        total=None,
        done=0,
        refused=0,
        verdicts={},
        error=None,
        created_at=datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
        finished_at=None,
    )
    return replace(job, **changes)


def status(job: JobFacts | None = None, **changes: Any) -> TrainingStatus:
    """How far a training is; before its first step unless told otherwise."""
    plain = TrainingStatus(
        job=job or facts(),
        position=0,
        phase="preparing",
        what="reading photos 3 of 31",
        progress=None,
        remaining_seconds=None,
        steps=[],
        validations=[],
        previews=[],
        preview_names=[],
        notes=[],
        version=None,
        report=None,
        can_finish=False,
    )
    return replace(plain, **changes)


def at_step(step: int, *, job: JobFacts | None = None, **changes: Any) -> TrainingStatus:
    """A training of 400 steps, validated every 20; the best state is that of step 40."""
    known = {
        "phase": "training",
        "what": f"step {step} of 400",
        "progress": step / 400,
        "remaining_seconds": 0.9 * (400 - step),
        "steps": [
            StepPoint(step=n, seconds=0.9 * n, loss=1 / n, learning_rate=4e-3) for n in range(1, step + 1)
        ],
        "validations": [
            ValidationPoint(step=n, loss=1.2 / n, separation=4 - abs(n - 40) / 20, is_best=n <= 40)
            for n in range(20, step + 1, 20)
        ],
    }
    return status(job, **known | changes)


def report_of(**changes: Any) -> dict[str, Any]:
    """What the engine says of a version."""
    known = {
        name: {
            "before": JUDGMENT,
            "after": JUDGMENT | {"separation": separation},
            "reject_before": 0.5,
            "reject_after": 0.52,
        }
        for name, separation in (("bottle_cap", 3.9), ("hex_nut", 2.0))
    }
    report = {
        "base": "mambaad",
        "base_sha256": "cd" * 32,
        "category": "cookie",
        "photos": {"given": 31, "trained_on": 23, "held_out": 8, "refused": []},
        "spec": {"reject_rate": 0.005, "check_rate": 0.05},
        "steps": 400,
        "seconds": 361.0,
        "best_step": 40,
        "ended_early": False,
        "best": JUDGMENT,
        "known": known,
        "not_rehearsed": [],
    }
    return report | changes


def good_set(**changes: Any) -> GoodSetReport:
    """What the check says of 31 photos without a fault."""
    plain: dict[str, Any] = {
        "count": 31, "usable": 31, "refused": (), "sizes": (((320, 427), 31),), "gray": (), "duplicates": (),
        "copies": (), "blank": (), "blurred": (), "exposure": (), "brightness": (0.4, 0.45, 0.58), "odd": (),
        "leave_out": (),
    }  # fmt: skip
    return GoodSetReport(**plain | changes)


def odd(*names: str) -> tuple[Finding, ...]:
    """Photos that look odd."""
    return tuple(Finding(name, 2.7, "2.7 times as unlike the others as is usual") for name in names)


class Trainings:
    """Stands in for `TrainingRunner`; jobs lie in the store, the rest is made up."""

    def __init__(self) -> None:
        self.specs: list[TrainingSpec] = []
        self.photos: list[dict[str, bytes]] = []
        """Names and contents of each start."""
        self.statuses: dict[str, TrainingStatus] = {}
        """What is said of a job instead of its plain status."""
        self.log = ""
        self.asked: list[str] = []

    def start(
        self, workspace: Workspace, spec: TrainingSpec, photos: Sequence[Path], *, name: str, actor: str
    ) -> str:
        self.specs.append(spec)
        self.photos.append({path.name: path.read_bytes() for path in photos})
        return jobs.create_job(
            workspace, kind=KIND, name=name, spec=spec.model_dump(mode="json"), actor=actor
        )

    def stop(self, workspace: Workspace, job_id: str) -> None:
        self._turn(workspace, job_id, "stop", JobState.STOPPED)

    def resume(self, workspace: Workspace, job_id: str) -> None:
        self._turn(workspace, job_id, "resume", JobState.WAITING)

    def finish(self, workspace: Workspace, job_id: str) -> None:
        self._turn(workspace, job_id, "finish", JobState.DONE)

    def discard(self, workspace: Workspace, job_id: str, *, actor: str) -> None:
        removal.delete_job(workspace, job_id, actor=actor)

    def status(self, workspace: Workspace, job_id: str) -> TrainingStatus:
        job = jobs.job(workspace, job_id)
        known = self.statuses.get(job_id)
        return status(job) if known is None else replace(known, job=job)

    def trainings(self, workspace: Workspace) -> list[JobFacts]:
        return jobs.jobs(workspace, kind=KIND)

    def queue_position(self, job_id: str) -> int | None:
        return None

    def log_tail(self, workspace: Workspace, job_id: str) -> str:
        jobs.job(workspace, job_id)
        return self.log

    def _turn(self, workspace: Workspace, job_id: str, what: str, state: JobState) -> None:
        self.asked.append(what)
        jobs.set_state(workspace, job_id, state)
