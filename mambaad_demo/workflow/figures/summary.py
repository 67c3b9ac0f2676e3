"""Everything the Metrics page says about one product and version, in two parts, kept while it stays true.

The first part rests on rows alone and is there at once; the second, `full_ranking`, reads maps and masks.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import func, select

from mambaad_demo.storage import inspections, labels
from mambaad_demo.storage.tables import AuditEntry, Image, Inspection
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.figures.agreement import Agreement, agreement
from mambaad_demo.workflow.figures.drift import Drift, drift
from mambaad_demo.workflow.figures.image_ranking import ImageRanking, image_ranking
from mambaad_demo.workflow.figures.labeled_scores import (
    LabeledScore,
    LabeledSet,
    Version,
    labeled_set,
    versions,
)
from mambaad_demo.workflow.figures.pixel_ranking import FullRanking, full_ranking
from mambaad_demo.workflow.figures.rates import (
    Confusion,
    ErrorRates,
    LimitSweep,
    confusion,
    error_rates,
    limit_sweep,
)

_MOST_KEPT = 8
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What rows alone tell."""

    product: str
    labeled: LabeledSet
    by_score: ImageRanking
    """By the scores that verdicts rest on. `FullRanking` takes its own where `train.evaluate` does; in
    letterboxed pictures they differ a little."""
    confusion: Confusion
    rates: ErrorRates
    sweep: LimitSweep | None
    drift: Drift
    agreement: Agreement
    """Of all reviewers, whoever's word the rest goes by."""


def product_versions(workspace: Workspace, product: str) -> list[Version]:
    """The versions that have inspected pictures of a product, the one used last first."""
    return versions(inspections.inspections(workspace, product=product))


def overview(
    workspace: Workspace, product: str, version: Version, *, reviewer: str | None = None
) -> Overview:
    """The first part.

    Args:
        workspace: whose rows.
        product: of which pictures.
        version: whose inspections.
        reviewer: whose word counts; by default that of most.
    """
    found = inspections.inspections(workspace, product=product, checkpoint=version.checkpoint)
    everybody = labels.labeled_images(workspace, product=product)
    chosen = everybody
    if reviewer is not None:
        chosen = labels.labeled_images(workspace, product=product, reviewer=reviewer)
    labeled = labeled_set(version, found, chosen)
    return Overview(
        product=product,
        labeled=labeled,
        by_score=image_ranking(labeled.scores, labeled.is_defective),
        confusion=confusion(labeled),
        rates=error_rates(labeled),
        sweep=limit_sweep(labeled),
        drift=drift(labeled),
        agreement=agreement(everybody, labels.repeats(workspace, product=product)),
    )


class FigureBook:
    """Measures, and keeps the last answers until there is something new; safe to share between threads."""

    def __init__(self) -> None:
        self._overviews: OrderedDict[Hashable, Overview] = OrderedDict()
        self._rankings: OrderedDict[Hashable, FullRanking] = OrderedDict()

    def overview(
        self, workspace: Workspace, product: str, version: Version, *, reviewer: str | None = None
    ) -> Overview:
        """See the function of this name."""
        key = (workspace.key, _state(workspace), product, version, reviewer)
        return _kept(self._overviews, key, lambda: overview(workspace, product, version, reviewer=reviewer))

    def ranking(self, workspace: Workspace, labeled: LabeledSet) -> FullRanking:
        """See `full_ranking`."""
        key = (workspace.key, tuple(_ground(picture) for picture in labeled.decided))
        return _kept(self._rankings, key, lambda: full_ranking(workspace, labeled))


def _kept(answers: OrderedDict[Hashable, _T], key: Hashable, measure: Callable[[], _T]) -> _T:
    """The answer that is kept under this key, measured first if there is none."""
    answer = answers.get(key)
    if answer is None:
        answer = answers[key] = measure()
        while len(answers) > _MOST_KEPT:
            answers.popitem(last=False)
    return answer


def _state(workspace: Workspace) -> Hashable:
    """Another value after every decision, undo, inspection and deletion."""
    decided = select(func.max(AuditEntry.id)).where(AuditEntry.workspace == workspace.key)
    inspected = (
        select(func.max(Inspection.id), func.count(Inspection.id))
        .join(Image, Inspection.image_id == Image.id)
        .where(Image.workspace == workspace.key)
    )
    with workspace.database.reading() as session:
        return session.scalar(decided), *session.execute(inspected).one()


def _ground(picture: LabeledScore) -> Hashable:
    """What a picture contributes to a ranking."""
    return picture.inspection.id, picture.is_defective, picture.label.mask_sha256
