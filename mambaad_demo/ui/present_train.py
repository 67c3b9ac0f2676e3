"""A training as markup and curves: how far it is, what it learned, what came out; pure.

Names and sentences of strangers reach markup through Jinja alone.
"""

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mambaad_demo.storage.jobs import RESUMABLE, UNFINISHED, JobFacts, JobState
from mambaad_demo.ui.present import data_uri
from mambaad_demo.ui.present_comparison import figure_layout
from mambaad_demo.ui.templates import render
from mambaad_demo.ui.words import score_text
from mambaad_demo.workflow.training.status import StepPoint, TrainingStatus, ValidationPoint

_WAYS_OUT = (
    "There are two ways out. On Hugging Face, duplicate the Space to an account of your own with hardware of "
    "your own, keep it private, and set the variable MAMBAAD_SHARED=1 there. Or run the program on a machine "
    "of your own, where no photo leaves the house: clone this repository and start it with `make demo`, or "
    "fine-tune from the command line with `python -m train.finetune_decoder`. Everything else works here as "
    "well."
)
SHARED = (
    "Fine-tuning is switched off here: visitors share this machine, and a training would take it from all "
    f"of them for minutes. {_WAYS_OUT}"
)
"""Said by the page and by the API where strangers share the machine."""
ZERO_GPU = (
    "Fine-tuning is switched off here: this Space borrows a GPU for single calls (ZeroGPU), a few minutes a "
    f"day, and a training needs minutes on end. {_WAYS_OUT}"
)
"""Said where a GPU is lent call by call."""

STATES = {
    JobState.WAITING: "waits for its turn",
    JobState.RUNNING: "running",
    JobState.STOPPED: "stopped",
    JobState.INTERRUPTED: "interrupted when the server ended",
    JobState.FAILED: "failed",
    JobState.DONE: "done",
}
_TRAIN, _HELD_OUT, _SEPARATION, _BEST = "#5b8def", "#e0a126", "#22a35a", "#dd5138"
_TICKS = [step * 10.0**power for power in range(-5, 2) for step in (1, 2, 5)]
_GRID = "rgba(138,148,166,0.25)"
_LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}


def refusal_of(*, is_private: bool, on_zero_gpu: bool) -> str:
    """Why nobody can fine-tune here, and what to do instead; empty where everybody can.

    Args:
        is_private: whether strangers share the machine.
        on_zero_gpu: whether it has a GPU for single calls alone.
    """
    if on_zero_gpu:
        return ZERO_GPU
    return SHARED if is_private else ""


def off_html(refusal: str) -> str:
    """The same in place of the form."""
    return render("train_off.html", words=refusal)


def notice_html(problem: str = "", *, title: str = "Not started.") -> str:
    """Why nothing happened; nothing without a problem."""
    return render("train_notice.html", problem=problem, title=title)


def training_choices(
    trainings: Sequence[JobFacts], positions: Mapping[str, int | None]
) -> list[tuple[str, str]]:
    """Entries of the list of trainings, (label, id).

    Args:
        trainings: the newest first.
        positions: how many are before each in the queue.
    """
    return [
        (f"{job.name} · {job.created_at:%d %b %H:%M} · {_word(job, positions)}", job.id) for job in trainings
    ]


def _word(job: JobFacts, positions: Mapping[str, int | None]) -> str:
    position = positions.get(job.id)
    if job.state is JobState.WAITING and position:
        return f"{position} before it"
    return STATES[job.state].split(" ")[0]


def status_html(status: TrainingStatus | None) -> str:
    """The bar of a training; without one, what to do first."""
    if status is None:
        return render("train_status.html", status=None)
    job = status.job
    best = best_of(status.validations)
    return render(
        "train_status.html",
        status=status,
        state=STATES[job.state],
        is_unfinished=job.state in UNFINISHED,
        what=status.what if job.state in UNFINISHED else "",
        notes=status.notes,
        percent=None if status.progress is None else round(100 * min(max(status.progress, 0.0), 1.0)),
        remaining=None if status.remaining_seconds is None else duration(status.remaining_seconds),
        loss=score_text(status.steps[-1].loss) if status.steps else None,
        best=None if best is None else {"step": best.step, "separation": score_text(best.separation)},
        advice=_advice(status, best),
    )


def _advice(status: TrainingStatus, best: ValidationPoint | None) -> str:
    """What can be done with a training that came to no end."""
    if status.job.state not in RESUMABLE:
        return ""
    if not status.can_finish:
        return "It learned nothing that could be kept yet. Resume it, or delete it."
    state = "The best state" if best is None else f"The best state, after step {best.step},"
    return f"{state} is kept. Resume the training, make a version from that state, or delete both."


def best_of(validations: Sequence[ValidationPoint]) -> ValidationPoint | None:
    """The newest validation that was the best of all before."""
    return next((point for point in reversed(validations) if point.is_best), None)


def duration(seconds: float) -> str:
    """A time span as people say it."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 10 and rest:
        return f"{minutes} min {rest} s"
    return f"{minutes} min" if minutes < 90 else f"{seconds / 3600:.1f} h"


def drawn_mark(status: TrainingStatus) -> str:
    """Changes whenever curves and pictures should be drawn anew: at each validation, fifty times a run."""
    part = math.floor(50 * (status.progress or 0.0))
    facts = (len(status.validations), len(status.previews), bool(status.steps), part)
    return " ".join(map(str, (status.job.id, status.job.state.value, *facts)))


def curves_figure(status: TrainingStatus) -> go.Figure:
    """Loss above, and below it how far feature noise stands out, over the steps."""
    figure = make_subplots(
        rows=2,
        shared_xaxes=True,
        vertical_spacing=0.13,
        row_heights=[0.56, 0.44],
        subplot_titles=["loss", "how far noise stands out from good parts"],
    )
    _add_losses(figure, status.steps, status.validations)
    _add_separation(figure, status.validations)
    figure.update_layout(figure_layout(height=380))
    figure.update_layout(
        showlegend=True,
        legend=_LEGEND | {"x": 1, "xanchor": "right", "y": 1.01},
        margin={"l": 56, "r": 12, "t": 30, "b": 40},
        hovermode="x unified",
        uirevision=status.job.id,
    )
    figure.update_annotations(font={"size": 12}, x=0, xanchor="left")
    figure.update_xaxes(showgrid=False, zeroline=False, rangemode="tozero")
    figure.update_xaxes(title="step", row=2)
    figure.update_yaxes(gridcolor=_GRID, zeroline=False, nticks=6)
    figure.update_yaxes(type="log", tickvals=_TICKS, ticktext=[f"{tick:g}" for tick in _TICKS], row=1)
    return figure


def _add_losses(
    figure: go.Figure, steps: Sequence[StepPoint], validations: Sequence[ValidationPoint]
) -> None:
    figure.add_scatter(
        x=[point.step for point in steps],
        y=[point.loss for point in steps],
        mode="lines",
        name="photos it learns from",
        line={"color": _TRAIN, "width": 1.5},
        hovertemplate="%{y:.4g}",
        row=1,
        col=1,
    )
    figure.add_scatter(
        x=[point.step for point in validations],
        y=[point.loss for point in validations],
        mode="lines+markers",
        name="held-out photos",
        line={"color": _HELD_OUT, "width": 2},
        marker={"size": 5},
        hovertemplate="%{y:.4g}",
        row=1,
        col=1,
    )


def _add_separation(figure: go.Figure, validations: Sequence[ValidationPoint]) -> None:
    figure.add_scatter(
        x=[point.step for point in validations],
        y=[point.separation for point in validations],
        mode="lines+markers",
        name="noise",
        line={"color": _SEPARATION, "width": 2},
        marker={"size": 5},
        hovertemplate="%{y:.3g}",
        showlegend=False,
        row=2,
        col=1,
    )
    best = best_of(validations)
    if best is not None:
        figure.add_scatter(
            x=[best.step],
            y=[best.separation],
            mode="markers",
            name="best so far",
            marker={"symbol": "star", "size": 13, "color": _BEST},
            hoverinfo="skip",
            row=2,
            col=1,
        )


def previews_html(pictures: Sequence[tuple[str, bytes]]) -> str:
    """Held-out good parts under the heat of the present weights.

    Args:
        pictures: (name, JPEG).
    """
    rows = [{"name": name, "picture": data_uri(content, "image/jpeg")} for name, content in pictures]
    return render("train_previews.html", pictures=rows)


def log_html(tail: str) -> str:
    """The last lines a job has written."""
    return render("train_log.html", tail=tail)
