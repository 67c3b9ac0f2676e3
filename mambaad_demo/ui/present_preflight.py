"""What the check of a good set found, as markup: numbers, complaints, and the photos that stand out; pure.

File names of strangers reach markup through Jinja alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mambaad_demo.pipeline import good_set_words
from mambaad_demo.pipeline.finetune_spec import MIN_PHOTOS
from mambaad_demo.pipeline.preflight import Finding, GoodSetReport
from mambaad_demo.ui.good_set_look import Look, Pace
from mambaad_demo.ui.present import data_uri, grouped
from mambaad_demo.ui.present_train import duration
from mambaad_demo.ui.templates import render
from mambaad_demo.ui.told import Told

_SIZES = 4
"""Sizes that are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Photos that stand out for one reason."""

    title: str
    meaning: str
    sets: Sequence[Sequence[Mapping[str, object]]]
    """Several where they are copies of each other."""
    tick: str = "leave all out"
    is_copies: bool = False


def progress_html(progress: Told) -> str:
    """How far the check is."""
    return render("preflight_progress.html", what=progress.what, done=progress.done, total=progress.total)


def report_html(look: Look, *, notes: Sequence[str] = ()) -> str:
    """All that the check found; what is said beside the photos of a group is not said twice.

    Args:
        notes: sentences about pictures that were sent and not looked at.
    """
    report = look.report
    groups = [group for group in _groups(look) if any(group.sets)]
    said = {group.meaning for group in groups}
    return render(
        "preflight.html",
        count=report.count,
        fewest=MIN_PHOTOS,
        can_train=report.can_train,
        problems=report.problems,
        warnings=[words for words in report.warnings if words not in said],
        facts=_facts(report),
        groups=groups,
        refused=report.refused,
        notes=notes,
    )


def _facts(report: GoodSetReport) -> list[tuple[str, str]]:
    sizes = [f"{width} × {height} px ({count})" for (width, height), count in report.sizes[:_SIZES]]
    more = f" and {len(report.sizes) - _SIZES} more" if len(report.sizes) > _SIZES else ""
    facts = [("sizes", ", ".join(sizes) + more)] if sizes else []
    if report.brightness is not None:
        darkest, middle, brightest = report.brightness
        facts.append(
            ("mean gray level", f"{darkest:.2f} to {brightest:.2f}, mostly {middle:.2f} (0 black, 1 white)")
        )
    return facts


def _groups(look: Look) -> list[_Group]:
    report = look.report
    return [
        _Group(
            title="These look odd", meaning=good_set_words.odd(report.odd), sets=[_rows(look, report.odd)]
        ),
        _Group(
            title="The same photo more than once",
            meaning=good_set_words.duplicates(report.duplicates, report.copies),
            sets=[_alike(look, names) for names in report.duplicates],
            tick="keep only the first of each",
            is_copies=True,
        ),
        _Group(
            title="Less sharp",
            meaning=good_set_words.blurred(report.blurred),
            sets=[_rows(look, report.blurred)],
        ),
        _Group(
            title="Darker or brighter",
            meaning=good_set_words.exposure(report.exposure),
            sets=[_rows(look, report.exposure)],
        ),
        _Group(
            title="Empty",
            meaning=good_set_words.blank(report.blank),
            sets=[[_photo(look, name, "one even color") for name in report.blank]],
        ),
    ]


def _rows(look: Look, found: Sequence[Finding]) -> list[dict[str, object]]:
    return [_photo(look, name, words) for name, _, words in found]


def _alike(look: Look, names: Sequence[str]) -> list[dict[str, object]]:
    """A group of copies; the first of them is the one to keep."""
    return [_photo(look, name, "", is_first=number == 0) for number, name in enumerate(names)]


def _photo(look: Look, name: str, words: str, *, is_first: bool = False) -> dict[str, object]:
    jpeg = look.thumbnails.get(name)
    return {
        "name": name,
        "words": words,
        "picture": None if jpeg is None else data_uri(jpeg, "image/jpeg"),
        "is_first": is_first,
    }


def estimate_html(
    pace: Pace | None,
    minutes: object,
    *,
    variants: int = 0,
    problem: str = "",
    is_measuring: bool = False,
) -> str:
    """What fits into the budget, or why nobody knows.

    Args:
        pace: what was measured, if anything was.
        minutes: the budget as the page holds it, which may be anything.
        variants: pictures that are made of each photo, besides itself.
        problem: why nothing could be measured.
        is_measuring: whether that is still going on.
    """
    return render(
        "preflight_estimate.html",
        words=None if pace is None else _estimated(pace, minutes, variants),
        problem=problem,
        is_measuring=is_measuring,
    )


def _estimated(pace: Pace, minutes: object, variants: int) -> str | None:
    try:
        budget = float(str(minutes))
    except ValueError:
        return None
    if not 0 < budget < math.inf:
        return None
    found = pace.estimate
    steps = math.floor(60 * budget / found.seconds_per_step)
    before = found.seconds_to_read(photos=pace.photos, variants=variants)
    memory = f"{found.megabytes_for(photos=pace.photos, variants=variants) / 1000:.1f} GB"
    on_gpu = f" and {found.gpu_megabytes / 1000:.1f} GB on the GPU" if found.gpu_megabytes else ""
    return (
        f"About {grouped(steps)} steps in {budget:g} min, after {duration(before)} of reading, with "
        f"{memory} of memory{on_gpu}; measured on this machine ({found.device})."
    )
