"""What programs may call of fine-tuning: `/finetune_start`, `/finetune_status` and `/finetune_stop`.

The components only describe the arguments and answers; nobody sees them.
"""

from typing import Any

import gradio as gr

from mambaad_demo.errors import InputError, TooFewImagesError
from mambaad_demo.pipeline.finetune_spec import DEFAULT_MINUTES
from mambaad_demo.ui.desk import Desk
from mambaad_demo.ui.good_photos import good_photos, without
from mambaad_demo.ui.good_set_look import Look, look_at
from mambaad_demo.ui.messages import shown_to_user
from mambaad_demo.ui.train_tab import LOOK_LANE
from mambaad_demo.ui.training_requests import files_of, require_allowed, start_training, training_spec
from mambaad_demo.workflow.training.status import TrainingStatus

START_DESCRIPTION = (
    "Fine-tune a checkpoint on photos of good parts. Takes files (photos, zip files, of which only a folder "
    "called good is taken where there is one; at least 5 photos), the name of a checkpoint (empty: the "
    "default one), a category (what the version will call the part), minutes or steps (0: 10 minutes), "
    "augmentations the part allows with commas between them (flip, rotate, brightness), a seed, names of "
    "photos to leave out, as the check reports them, and the share of good parts that may be rejected. "
    "Answers with the id of the job and what the check of the photos found."
)
STATUS_DESCRIPTION = (
    "How far a fine-tuning job is: state, phase, progress, seconds left, loss and validation curves; the "
    "name and report of the version when it is done."
)
STOP_DESCRIPTION = "Stop a fine-tuning job, keeping its best state; answers as /finetune_status does."


def build_training_api(desk: Desk) -> None:
    """Add the public endpoints to the surrounding Blocks.

    Args:
        desk: the store, the checkpoints and the runner of trainings.
    """
    with gr.Column(visible=False):
        files = gr.File(label="files", file_count="multiple")
        checkpoint, category = (
            gr.Textbox(label="checkpoint", value=""),
            gr.Textbox(label="category", value=""),
        )
        minutes, steps = gr.Number(label="minutes", value=0), gr.Number(label="steps", value=0)
        augmentations = gr.Textbox(label="augmentations", value="")
        seed = gr.Number(label="seed", value=42)
        leave_out = gr.JSON(label="leave out", value=[])
        reject_rate = gr.Number(label="reject rate", value=0.005)
        job = gr.Textbox(label="job", value="")
        started, status_now, stopped = (
            gr.JSON(label="started"),
            gr.JSON(label="status"),
            gr.JSON(label="stopped"),
        )
        start_button, status_button, stop_button = gr.Button(), gr.Button(), gr.Button()

    def finetune_start(
        request: gr.Request,
        files: list[dict[str, Any]] | None,
        checkpoint: str = "",
        category: str = "",
        minutes: float = 0,
        steps: float = 0,
        augmentations: str = "",
        seed: float = 42,
        leave_out: list[str] | None = None,
        reject_rate: float = 0.005,
    ) -> dict[str, Any]:
        with shown_to_user():
            require_allowed(desk)
            workspace = desk.workspace(request)
            base = checkpoint or next(iter(desk.catalog.names()), "")
            spec = training_spec(
                base,
                category,
                **budget(minutes, steps),
                augmentations=tuple(name.strip() for name in augmentations.split(",") if name.strip()),
                seed=seed,
                reject_rate=reject_rate,
            )
            good = good_photos(workspace, files_of(files), taught=None)
            photos = without(good.pictures, left_out(leave_out))
            look = looked(desk, base, photos)
            usable = without(photos, {name for name, _ in look.report.refused})
            job_id = start_training(desk, workspace, spec, usable)
            return {
                "job": job_id,
                "photos": len(usable),
                "notes": list(good.notes),
                "preflight": look.report.to_json(),
                "status": status_json(desk.trainings.status(workspace, job_id)),
            }

    def finetune_status(request: gr.Request, job: str = "") -> dict[str, Any]:
        with shown_to_user():
            return status_json(desk.trainings.status(desk.workspace(request), job.strip()))

    def finetune_stop(request: gr.Request, job: str = "") -> dict[str, Any]:
        with shown_to_user():
            workspace = desk.workspace(request)
            desk.trainings.stop(workspace, job.strip())
            return status_json(desk.trainings.status(workspace, job.strip()))

    start_button.click(
        finetune_start,
        [files, checkpoint, category, minutes, steps, augmentations, seed, leave_out, reject_rate],
        started,
        api_name="finetune_start",
        api_description=START_DESCRIPTION,
        preprocess=False,
        **LOOK_LANE,
    )
    status_button.click(
        finetune_status,
        job,
        status_now,
        api_name="finetune_status",
        api_description=STATUS_DESCRIPTION,
        preprocess=False,
    )
    stop_button.click(
        finetune_stop,
        job,
        stopped,
        api_name="finetune_stop",
        api_description=STOP_DESCRIPTION,
        preprocess=False,
    )


def budget(minutes: float, steps: float) -> dict[str, float]:
    """The one that is given, of which 0 and nothing mean it is not; both are the engine's to refuse."""
    given = {name: value for name, value in (("minutes", minutes), ("steps", steps)) if value}
    return given or {"minutes": DEFAULT_MINUTES}


def left_out(names: object) -> set[str]:
    """Names of photos to leave out.

    Raises:
        InputError: no list of names.
    """
    if names in (None, "", {}):
        return set()
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError("Name the photos to leave out as a list of names.")
    return set(names)


def looked(desk: Desk, checkpoint: str, photos: Any) -> Look:
    """What the check finds, without saying how far it is.

    Raises:
        TooFewImagesError: the set cannot be trained on; says why.
    """
    (look,) = [step for step in look_at(desk.catalog.predictor(checkpoint), photos) if isinstance(step, Look)]
    if not look.report.can_train:
        raise TooFewImagesError(" ".join(look.report.problems))
    return look


def status_json(status: TrainingStatus) -> dict[str, Any]:
    """A training in JSON types; no file of this machine is named."""
    job = status.job
    return {
        "job": job.id,
        "name": job.name,
        "state": job.state.value,
        "error": job.error,
        "position": status.position,
        "phase": status.phase,
        "what": status.what,
        "progress": status.progress,
        "remaining_seconds": status.remaining_seconds,
        "steps": [
            {"step": p.step, "seconds": p.seconds, "loss": p.loss, "learning_rate": p.learning_rate}
            for p in status.steps
        ],
        "validations": [
            {"step": p.step, "loss": p.loss, "separation": p.separation, "is_best": p.is_best}
            for p in status.validations
        ],
        "notes": status.notes,
        "can_finish": status.can_finish,
        "version": status.version,
        "report": status.report,
        "created_at": job.created_at.isoformat(),
        "finished_at": None if job.finished_at is None else job.finished_at.isoformat(),
    }
