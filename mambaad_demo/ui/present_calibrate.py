"""Limits of a category → what the components of the Calibrate page take: HTML and choices; pure.

The chart stands in `present_calibrate_figure.py`.
"""

from collections.abc import Sequence
from typing import Any

from mambaad_demo.pipeline.limit_statistics import ExactShare, VerdictCounts
from mambaad_demo.pipeline.prediction import Verdict
from mambaad_demo.pipeline.predictor import tiles_text
from mambaad_demo.storage.limits import Rejudged, Source, StoredLimits
from mambaad_demo.ui import words
from mambaad_demo.ui.templates import render
from mambaad_demo.workflow.batches import Progress
from mambaad_demo.workflow.calibrating import MOST_PHOTOS, Measured
from mambaad_demo.workflow.limit_overview import Overview

SOURCES = {
    Source.CHECKPOINT: "the good parts the checkpoint came with",
    Source.PHOTOS: "uploaded good photos",
    Source.LABELS: "stored pictures labeled good",
}
_MOST_REFUSED = 20
_RAISED = 0.95  # of the rate asked for: what lies below was raised, not rounded


def notice_html(problem: str) -> str:
    """Why something did not work; nothing without a problem."""
    return render("calibrate_notice.html", problem=problem)


def progress_html(progress: Progress | None) -> str:
    """How many photos are measured; None where somebody stopped it."""
    return render("calibrate_progress.html", progress=progress)


def unseen_html() -> str:
    """Which photos are none to set limits from."""
    return render("calibrate_unseen.html")


def left_out_html(measured: Measured) -> str:
    """Photos that were left out, and why."""
    refused = measured.refused
    return render(
        "calibrate_refused.html",
        notes=measured.notes,
        refused=refused[:_MOST_REFUSED],
        more=max(len(refused) - _MOST_REFUSED, 0),
    )


def labeled_text(count: int) -> str:
    """The button that sets limits from labels."""
    if count > MOST_PHOTOS:
        return f"Use the newest {MOST_PHOTOS} of {count} labeled good"
    return f"Use {count} labeled good" if count else "None labeled good yet"


def summary_html(seen: Overview | None) -> str:
    """Which limits these are, what they aim at, and what so many good parts can show."""
    if seen is None:
        return render("calibrate_summary.html", seen=None)
    return render(
        "calibrate_summary.html",
        seen=seen,
        title=words.spoken(seen.category),
        closeness=tiles_text(seen.tiles),
        source=_source_text(seen),
        limits=_limits_text(seen.limits.check, seen.limits.reject),
        standing=_limits_text(seen.standing.check, seen.standing.reject),
        images=0 if seen.calibration is None else seen.calibration.images,
        promise=() if seen.calibration is None else promise_text(seen),
    )


def promise_text(seen: Overview) -> tuple[str, ...]:
    """Sentences: the aim, what the good parts can show of it, and how many would show more."""
    promise, known = seen.promise, seen.calibration
    if promise is None or known is None:
        return ("So few good parts lie behind these limits that nothing can be said about their rates.",)
    aim = (
        f"The reject limit aims at {percent(promise.reject)} false rejects, the check limit at "
        f"{percent(promise.check)} of good parts above it."
    )
    if not seen.is_moved and promise.reject < _RAISED * known.rates.reject:
        aim += (
            f" A rate of {percent(known.rates.reject)} was asked for; the limit stands higher, since no good "
            "part it rests on may be rejected."
        )
    photos = seen.effect.photos
    rejected = photos.share(Verdict.REJECT)
    if rejected is None or rejected.count == 0:
        shown = (
            f"An aim is no proof: with {promise.photos} good parts and none rejected, nothing better than "
            f"< {percent(promise.hidden)} false rejects can be shown (95 % confidence)."
        )
    else:
        shown = (
            f"An aim is no proof: {rejected.count} of these {rejected.total} good parts would be rejected, "
            f"so the true rate lies between {percent(rejected.low)} and {percent(rejected.high)} (95 %)."
        )
    needed = (
        f"To know a rate of about {percent(promise.reject)} to ±1 % takes {promise.needed} good photos in "
        "all: "
    )
    more = f"{promise.missing} more." if promise.missing else "you have them."
    return aim, shown, needed + more


def numbers_html(seen: Overview) -> str:
    """What these limits do to good parts, known defects and everything stored."""
    effect = seen.effect
    escapes = effect.labeled_defects.share(Verdict.ACCEPT)
    columns = {
        "good parts they rest on": effect.photos,
        "labeled good": effect.labeled_good,
        "known defects": effect.labeled_defects,
    }
    return render(
        "calibrate_numbers.html",
        title=_numbers_title(seen),
        tiles=[
            _tile("Good parts rejected", "false reject, overkill", effect.photos.share(Verdict.REJECT)),
            _tile("Good parts to check", "a person looks for nothing", effect.photos.share(Verdict.CHECK)),
            _tile("Known defects accepted", "escapes", escapes)
            | {"is_bad": bool(escapes and escapes.count), "none": "no stored picture is labeled defective"},
        ],
        columns=[(name, counts.total) for name, counts in columns.items()],
        rows=[
            {
                "verdict": verdict.value,
                "word": words.TITLES[verdict],
                "cells": [
                    {
                        "text": _share_text(counts.share(verdict)),
                        "is_bad": name == "known defects"
                        and verdict is Verdict.ACCEPT
                        and bool(escapes and escapes.count),
                    }
                    for name, counts in columns.items()
                ],
                "before": _count(effect.stored_before, verdict),
                "after": _count(effect.stored_after, verdict),
            }
            for verdict in Verdict
        ],
        stored=effect.stored_after.total,
        rests_on_labels=seen.source is Source.LABELS,
    )


def history_html(seen: Overview) -> str:
    """Who set which limits, the newest first."""
    return render(
        "calibrate_history.html",
        entries=[
            {
                "when": f"{entry.created_at:%d %b %Y, %H:%M} UTC",
                "actor": entry.actor,
                "note": entry.note,
                "what": _entry_text(entry),
            }
            for entry in seen.history
        ],
    )


def earlier_choices(history: Sequence[StoredLimits]) -> list[tuple[str, int]]:
    """Entries of the list of earlier limits, (label, number)."""
    return [
        (
            f"{entry.created_at:%d %b %H:%M} · reject from {words.score_text(entry.calibration.reject)}",
            entry.id,
        )
        for entry in history
        if entry.calibration is not None
    ]


def drawing_html(progress: Progress, *, is_of_visit: bool = False) -> str:
    """After saving, while regions are drawn anew."""
    return render("calibrate_saved.html", changed=None, progress=progress, is_of_visit=is_of_visit)


def saved_html(changed: Rejudged, *, is_of_visit: bool = False) -> str:
    """What saving did to stored results.

    Args:
        is_of_visit: whether the limits hold for the stored work of one visit alone.
    """
    return render(
        "calibrate_saved.html",
        changed=changed,
        progress=None,
        is_of_visit=is_of_visit,
        total=changed.after.total(),
        rows=[
            (words.TITLES[verdict], verdict.value, changed.before[verdict], changed.after[verdict])
            for verdict in Verdict
        ],
    )


def percent(share: float) -> str:
    """A share with as many digits as help: `11.7 %`, `0.5 %`, `0.02 %`."""
    value = 100 * share
    if value == 0 or value >= 99.95:
        return f"{value:.0f} %"
    return f"{value:.3g} %" if value >= 1 else f"{value:.2g} %"


def _numbers_title(seen: Overview) -> str:
    if seen.calibration is None:
        return "Without limits every part is to be checked"
    return "At the limits in force" if seen.is_in_force else "With the limits that are tried on"


def _source_text(seen: Overview) -> str:
    if seen.source is None:
        return ""
    images = 0 if seen.calibration is None else seen.calibration.images
    moved = "moved by hand, over " if seen.is_moved else "set from "
    return f"{moved}{SOURCES[seen.source]} ({images})"


def _limits_text(check: float | None, reject: float | None) -> str:
    if check is None or reject is None:
        return "none"
    return f"check from {words.score_text(check)}, reject from {words.score_text(reject)}"


def _tile(name: str, meaning: str, share: ExactShare | None) -> dict[str, Any]:
    return {
        "name": name,
        "meaning": meaning,
        "value": None if share is None else f"{share.count} of {share.total}",
        "ends": None if share is None else f"{percent(share.low)} to {percent(share.high)}",
        "is_bad": False,
        "none": "no good parts yet",
    }


def _share_text(share: ExactShare | None) -> str:
    if share is None:
        return "–"
    return f"{share.count} ({percent(share.low)} to {percent(share.high)})"


def _count(counts: VerdictCounts, verdict: Verdict) -> int:
    share = counts.share(verdict)
    return 0 if share is None else share.count


def _entry_text(entry: StoredLimits) -> str:
    known = entry.calibration
    if known is None:
        return "taken back: the checkpoint's own limits hold"
    how = "moved by hand" if entry.is_moved else SOURCES[entry.source]
    return f"{_limits_text(known.check, known.reject)} · {known.images} good parts · {how}"
