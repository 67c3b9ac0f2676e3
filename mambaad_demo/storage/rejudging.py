"""Stored results under other limits: scores stay, everything that follows from limits is written anew.

Which results: those of a checkpoint that look as closely, judged as the category, or of the product of this
name and judged as whatever the model took it for. What is said about other categories stays, but moves to the
new version with them, so that a version still holds all results that were judged by its limits. Regions of
parts that are accepted now are dropped; drawing others takes the maps and is left to `workflow`.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from mambaad_demo.hub.schemas import CategoryCalibration
from mambaad_demo.pipeline.prediction import Limits, Verdict
from mambaad_demo.pipeline.predictor import STRANGER_NOTE, Predictor, good_percentile, no_limits_note
from mambaad_demo.storage.insertion import id_of
from mambaad_demo.storage.inspections import (
    StoredInspection,
    VersionFacts,
    closeness,
    selection,
    stored,
)
from mambaad_demo.storage.tables import Image, Inspection, Product, Version
from mambaad_demo.storage.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """How many results had each verdict, and have it now."""

    before: Counter[Verdict]
    after: Counter[Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredScore:
    """A stored result that limits of a category would judge."""

    inspection_id: int
    image_id: int
    score: float
    verdict: Verdict
    """As it stands."""


def stored_scores(workspace: Workspace, predictor: Predictor, category: str) -> list[StoredScore]:
    """The results that `rejudge` would judge anew, in the order in which they were made."""
    query = (
        select(Inspection.id, Inspection.image_id, Inspection.score, Inspection.verdict)
        .join(Image, Inspection.image_id == Image.id)
        .join(Product, Image.product_id == Product.id)
        .join(Version, Inspection.version_id == Version.id)
        .where(*concerned(workspace, predictor, category))
        .order_by(Inspection.id)
    )
    with workspace.database.reading() as session:
        return [
            StoredScore(inspection_id=key, image_id=image, score=score, verdict=Verdict(verdict))
            for key, image, score, verdict in session.execute(query)
        ]


def results(workspace: Workspace, predictor: Predictor, category: str) -> list[StoredInspection]:
    """The same results in full."""
    query = selection(workspace).where(*concerned(workspace, predictor, category)).order_by(Inspection.id)
    with workspace.database.reading() as session:
        return [stored(row) for row in session.execute(query)]


def write_regions(workspace: Workspace, found: StoredInspection, regions: list[dict[str, Any]]) -> None:
    """Keep the regions of a result, unless its limits have changed again since it was read."""
    with workspace.database.writing() as session:
        session.execute(
            update(Inspection)
            .where(
                Inspection.id == found.id,
                Inspection.check_limit == found.limits.check,
                Inspection.verdict == found.verdict.value,
            )
            .values(regions=regions)
        )


def concerned(workspace: Workspace, predictor: Predictor, category: str) -> tuple[ColumnElement[bool], ...]:
    """Conditions on Inspection, Image, Product and Version: what limits of a category judge."""
    is_guessed = and_(Product.name == category, Inspection.category_source == "suggested")
    return (
        Image.workspace == workspace.key,
        Version.sha256 == predictor.checkpoint.sha256,
        Inspection.tiles == predictor.tiles,
        or_(Inspection.category == category, is_guessed),
    )


def rejudge(
    session: Session, workspace: Workspace, before: Predictor, after: Predictor, category: str
) -> Verdicts:
    """Write what follows from the limits of one predictor where those of another stood.

    Args:
        before, after: the same checkpoint with the limits of all its categories.
        category: the one whose limits differ.
    """
    query = (
        select(
            Inspection.id,
            Inspection.score,
            Inspection.verdict,
            Inspection.category,
            Inspection.embedding_distance,
            Inspection.notes,
            Inspection.version_id,
        )
        .join(Image, Inspection.image_id == Image.id)
        .join(Product, Image.product_id == Product.id)
        .join(Version, Inspection.version_id == Version.id)
        .where(*concerned(workspace, after, category))
    )
    versions = _NewVersions(session, VersionFacts.of(after).calibration_sha256)
    known, was_known = after.calibration_of(category), before.calibration_of(category)
    keeps_centroid = known is not None and was_known is not None and known.embedding == was_known.embedding
    verdicts = Verdicts(before=Counter(), after=Counter())
    passed: list[dict[str, Any]] = []
    standing: list[dict[str, Any]] = []
    for row in session.execute(query).all():
        columns = _columns(row.score, known)
        keeps_distance = keeps_centroid and row.category == category
        columns |= {
            "id": row.id,
            "category": category,
            "embedding_distance": row.embedding_distance if keeps_distance else None,
            "notes": _notes(row.notes, row.category, category, after, known),
            "version_id": versions.id_for(row.version_id),
        }
        verdicts.before[Verdict(row.verdict)] += 1
        verdicts.after[Verdict(columns["verdict"])] += 1
        if known is None or columns["verdict"] == Verdict.ACCEPT.value:
            passed.append(columns | {"regions": []})
        else:
            standing.append(columns)
    for rows in (passed, standing):
        if rows:
            session.execute(update(Inspection), rows)
    _move_others(session, workspace, before, after, versions)
    return verdicts


class _NewVersions:
    """The versions that stand for the new limits, one for each name of a checkpoint."""

    def __init__(self, session: Session, calibration_sha256: str) -> None:
        self._session = session
        self._calibration_sha256 = calibration_sha256
        self._ids: dict[int, int] = {}

    def id_for(self, version_id: int) -> int:
        """The version with the weights of this one and the new limits."""
        if version_id not in self._ids:
            version = self._session.get_one(Version, version_id)
            key = {
                "checkpoint": version.checkpoint,
                "sha256": version.sha256,
                "calibration_sha256": self._calibration_sha256,
            }
            kept = ("decoder", "encoder", "side", "resize")
            values = {name: getattr(version, name) for name in kept}
            self._ids[version_id] = id_of(self._session, Version, key, **values)
        return self._ids[version_id]


def _columns(score: float, known: CategoryCalibration | None) -> dict[str, Any]:
    """What follows from limits alone."""
    limits = Limits() if known is None else Limits(check=known.check, reject=known.reject)
    return {
        "verdict": limits.verdict(score).value,
        "check_limit": limits.check,
        "reject_limit": limits.reject,
        "percentile": None if known is None else good_percentile(score, known),
        "pixel_median": 0.0 if known is None else known.pixel_quantiles["0.5"],
        "closeness": closeness(score, limits),
    }


def _notes(
    notes: list[str],
    old_category: str,
    category: str,
    predictor: Predictor,
    known: CategoryCalibration | None,
) -> list[str]:
    """The notes without what is no longer true."""
    own_tiles = predictor.checkpoint.config.tiles
    old, new = (
        no_limits_note(name, predictor.tiles, own_tiles=own_tiles) for name in (old_category, category)
    )
    gone = {old, new} | ({STRANGER_NOTE} if old_category != category else set())
    kept = [note for note in notes if note not in gone]
    return kept if known is not None else [*kept, new]


def _move_others(
    session: Session, workspace: Workspace, before: Predictor, after: Predictor, versions: _NewVersions
) -> None:
    """Results of other categories, whose limits are the same in both, follow to the new version."""
    old = VersionFacts.of(before)
    query = select(Version).where(
        Version.sha256 == old.sha256, Version.calibration_sha256 == old.calibration_sha256
    )
    for version in session.scalars(query).all():
        session.execute(
            update(Inspection)
            .where(
                Inspection.version_id == version.id,
                Inspection.tiles == after.tiles,
                Inspection.image_id.in_(select(Image.id).where(Image.workspace == workspace.key)),
            )
            .values(version_id=versions.id_for(version.id))
            .execution_options(synchronize_session=False)
        )
