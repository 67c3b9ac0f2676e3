"""How far a fine-tuning job is, from its row in the store and its folder; quick enough to ask each second."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from mambaad_demo.storage.jobs import JobFacts, JobState
from mambaad_demo.workflow.training.events import (
    Done,
    Note,
    Prepare,
    Preview,
    Save,
    Step,
    TrainingEvent,
    Validated,
    read_events,
)
from mambaad_demo.workflow.training.layout import JobFolder

MOST_POINTS = 500
"""Of a curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPoint:
    """A point of the loss curve."""

    step: int
    seconds: float
    """Of training."""
    loss: float
    learning_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationPoint:
    """A point of the validation curves."""

    step: int
    loss: float
    separation: float
    is_best: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStatus:
    """All that a page shows of a job."""

    job: JobFacts
    position: int | None
    """In the queue; 0 is at work, None is not in it."""
    phase: str
    """`waiting`, `preparing`, `training`, `saving`, or one of the states in which nothing happens."""
    what: str
    """The same in words."""
    progress: float | None
    """Of training, 0 to 1; None before the first step."""
    remaining_seconds: float | None
    """Of training; None when it is not at work."""
    steps: list[StepPoint]
    """At most `MOST_POINTS`."""
    validations: list[ValidationPoint]
    previews: list[Path]
    """JPEG files, replaced from time to time under the same names."""
    preview_names: list[str]
    """What people call these photos."""
    notes: list[str]
    """Such as photos that were left out."""
    version: str | None
    """Name of the finished version."""
    report: dict[str, JsonValue] | None
    can_finish: bool
    """Whether a version can be made from what was trained so far."""


@dataclass(slots=True)
class _History:
    """Events of all runs of a job, as one run: what a resumed one does again replaces what was lost."""

    steps: list[Step] = field(default_factory=list)
    validations: list[Validated] = field(default_factory=list)
    preview_names: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    last: TrainingEvent | None = None

    def add(self, event: TrainingEvent) -> None:
        match event:
            case Step():
                while self.steps and self.steps[-1].step >= event.step:
                    self.steps.pop()
                while self.validations and self.validations[-1].step >= event.step:
                    self.validations.pop()
                self.steps.append(event)
            case Validated():
                self.validations.append(event)
            case Preview():
                self.preview_names = list(event.names)
            case Note():
                if event.text not in self.notes:
                    self.notes.append(event.text)
        if not isinstance(event, Note):
            self.last = event


def read_status(
    job: JobFacts, folder: JobFolder, *, position: int | None, version: str | None
) -> TrainingStatus:
    """Put together what is known.

    Args:
        position: in the queue.
        version: name of the finished version.
    """
    history = _History()
    for event in read_events(folder.events, most_steps=MOST_POINTS):
        history.add(event)
    step = history.steps[-1] if history.steps else None
    phase = _phase(job.state, history.last)
    return TrainingStatus(
        job=job,
        position=position,
        phase=phase,
        what=_words(job, history.last, step, phase, position),
        progress=None if step is None else step.progress,
        remaining_seconds=step.remaining_seconds if step is not None and phase == "training" else None,
        steps=[
            StepPoint(step=s.step, seconds=s.seconds, loss=s.loss, learning_rate=s.learning_rate)
            for s in history.steps
        ],
        validations=[
            ValidationPoint(step=v.step, loss=v.loss, separation=v.separation, is_best=v.is_best)
            for v in history.validations
        ],
        previews=_previews(folder, len(history.preview_names)),
        preview_names=history.preview_names,
        notes=history.notes,
        version=version,
        report=folder.read_report() if job.state is JobState.DONE else None,
        can_finish=folder.state.exists() and job.state is not JobState.DONE and position is None,
    )


def saved_step(folder: JobFolder) -> int | None:
    """The step from which a killed job goes on; None where it starts anew."""
    validations = [e for e in read_events(folder.events, most_steps=1) if isinstance(e, Validated)]
    return validations[-1].step if validations and folder.state.exists() else None


def _phase(state: JobState, last: TrainingEvent | None) -> str:
    if state is not JobState.RUNNING:
        return state.value
    match last:
        case Step() | Validated() | Preview():
            return "training"
        case Save() | Done():
            return "saving"
        case _:
            return "preparing"


def _words(
    job: JobFacts, last: TrainingEvent | None, step: Step | None, phase: str, position: int | None
) -> str:
    match phase:
        case "waiting":
            return f"waiting, {position} before it" if position else "waiting for its turn"
        case "preparing" if isinstance(last, Prepare):
            return last.what + (f" {last.done} of {last.total}" if last.total else "")
        case "training" if step is not None:
            total = job.spec.get("finetune", {}).get("steps")
            return f"step {step.step}" + (f" of {total}" if total else "")
        case "saving":
            return "making the version"
        case "failed":
            return job.error or phase
        case _:
            return phase if step is None else f"{phase} at step {step.step}"


def _previews(folder: JobFolder, count: int) -> list[Path]:
    files: Sequence[Path] = [folder.previews / f"{number}.jpg" for number in range(count)]
    return [file for file in files if file.exists()]


def previews_of(status: TrainingStatus) -> list[tuple[str, bytes]]:
    """Preview maps with the names of their photos; those just being replaced are left out."""
    found = []
    for name, path in zip(status.preview_names, status.previews, strict=False):
        try:
            found.append((name, path.read_bytes()))
        except FileNotFoundError:
            continue
    return found
