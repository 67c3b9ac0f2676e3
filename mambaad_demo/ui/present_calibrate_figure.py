"""The chart of the Calibrate page: how often each score occurs, and where the limits lie; pure."""

import numpy as np
import plotly.graph_objects as go

from mambaad_demo.pipeline.prediction import Verdict
from mambaad_demo.ui.present_comparison import figure_layout
from mambaad_demo.workflow.limit_overview import Overview

_BANDS = {Verdict.ACCEPT: "#22a35a", Verdict.CHECK: "#e0a126", Verdict.REJECT: "#dd5138"}
_GRID = "rgba(138,148,166,0.25)"
_HEIGHT = 300


def histogram_figure(seen: Overview) -> go.Figure:
    """Bars of good parts and known defects over the score, on bands of accept, check and reject."""
    histogram = seen.histogram
    centers = (histogram.edges[:-1] + histogram.edges[1:]) / 2
    ends = np.stack([histogram.edges[:-1], histogram.edges[1:]], axis=1)
    figure = go.Figure()
    for name, color, counts in (
        ("good parts they rest on", "#5b8def", histogram.photos),
        ("labeled good", "#22a35a", histogram.labeled_good),
        ("known defects", "#dd5138", histogram.labeled_defects),
    ):
        if counts.any():
            figure.add_bar(
                x=centers,
                y=counts,
                width=float(histogram.edges[1] - histogram.edges[0]),
                name=f"{name} ({int(counts.sum())})",
                marker={"color": color, "opacity": 0.65, "line": {"width": 0}},
                customdata=ends,
                hovertemplate="%{y} from %{customdata[0]:.3g} to %{customdata[1]:.3g}",
            )
    _add_limits(figure, seen)
    figure.update_layout(figure_layout(height=_HEIGHT))
    figure.update_layout(
        barmode="overlay",
        bargap=0,
        showlegend=True,
        legend={"orientation": "h", "y": 1.14, "yanchor": "bottom", "x": 0},
        margin={"l": 40, "r": 12, "t": 58, "b": 40},
        xaxis={
            "title": "image score" + ("; last bar: and above" if histogram.is_cut else ""),
            "range": [float(histogram.edges[0]), float(histogram.edges[-1])],
            "gridcolor": _GRID,
            "zeroline": False,
        },
        yaxis={"title": "pictures", "rangemode": "tozero", "gridcolor": _GRID, "zeroline": False},
    )
    return figure


def _add_limits(figure: go.Figure, seen: Overview) -> None:
    check, reject = seen.limits.check, seen.limits.reject
    if check is None or reject is None:
        return
    low, high = seen.range
    for verdict, start, end in (
        (Verdict.ACCEPT, low, check),
        (Verdict.CHECK, check, reject),
        (Verdict.REJECT, reject, high),
    ):
        figure.add_vrect(start, end, fillcolor=_BANDS[verdict], opacity=0.10, line_width=0, layer="below")
    for verdict, limit, anchor in ((Verdict.CHECK, check, "right"), (Verdict.REJECT, reject, "left")):
        figure.add_vline(limit, line={"color": _BANDS[verdict], "width": 2})
        figure.add_annotation(
            x=limit,
            y=1.0,
            yref="paper",
            yanchor="bottom",
            xanchor=anchor,
            text=f"{verdict.value} {limit:.3g}",
            showarrow=False,
            font={"color": _BANDS[verdict], "size": 12},
        )
