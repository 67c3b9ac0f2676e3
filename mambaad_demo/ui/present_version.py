"""The report of a fine-tuned version as markup: what it rests on, what became of parts known before."""

from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from mambaad_demo.ui.present_train import duration
from mambaad_demo.ui.templates import render
from mambaad_demo.ui.words import score_text, spoken

MARKED_LOSS = 0.1
"""A known part is marked where noise stands out less than before by more than this share."""
_FEW_HELD_OUT = 20


def result_html(version: str | None, report: Mapping[str, JsonValue] | None) -> str:
    """What a finished training says about its version; nothing before.

    Args:
        version: its name.
        report: as the engine wrote it.
    """
    if version is None or report is None:
        return ""
    said: dict[str, Any] = dict(report)
    photos, best, spec = said["photos"], said["best"], said["spec"]
    return render(
        "train_result.html",
        facts=[
            ("version", version),
            ("product", spoken(said["category"])),
            ("made from", f"{said['base']} {said['base_sha256'][:8]}"),
            ("learned from", _photos(photos["trained_on"])),
            ("limits rest on", f"{_photos(photos['held_out'])} it never learned from"),
            ("limits aim at", f"{100 * spec['reject_rate']:g} % good parts rejected"),
            *_limits(said),
            ("training", f"{said['steps']} steps in {duration(said['seconds'])}{_ending(said)}"),
            (
                "best state",
                f"after step {said['best_step']}: noise stands out {score_text(best['separation'])} spreads",
            ),
        ],
        notes=_notes(said),
        known=[_known(name, one) for name, one in said["known"].items()],
        marked_loss=f"{100 * MARKED_LOSS:g} %",
        refused=photos["refused"],
    )


def _photos(count: int) -> str:
    return f"{count} photo{'' if count == 1 else 's'}"


def _limits(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    limits = said.get("limits")
    if not limits:
        return []
    return [("limits", f"check {score_text(limits['check'])}, reject {score_text(limits['reject'])}")]


def _ending(said: Mapping[str, Any]) -> str:
    return ", ended early: nothing got better any more" if said["ended_early"] else ""


def _notes(said: Mapping[str, Any]) -> list[str]:
    """What its owner should know before trusting it."""
    notes = []
    held_out = said["photos"]["held_out"]
    if held_out < _FEW_HELD_OUT:
        notes.append(
            f"{held_out} held-out photos say little about how often a good part is rejected. The Calibrate "
            "page shows how little; more good photos narrow it."
        )
    if said["best_step"] == 0:
        notes.append(
            "No state was better than the one it started from, so the version differs from its base in the "
            "limits only. Train longer, or look at the photos again."
        )
    if said["not_rehearsed"]:
        names = ", ".join(map(spoken, said["not_rehearsed"]))
        notes.append(
            f"Not rehearsed, since nothing of them is stored here, and without limits in this "
            f"version: {names}."
        )
    return notes


def _known(name: str, one: Mapping[str, Any]) -> dict[str, object]:
    before, after = one["before"]["separation"], one["after"]["separation"]
    return {
        "name": spoken(name),
        "before": score_text(before),
        "after": score_text(after),
        "is_worse": after < before * (1 - MARKED_LOSS),
        "reject_before": _limit(one["reject_before"]),
        "reject_after": _limit(one["reject_after"]),
    }


def _limit(value: float | None) -> str:
    return "none" if value is None else score_text(value)
