"""Figures of labeled pictures → choices, tables and sentences of the Metrics page; pure.

Charts stand in `present_metrics_figures.py`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from mambaad_demo.pipeline.prediction import Verdict
from mambaad_demo.ui.templates import render
from mambaad_demo.ui.words import TITLES
from mambaad_demo.workflow.figures import drift as drifting
from mambaad_demo.workflow.figures.agreement import Agreement
from mambaad_demo.workflow.figures.drift import Drift, Shift
from mambaad_demo.workflow.figures.estimate import Estimate
from mambaad_demo.workflow.figures.labeled_scores import Version
from mambaad_demo.workflow.figures.pixel_ranking import FullRanking
from mambaad_demo.workflow.figures.summary import Overview

EVERYBODY = "consensus of all"
"""First entry of the list of reviewers."""

METRIC_WORDS: Mapping[str, tuple[str, str]] = {
    "image_auroc": ("Image AUROC", "How often a defective picture scores higher than a good one."),
    "image_ap": ("Image AP", "Share of defective ones among the pictures above a limit, over all limits."),
    "image_f1_max": (
        "Image F1-max",
        "Found defects against false alarms, at the one limit that balances them best.",
    ),
    "pixel_auroc": ("Pixel AUROC", "How often a pixel of a defect scores higher than a pixel elsewhere."),
    "pixel_ap": ("Pixel AP", "Share of defect pixels among the pixels above a limit, over all limits."),
    "pixel_f1_max": ("Pixel F1-max", "The best match of drawn masks and marked pixels at any one limit."),
    "au_pro": (
        "AU-PRO@30%",
        "How much of each defect is covered, small ones counting as much as large ones.",
    ),
}
"""Name of each metric as papers print it, and what it means in one line."""

QUANTITY_WORDS: Mapping[str, tuple[str, str]] = {
    "score": ("score", "times the reject limit"),
    "brightness": ("brightness", "mean gray level, 0 to 1"),
    "sharpness": ("sharpness", "variance of edges"),
    "embedding": ("embedding", "distance, 1 is usual of good parts"),
}

_MOST_PAIRS = 20


def version_choices(versions: Sequence[Version]) -> list[tuple[str, str]]:
    """Versions as entries of a list, (label, key)."""
    return [
        (
            f"{version.checkpoint} · {version.sha256[:8]} · limits {version.calibration_sha256[:8]}"
            + (f" · {version.tiles} tiles" if version.tiles > 1 else ""),
            version.key,
        )
        for version in versions
    ]


def empty_html(overview: Overview | None) -> str:
    """What to do first, where there is nothing to measure."""
    if overview is None:
        return render("metrics_empty.html", inspected=0, undecided=0)
    labeled = overview.labeled
    return render(
        "metrics_empty.html",
        inspected=labeled.n_inspected,
        undecided=len(labeled.unsure) + len(labeled.divided),
    )


def ground_html(overview: Overview) -> str:
    """What all figures rest on, and what that does not tell."""
    labeled = overview.labeled
    return render(
        "metrics_ground.html",
        facts=[
            ("good", labeled.n_good),
            ("defective", labeled.n_defect),
            ("unsure, left out", len(labeled.unsure)),
            ("divided, left out", len(labeled.divided)),
            ("labeled, not seen by this version", labeled.n_unseen),
            ("seen, not labeled", labeled.n_inspected - _n_labeled(overview)),
        ],
        is_part=_n_labeled(overview) < labeled.n_inspected,
        seen=labeled.n_inspected,
        labeled=_n_labeled(overview),
    )


def rates_html(overview: Overview) -> str:
    """False rejects and missed defects at the limits in force, and the table of verdicts."""
    rates, counts = overview.rates, overview.confusion
    columns = {"good": counts.good, "defective": counts.defective}
    columns |= {
        name: column for name, column in (("unsure", counts.unsure), ("divided", counts.divided)) if column
    }
    return render(
        "metrics_rates.html",
        tiles=[
            _rate_tile("False reject (overkill)", "of 1000 good parts: rejected", rates.false_reject),
            _rate_tile("Missed defect (escape)", "of 1000 defective parts: accepted", rates.missed_defect),
            _rate_tile("Checked for nothing", "of 1000 good parts: sent to a person", rates.false_check),
        ],
        columns=list(columns),
        rows=[
            {
                "verdict": verdict.value,
                "word": TITLES[verdict],
                "counts": [column[verdict] for column in columns.values()],
            }
            for verdict in Verdict
        ],
        n_good=rates.n_good,
        n_defect=rates.n_defect,
        without_limits=rates.n_without_limits,
    )


def problem_html(problem: str) -> str:
    """Why something could not be measured."""
    return render("metrics_problem.html", problem=problem)


def metrics_html(overview: Overview, ranking: FullRanking | None, *, is_waiting: bool = True) -> str:
    """The seven metrics; without a ranking those of images alone, while maps are being read or where they
    cannot be."""
    known = overview.by_score.metrics if ranking is None else ranking.metrics
    rows = [
        {
            "name": name,
            "meaning": meaning,
            "text": percent_text(known[key]) if key in known else None,
            "reason": known[key].reason if key in known else "",
        }
        for key, (name, meaning) in METRIC_WORDS.items()
    ]
    return render(
        "metrics_table.html",
        rows=rows,
        images=f"{overview.labeled.n_good} good and {overview.labeled.n_defect} defective pictures",
        ranking=ranking,
        is_waiting=is_waiting,
    )


def drift_html(drift: Drift) -> str:
    """What changed, as far as a test can tell, and what it is compared with."""
    return render(
        "metrics_drift.html",
        rows=[_shift_row(one.name, one.shift) for one in drift.series if one.shift is not None],
        n_reference=drift.n_reference,
        reference_from=_day(drift.reference_from),
        reference_to=_day(drift.reference_to),
        n_newest=max((series.shift.n_newest for series in drift.series if series.shift), default=0),
        fewest=drifting.FEWEST,
        level=f"{100 * drifting.LEVEL:g} %",
        window=drifting.WINDOW,
    )


def agreement_html(agreement: Agreement) -> str:
    """How far reviewers agree with each other and with themselves."""
    return render(
        "metrics_agreement.html",
        pairs=[
            {
                "who": " and ".join(pair.reviewers),
                "n": pair.n,
                "same": percent_text(pair.same),
                "kappa": kappa_text(pair.kappa),
                "reason": pair.kappa.reason,
            }
            for pair in agreement.pairs[:_MOST_PAIRS]
        ],
        more_pairs=max(len(agreement.pairs) - _MOST_PAIRS, 0),
        selves=[
            {
                "who": one.reviewer,
                "n": one.n,
                "same": percent_text(one.same),
                "kappa": kappa_text(one.kappa),
                "reason": one.kappa.reason,
            }
            for one in agreement.selves
        ],
        group=agreement.group,
        group_kappa="" if agreement.group is None else kappa_text(agreement.group.kappa),
        n_labeled=agreement.n_labeled,
        n_reviewers=agreement.n_reviewers,
    )


def percent_text(estimate: Estimate) -> str:
    """Per cent with the ends of the interval."""
    return _text(estimate, scale=100, form="{:.1f}", unit=" %")


def kappa_text(estimate: Estimate) -> str:
    """Two digits with the ends of the interval."""
    return _text(estimate, scale=1, form="{:.2f}", unit="")


def _text(estimate: Estimate, *, scale: float, form: str, unit: str) -> str:
    if estimate.interval is None:
        return "–"
    value, low, high = (
        None if number is None else form.format(scale * number)
        for number in (estimate.interval.value, estimate.interval.low, estimate.interval.high)
    )
    return f"{value}{unit}" if low is None else f"{value}{unit} ({low} to {high})"


def _rate_tile(name: str, meaning: str, estimate: Estimate) -> dict[str, str]:
    interval = estimate.interval
    ends = ""
    if interval is not None and interval.low is not None and interval.high is not None:
        ends = f"{1000 * interval.low:.3g} to {1000 * interval.high:.3g}"
    return {
        "name": name,
        "meaning": meaning,
        "value": "–" if interval is None else f"{1000 * interval.value:.3g}",
        "ends": ends,
        "reason": estimate.reason,
    }


def _shift_row(quantity: str, shift: Shift) -> dict[str, object]:
    name, unit = QUANTITY_WORDS[quantity]
    return {
        "name": name,
        "unit": unit,
        "before": f"{shift.before:.3g}",
        "now": f"{shift.now:.3g}",
        "p": "< 0.001" if shift.p_value < 0.001 else f"{shift.p_value:.3f}",
        "is_told": shift.is_told,
    }


def _n_labeled(overview: Overview) -> int:
    """Pictures that the version has seen and somebody decided on, even if unsure."""
    labeled = overview.labeled
    return len(labeled.decided) + len(labeled.unsure) + len(labeled.divided)


def _day(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%d %b %Y}"
