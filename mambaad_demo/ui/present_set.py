"""A comparison over a set of pictures → HTML and a plotly figure; pure."""

from itertools import combinations

import numpy as np
import plotly.graph_objects as go

from mambaad_demo.pipeline.set_comparison import Interval, Progress, SetComparison, SetResult
from mambaad_demo.ui import words
from mambaad_demo.ui.present_comparison import figure_layout, heading
from mambaad_demo.ui.templates import render

_GOOD, _DEFECTIVE, _UNKNOWN = "#22a35a", "#dd5138", "#5b8def"
_JITTER = 0.32
_TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20)


def progress_html(progress: Progress) -> str:
    """How many pictures are judged."""
    return render("set_progress.html", done=progress.done, total=progress.total)


def stopped_html() -> str:
    """In place of a result."""
    return render("set_progress.html", done=None)


def result_html(comparison: SetComparison) -> str:
    """The table of checkpoints and of their differences, and what could not be read."""
    is_labeled = comparison.labels is not None
    good = False if is_labeled else None
    rows = [
        {
            "name": heading(result.decoder, result.checkpoint),
            "auroc": _text(comparison.auroc(result)),
            "rejected": _text(comparison.reject_rate(result, anomalous=good)),
            "found": _text(comparison.reject_rate(result, anomalous=True)) if is_labeled else None,
        }
        for result in comparison.results
    ]
    differences = [
        {
            "pair": f"{_name(one)} against {_name(other)}",
            "auroc": _text(auroc := comparison.auroc_difference(one, other), signed=True),
            "rejected": _text(
                rejected := comparison.reject_difference(one, other, anomalous=good), signed=True
            ),
            "sentence": words.set_difference(auroc, rejected, is_labeled=is_labeled),
        }
        for one, other in combinations(comparison.results, 2)
    ]
    count = len(comparison.names)
    return render(
        "set_result.html",
        is_labeled=is_labeled,
        pictures=f"{count} picture{'' if count == 1 else 's'}"
        if comparison.labels is None
        else f"{int((~comparison.labels).sum())} good and {int(comparison.labels.sum())} defective pictures",
        rate=f"{100 * comparison.rates.reject:g} %",
        rows=rows,
        differences=differences,
        refused=comparison.refused,
    )


def scores_figure(comparison: SetComparison) -> go.Figure:
    """Every picture a dot, its score as a multiple of the reject limit, one column per checkpoint."""
    figure = go.Figure()
    count = len(comparison.names)
    shift = np.random.default_rng(0).uniform(-_JITTER, _JITTER, count)
    groups = [("pictures", _UNKNOWN, np.ones(count, bool))]
    if comparison.labels is not None:
        groups = [("good", _GOOD, ~comparison.labels), ("defective", _DEFECTIVE, comparison.labels)]
    judged = [result for result in comparison.results if result.has_limits]
    for name, color, chosen in groups:
        figure.add_scatter(
            x=np.ravel([number + shift[chosen] for number, _ in enumerate(judged)]),
            y=np.ravel([result.multiples[chosen] for result in judged]),
            customdata=np.tile(np.array(comparison.names, dtype=object)[chosen], len(judged)),
            hovertemplate="%{customdata}: %{y:.2f} × its limit<extra></extra>",
            mode="markers",
            name=name,
            marker={"color": color, "size": 7, "opacity": 0.75},
        )
    figure.add_hline(y=1, line={"dash": "dash", "width": 1.5, "color": "#e07b30"})
    figure.update_layout(figure_layout(height=280))
    figure.update_layout(
        showlegend=True,
        margin={"l": 44, "r": 12, "t": 34, "b": 30},
        legend={"orientation": "h", "y": 1.14},
        yaxis={
            "title": "score / reject limit",
            "type": "log",
            "tickvals": _TICKS,
            "ticktext": [f"{tick:g}" for tick in _TICKS],
            "gridcolor": "rgba(138,148,166,0.25)",
        },
        xaxis={
            "showgrid": False,
            "zeroline": False,
            "tickvals": list(range(len(judged))),
            "ticktext": [_name(result) for result in judged],
            "range": [-0.6, max(len(judged), 1) - 0.4],
        },
    )
    return figure


def _name(result: SetResult) -> str:
    return heading(result.decoder, result.checkpoint)


def _text(interval: Interval | None, *, signed: bool = False) -> str:
    """In per cent, with the ends of the interval."""
    if interval is None:
        return "no limits"
    form = "{:+.1f}" if signed else "{:.1f}"
    value, low, high = (
        None if share is None else form.format(100 * share) if abs(share) >= 5e-4 else "0.0"
        for share in (interval.value, interval.low, interval.high)
    )
    return f"{value} %" if low is None else f"{value} % ({low} to {high})"
