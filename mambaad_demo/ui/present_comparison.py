"""A comparison → what the components of the Compare page take: HTML and a plotly figure; pure."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from mambaad_demo.pipeline import overlay
from mambaad_demo.pipeline.comparison import Comparison
from mambaad_demo.pipeline.cost import Cost
from mambaad_demo.pipeline.prediction import Prediction, Verdict
from mambaad_demo.ui import words
from mambaad_demo.ui.present import data_uri
from mambaad_demo.ui.templates import render

PICTURE_SIDE = 900
_BAR_COLORS = {Verdict.ACCEPT: "#22a35a", Verdict.CHECK: "#e0a126", Verdict.REJECT: "#dd5138"}
_QUIET = "#8a94a6"


def waiting_html(checkpoint: str) -> str:
    """A column whose judgement is still to come."""
    return render("compare_column.html", heading=checkpoint, waiting=True)


def column_html(prediction: Prediction, title: str) -> str:
    """A column: the picture with its heat map, the verdict, and the score as a multiple of the limit."""
    return render(
        "compare_column.html",
        heading=_heading(prediction),
        waiting=False,
        alt=words.picture(prediction, title),
        preview=data_uri(overlay.preview_jpeg(prediction, PICTURE_SIDE), "image/jpeg"),
        heat=data_uri(overlay.heat_png(prediction, PICTURE_SIDE), "image/png"),
        verdict=prediction.verdict.value,
        word=words.TITLES[prediction.verdict],
        score=words.score_text(prediction.image_score),
        multiple=_multiple_text(prediction),
        product=words.product(prediction),
        notes=(*prediction.notes, *words.origin(prediction.decoder)),
    )


def agreement_html(comparison: Comparison) -> str:
    """Votes, at which false-reject rate, and where the checkpoints disagree."""
    values, judged = comparison.disagreement(), sum(comparison.votes.values())
    largest = float(values.max())
    return render(
        "agreement.html",
        vote=words.vote(comparison),
        rate=f"{100 * comparison.rates.reject:g} %",
        preview=data_uri(overlay.preview_jpeg(comparison.predictions[0], PICTURE_SIDE), "image/jpeg"),
        heat=data_uri(overlay.levels_png(values, PICTURE_SIDE), "image/png") if judged > 1 else None,
        largest=f"{largest:.2f}" if largest < overlay.TOP_LEVEL else f"{overlay.TOP_LEVEL:g} or more",
        same_category=comparison.same_category,
    )


def costs_html(predictions: Sequence[Prediction], costs: Sequence[Cost | None]) -> str:
    """The table of what each checkpoint costs; None for one that is being measured."""
    rows = [
        {
            "name": _heading(prediction),
            "cost": None if cost is None else _cost_texts(cost),
            "kernel": f"{prediction.kernel} · {prediction.device}",
            "limit": "none"
            if prediction.limits.reject is None
            else words.score_text(prediction.limits.reject),
        }
        for prediction, cost in zip(predictions, costs, strict=True)
    ]
    return render("costs.html", rows=rows)


def scores_figure(predictions: Sequence[Prediction]) -> go.Figure:
    """Bars of each score as a multiple of its own reject limit; those without a limit have no bar."""
    figure = go.Figure()
    judged = [prediction for prediction in predictions if prediction.limits.reject]
    figure.add_bar(
        x=[_heading(prediction) for prediction in judged],
        y=[_multiple(prediction) for prediction in judged],
        marker_color=[_BAR_COLORS[prediction.verdict] for prediction in judged],
        customdata=[words.TITLES[prediction.verdict] for prediction in judged],
        hovertemplate="%{x}: %{customdata}, %{y:.2f} × its limit<extra></extra>",
        width=0.5,
    )
    figure.add_hline(y=1, line={"dash": "dash", "width": 1.5, "color": "#e07b30"})
    figure.update_layout(
        figure_layout(height=220),
        showlegend=False,
        yaxis={"title": "score / reject limit", "rangemode": "tozero", "gridcolor": "rgba(138,148,166,0.25)"},
    )
    return figure


def figure_layout(*, height: int) -> dict[str, Any]:
    """What all figures of the page have in common; readable on both themes."""
    return {
        "template": "none",
        "height": height,
        "margin": {"l": 44, "r": 12, "t": 10, "b": 30},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": _QUIET, "size": 12},
    }


def heading(decoder: str, checkpoint: str) -> str:
    """The decoder's name, and the checkpoint's where it is another."""
    name = words.decoder_name(decoder)
    return name if checkpoint == decoder else f"{name} · {checkpoint}"


def _heading(prediction: Prediction) -> str:
    return heading(prediction.decoder, prediction.checkpoint)


def _multiple(prediction: Prediction) -> float:
    return prediction.image_score / (prediction.limits.reject or 1.0)


def _multiple_text(prediction: Prediction) -> str:
    return f"× {_multiple(prediction):.2f} of its limit" if prediction.limits.reject else "no limit yet"


def _cost_texts(cost: Cost) -> tuple[str, ...]:
    return (
        f"{cost.milliseconds:.0f}",
        f"{cost.peak_megabytes:.0f}",
        f"{cost.parameters / 1e6:.2f} M",
        f"{cost.decoder_parameters / 1e6:.2f} M",
        f"{cost.gmacs:.2f}",
    )
