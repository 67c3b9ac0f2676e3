"""Charts of the Metrics page as plotly figures; pure. They are readable on both themes.

A name of a picture reaches a chart escaped, since plotly reads some markup in texts.
"""

from html import escape

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mambaad_demo.ops.metrics import AU_PRO_LIMIT
from mambaad_demo.ui.present_comparison import figure_layout
from mambaad_demo.ui.present_metrics import QUANTITY_WORDS
from mambaad_demo.workflow.figures.curves import Curve
from mambaad_demo.workflow.figures.drift import WINDOW, Drift, Series
from mambaad_demo.workflow.figures.image_ranking import ImageRanking
from mambaad_demo.workflow.figures.pixel_ranking import PixelCurves
from mambaad_demo.workflow.figures.rates import Band, LimitSweep

_REJECTS, _MISSES = "#e0a126", "#dd5138"
_IMAGES, _PIXELS = "#5b8def", "#22a35a"
_LIMIT = {"dash": "dash", "width": 1.5, "color": "#e07b30"}
_GRID = "rgba(138,148,166,0.25)"
_FILL = 0.18
_MOST_DOTS = 1500
_TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 1, 1.2, 1.5, 2, 3, 5, 10)
_LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}


def sweep_figure(sweep: LimitSweep) -> go.Figure:
    """False rejects and missed defects per 1000, with bands, over both limits moved together."""
    figure = go.Figure()
    for name, color, band in (
        ("false reject", _REJECTS, sweep.false_reject),
        ("missed defect", _MISSES, sweep.missed_defect),
    ):
        if band is not None:
            _add_band(figure, sweep.factors, band, name=name, color=color)
    figure.add_vline(x=1, line=_LIMIT)
    figure.update_layout(figure_layout(height=330))
    figure.update_layout(
        showlegend=True,
        legend=_LEGEND,
        margin={"l": 52, "r": 12, "t": 34, "b": 44},
        hovermode="x unified",
        xaxis={
            "title": "limits, times those in force",
            "type": "log",
            "tickvals": _TICKS,
            "ticktext": [f"{tick:g}" for tick in _TICKS],
            "gridcolor": _GRID,
            "range": np.log10([sweep.factors[0], sweep.factors[-1]]).tolist(),
        },
        yaxis={"title": "per 1000 parts", "rangemode": "tozero", "gridcolor": _GRID},
    )
    return figure


def roc_figure(images: ImageRanking, pixels: PixelCurves | None) -> go.Figure:
    """Found over false alarms."""
    return _curves_figure(
        [("images", _IMAGES, images.roc), ("pixels", _PIXELS, None if pixels is None else pixels.roc)],
        x="false alarms, share of normal",
        y="found, share of anomalous",
    )


def precision_recall_figure(images: ImageRanking, pixels: PixelCurves | None) -> go.Figure:
    """Precision over recall."""
    return _curves_figure(
        [
            ("images", _IMAGES, images.precision_recall),
            ("pixels", _PIXELS, None if pixels is None else pixels.precision_recall),
        ],
        x="found, share of anomalous (recall)",
        y="right among the marked (precision)",
    )


def overlap_figure(pixels: PixelCurves | None) -> go.Figure:
    """Covered share of defect regions over false alarms, up to where AU-PRO ends."""
    figure = _curves_figure(
        [("defect regions", _PIXELS, None if pixels is None else pixels.overlap)],
        x="false alarms, share of normal pixels",
        y="covered share of a region, mean",
    )
    figure.update_xaxes(range=[0, AU_PRO_LIMIT])
    return figure


def drift_figure(drift: Drift) -> go.Figure:
    """Each quantity along the pictures in time order: dots, rolling median, and the band of the
    reference."""
    figure = make_subplots(
        rows=max(len(drift.series), 1),
        shared_xaxes=True,
        vertical_spacing=0.06,
        subplot_titles=[" · ".join(QUANTITY_WORDS[series.name]) for series in drift.series],
    )
    for row, series in enumerate(drift.series, 1):
        _add_series(figure, series, row)
    figure.update_layout(figure_layout(height=60 + 150 * max(len(drift.series), 1)))
    figure.update_layout(showlegend=False, margin={"l": 52, "r": 12, "t": 28, "b": 40})
    figure.update_annotations(font={"size": 12}, x=0, xanchor="left")
    figure.update_xaxes(showgrid=False, zeroline=False)
    figure.update_xaxes(title="pictures, as they came", row=len(drift.series) or 1)
    figure.update_yaxes(gridcolor=_GRID, zeroline=False, nticks=5)
    return figure


def _add_band(figure: go.Figure, factors: np.ndarray, band: Band, *, name: str, color: str) -> None:
    figure.add_scatter(
        x=np.concatenate([factors, factors[::-1]]),
        y=1000 * np.concatenate([band.high, band.low[::-1]]),
        fill="toself",
        fillcolor=color,
        opacity=_FILL,
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.add_scatter(
        x=factors,
        y=1000 * band.value,
        customdata=1000 * np.stack([band.low, band.high], axis=1),
        hovertemplate="%{y:.3g} (%{customdata[0]:.3g} to %{customdata[1]:.3g})",
        line={"color": color, "width": 2, "shape": "hv"},
        mode="lines",
        name=name,
    )


def _curves_figure(curves: list[tuple[str, str, Curve | None]], *, x: str, y: str) -> go.Figure:
    figure = go.Figure()
    for name, color, curve in curves:
        if curve is not None:
            figure.add_scatter(
                x=curve.x,
                y=curve.y,
                mode="lines",
                name=name,
                line={"color": color, "width": 2},
                hovertemplate="%{x:.3f}, %{y:.3f}",
            )
    figure.update_layout(figure_layout(height=300))
    figure.update_layout(
        showlegend=True,
        legend=_LEGEND,
        margin={"l": 52, "r": 12, "t": 34, "b": 44},
        xaxis={"title": x, "range": [0, 1], "gridcolor": _GRID, "zeroline": False},
        yaxis={"title": y, "range": [0, 1.02], "gridcolor": _GRID, "zeroline": False},
    )
    return figure


def _add_series(figure: go.Figure, series: Series, row: int) -> None:
    count = len(series.values)
    dots = np.unique(np.linspace(0, count - 1, min(count, _MOST_DOTS)).round().astype(int))
    figure.add_scatter(
        x=dots + 1,
        y=series.values[dots],
        mode="markers",
        marker={"color": _IMAGES, "size": 4, "opacity": 0.5},
        customdata=[
            f"{escape(series.pictures[n], quote=False)}, {series.times[n]:%d %b %H:%M}" for n in dots
        ],
        hovertemplate="%{customdata}: %{y:.3g}<extra></extra>",
        row=row,
        col=1,
    )
    figure.add_scatter(
        x=np.arange(WINDOW, count + 1),
        y=series.medians,
        mode="lines",
        line={"color": _REJECTS, "width": 2},
        hoverinfo="skip",
        row=row,
        col=1,
    )
    if series.band is not None:
        figure.add_hrect(*series.band, fillcolor=_PIXELS, opacity=_FILL, line_width=0, row=row, col=1)
    if series.name in ("score", "embedding"):
        figure.add_hline(y=1, line=_LIMIT, row=row, col=1)
