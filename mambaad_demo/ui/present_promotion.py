"""Promotions as what the card shows: what is active, what the golden set says, what was decided before."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.pipeline.prediction import Limits, Verdict
from mambaad_demo.pipeline.set_comparison import Progress
from mambaad_demo.storage.promotions import Action, Step, before, standing
from mambaad_demo.ui.templates import render
from mambaad_demo.ui.words import TITLES, spoken
from mambaad_demo.workflow.golden_set import GoldenPicture, GoldenReport
from mambaad_demo.workflow.promotion import STAND_IN, Gate, Pair, Trial

MOST_PICTURES, MOST_STEPS = 60, 50
"""Rows of a table at most."""

_OUTCOMES = {
    Finding.DEFECT: (
        ("accepted (escapes)", Verdict.ACCEPT),
        ("to check", Verdict.CHECK),
        ("rejected", Verdict.REJECT),
    ),
    Finding.GOOD: (
        ("rejected (false rejects)", Verdict.REJECT),
        ("to check", Verdict.CHECK),
        ("accepted", Verdict.ACCEPT),
    ),
}
"""What may happen to a part; the wrong verdict first."""
_KNOWN = {Finding.DEFECT: "defective", Finding.GOOD: "good"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoing:
    """What rolling back would do."""

    label: str
    is_possible: bool


def version_choices(names: Sequence[str], own: Collection[str]) -> list[str]:
    """Entries of the list of versions: those fine-tuned here first."""
    return sorted(names, key=lambda name: name not in own)


def product_choices(counts: Mapping[str, Counter[Finding]], category: str | None) -> list[tuple[str, str]]:
    """Entries of the list of golden sets, (label, product): the one named like the category first."""
    names = dict.fromkeys([*([category] if category else []), *sorted(counts)])
    return [(f"{spoken(name)} ({_total(counts, name)})", name) for name in names]


def status_html(
    category: str | None, product: str, steps: Sequence[Step], counts: Mapping[str, Counter[Finding]]
) -> str:
    """What is active, and what the golden set holds; nothing without a category."""
    if not category:
        return ""
    known = counts.get(product, Counter())
    step = steps[0] if steps and steps[0].checkpoint is not None else None
    return render(
        "promotion_status.html",
        category=spoken(category),
        step=step,
        since="" if step is None else _moment(step.created_at),
        stand_in=STAND_IN,
        product=spoken(product),
        good=known[Finding.GOOD],
        defects=known[Finding.DEFECT],
    )


def undoing(steps: Sequence[Step], names: Collection[str]) -> Undoing:
    """What the button that rolls back says.

    Args:
        names: checkpoints that are there.
    """
    if not standing(steps):
        return Undoing(label="Roll back", is_possible=False)
    target = next((step.checkpoint for step in before(steps) if step.checkpoint in names), STAND_IN)
    return Undoing(label=f"Roll back to {target}", is_possible=True)


def progress_html(progress: Progress, version: str) -> str:
    """How many golden pictures are replayed."""
    return render("promotion_progress.html", done=progress.done, total=progress.total, version=version)


def problem_html(problem: str) -> str:
    """Why nothing was changed; empty where there is nothing to say."""
    return render("promotion_notice.html", problem=problem, words="")


def done_html(words: str, *, is_private: bool) -> str:
    """What was decided.

    Args:
        is_private: whether it holds for one visitor alone, on this page alone.
    """
    here = " Recorded for your visit; choose the version yourself on the other pages." if is_private else ""
    return render("promotion_notice.html", problem="", words=f"{words}{here}")


def rollback_words(back: Step, gone: Sequence[str]) -> str:
    """What a rollback did, and the versions it passed over."""
    which = f", since {', '.join(gone)} cannot be used any more" if gone else ""
    return (
        f"{back.checkpoint or STAND_IN} judges {back.category} again{which}; the golden set was not replayed."
    )


def shown_pairs(gate: Gate) -> list[Pair]:
    """Golden pictures that are judged differently or wrongly, the most serious first."""
    found = [
        pair for pair in gate.pairs if pair.is_changed or pair.after.is_escape or pair.after.is_false_reject
    ]
    return sorted(found, key=_seriousness)


def trial_html(trial: Trial, thumbnails: Mapping[str, str]) -> str:
    """What the golden set says.

    Args:
        thumbnails: addresses by hash, of the first `MOST_PICTURES` of `shown_pairs` at least.
    """
    gate, after = trial.gate, trial.after
    before = None if trial.before is after else trial.before  # the active version itself needs one column
    pairs = shown_pairs(gate)
    return render(
        "promotion_trial.html",
        gate=gate,
        tone="blocked" if gate.is_blocked else "doubtful" if gate.warnings else "passed",
        notes=trial.notes,
        before="" if before is None else _column(before, after),
        after=after.checkpoint,
        tables=[_table(finding, before, after) for finding in _OUTCOMES if after.known(finding)],
        rows=[_row(pair, before, after, thumbnails) for pair in pairs[:MOST_PICTURES]],
        more=max(0, len(pairs) - MOST_PICTURES),
        pictures=len(after.pictures),
    )


def history_html(category: str | None, steps: Sequence[Step]) -> str:
    """What was decided for a category, the newest first."""
    rows = [
        {
            "when": _moment(step.created_at),
            "actor": step.actor,
            "what": f"promoted {step.checkpoint}"
            if step.action is Action.PROMOTE
            else f"rolled back to {step.checkpoint or STAND_IN}",
            "note": step.note,
            "reason": step.override_reason,
        }
        for step in steps[:MOST_STEPS]
    ]
    return render(
        "promotion_history.html",
        category=spoken(category or ""),
        steps=rows,
        more=max(0, len(steps) - MOST_STEPS),
    )


def _column(before: GoldenReport, after: GoldenReport) -> str:
    """What the column of the version before is called."""
    return f"{before.checkpoint}, active" if before.checkpoint == after.checkpoint else before.checkpoint


def _table(finding: Finding, before: GoldenReport | None, after: GoldenReport) -> dict[str, Any]:
    rows = []
    for number, (name, verdict) in enumerate(_OUTCOMES[finding]):
        earlier = None if before is None else before.count(finding, verdict)
        count = after.count(finding, verdict)
        is_wrong = number == 0
        rows.append(
            {
                "name": name,
                "before": earlier,
                "after": count,
                "is_wrong": is_wrong,
                "is_worse": is_wrong and count > (earlier or 0),
            }
        )
    known = after.known(finding)
    return {"title": f"{known} {_KNOWN[finding]} {'part' if known == 1 else 'parts'}", "rows": rows}


def _row(
    pair: Pair, before: GoldenReport | None, after: GoldenReport, thumbnails: Mapping[str, str]
) -> dict[str, Any]:
    what, tone = _what(pair)
    earlier = None if pair.before is None or before is None else _judgement(pair.before, before.limits)
    return {
        "name": pair.after.name,
        "known": _KNOWN[pair.after.finding],
        "picture": thumbnails.get(pair.after.sha256, ""),
        "what": what,
        "tone": tone,
        "before": earlier,
        "after": _judgement(pair.after, after.limits),
    }


def _judgement(picture: GoldenPicture, limits: Limits) -> dict[str, str]:
    multiple = f"×{picture.score / limits.reject:.2f}" if limits.reject else "no limit"
    return {"verdict": picture.verdict.value, "title": TITLES[picture.verdict], "multiple": multiple}


def _what(pair: Pair) -> tuple[str, str]:
    """What a change means, and its color."""
    if pair.is_new_escape:
        return "new escape", "reject"
    if pair.after.is_escape:
        return "still an escape", "check"
    if pair.is_new_false_reject:
        return "new false reject", "check"
    if pair.after.is_false_reject:
        return "still a false reject", "check"
    if pair.is_cured_escape or pair.is_cured_false_reject:
        return "cured", "accept"
    return "", ""


def _seriousness(pair: Pair) -> tuple[bool, bool, bool, bool]:
    after = pair.after
    return (
        not pair.is_new_escape,
        not after.is_escape,
        not pair.is_new_false_reject,
        not after.is_false_reject,
    )


def _total(counts: Mapping[str, Counter[Finding]], name: str) -> str:
    return str(counts.get(name, Counter()).total() or "empty")


def _moment(moment: datetime) -> str:
    return f"{moment:%d %b %Y %H:%M}"
