"""Studies as what the page shows; the figures themselves are drawn as in the printed report."""

from collections.abc import Sequence

from mambaad_demo.pipeline.set_comparison import Progress
from mambaad_demo.storage.studies import StudyEntry
from mambaad_demo.ui.templates import render
from mambaad_demo.workflow.report.sections import sheet_html, study_html
from mambaad_demo.workflow.studies.attribute_msa import Sheet
from mambaad_demo.workflow.studies.study import Choice, ShotKind, Study

KINDS = [
    ("Variations of a stored picture", ShotKind.GENERATED.value),
    ("Stored pictures: part07_1, part07_2", ShotKind.STORED.value),
]
CHOICES = [("nearest to a limit", Choice.NEAREST.value), ("at random", Choice.RANDOM.value)]


def progress_html(progress: Progress) -> str:
    """How many shots are judged."""
    return render("study_progress.html", done=progress.done, total=progress.total)


def stopped_html() -> str:
    """In place of a result."""
    return render("study_progress.html", done=None)


def problem_html(problem: str) -> str:
    """Why there is no result; empty where there is nothing to say."""
    return render("study_problem.html", problem=problem)


def result_html(study: Study, sheet: Sheet) -> str:
    """A study with its agreement sheet."""
    return render(
        "study_result.html",
        product=study.spec.product,
        checkpoint=study.spec.checkpoint,
        study=study_html(study),
        sheet=sheet_html(sheet),
    )


def study_choices(studies: Sequence[StudyEntry]) -> list[tuple[str, int]]:
    """Entries of the list of earlier studies, (label, number)."""
    return [(f"{study.name} · {study.created_at:%d %b %H:%M}", study.id) for study in studies]
