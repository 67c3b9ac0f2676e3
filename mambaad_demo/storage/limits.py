"""Limits that people set: a history whose newest entry is in force; stored results are judged anew by it.

A set belongs to a workspace, to the weights of a checkpoint, to a category and to a number of tiles. Where
none is in force the checkpoint's own limits hold.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mambaad_demo.errors import InputError
from mambaad_demo.hub.schemas import Border, CategoryCalibration
from mambaad_demo.pipeline.prediction import Verdict
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.storage import audit, rejudging, text
from mambaad_demo.storage.insertion import take_turns
from mambaad_demo.storage.tables import LimitSet
from mambaad_demo.storage.workspace import Workspace

_LONGEST_CATEGORY = 100  # as `hub.schemas.CategoryName`


class Source(StrEnum):
    """Which good parts limits rest on."""

    CHECKPOINT = "checkpoint"
    """Those the checkpoint was saved with."""
    PHOTOS = "photos"
    """Photos that were uploaded for it."""
    LABELS = "labels"
    """Stored pictures that people called good."""


class LimitContent(Border):
    """What a set says, as it lies in the column `content`."""

    calibration: CategoryCalibration
    source: Source
    is_moved: bool = False
    """Whether a person put the limits where they are, rather than the rates they aim at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLimits:
    """One line of the history."""

    id: int
    checkpoint: str
    checkpoint_sha256: str
    category: str
    tiles: int
    calibration: CategoryCalibration | None
    """None where all sets before were taken back."""
    source: Source
    is_moved: bool
    note: str
    actor: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejudged:
    """What new limits did to stored results."""

    limits_id: int
    before: Counter[Verdict]
    after: Counter[Verdict]


def save(
    workspace: Workspace,
    predictor: Predictor,
    category: str,
    calibration: CategoryCalibration,
    *,
    source: Source,
    is_moved: bool = False,
    actor: str,
    note: str = "",
) -> Rejudged:
    """Put limits in force and judge the stored results of this checkpoint and category by them.

    All in one transaction. A batch that runs meanwhile notices by `catch_up`.

    Args:
        predictor: as the catalog has it, looking as closely as the scores of the calibration were measured.
        source: where the good parts come from.
        is_moved: whether a person put the limits where they are.
        note: why, for people.

    Raises:
        InputError: the category has no name, or one that is too long.
        StorageError: nothing was changed.
    """
    content = LimitContent(calibration=calibration, source=source, is_moved=is_moved)
    return _add(workspace, predictor, category_name(category), content, note=note, actor=actor)


def take_back(
    workspace: Workspace, predictor: Predictor, category: str, *, actor: str, note: str = ""
) -> Rejudged:
    """Let the checkpoint's own limits hold again; a category it does not know has none then.

    Raises:
        InputError: nothing is in force that could be taken back.
        StorageError: nothing was changed.
    """
    standing = newest(workspace, predictor, category)
    if standing is None or standing.calibration is None:
        raise InputError("The checkpoint's own limits are in force already.")
    return _add(workspace, predictor, category, None, note=note, actor=actor)


def catch_up(workspace: Workspace, predictor: Predictor) -> tuple[Predictor, tuple[str, ...]]:
    """Judge anew what was judged by limits that have been replaced since.

    Args:
        predictor: with the limits that results were just judged by, looking as closely as they were made.

    Returns:
        the predictor with the limits in force, and the categories whose limits differ.

    Raises:
        StorageError: nothing was changed.
    """
    plain = predictor.with_calibrations({})
    if not _differing(predictor, in_force(workspace, plain)):
        return predictor, ()
    with workspace.database.writing() as session:
        take_turns(session, workspace.key)
        after = _in_force(session, workspace, plain)
        changed = _differing(predictor, after)
        for category in changed:
            rejudging.rejudge(session, workspace, predictor, after, category)
    return after, changed


def newest(workspace: Workspace, predictor: Predictor, category: str) -> StoredLimits | None:
    """The last word on a category, if there was one."""
    return next(iter(history(workspace, predictor, category, at_most=1)), None)


def history(
    workspace: Workspace, predictor: Predictor, category: str, *, at_most: int = 100
) -> list[StoredLimits]:
    """What was set and taken back for a category at this number of tiles, the newest first."""
    query = (
        select(LimitSet)
        .where(
            LimitSet.workspace == workspace.key,
            LimitSet.checkpoint_sha256 == predictor.checkpoint.sha256,
            LimitSet.category == category,
            LimitSet.tiles == predictor.tiles,
        )
        .order_by(LimitSet.id.desc())
        .limit(at_most)
    )
    with workspace.database.reading() as session:
        return [_stored(row) for row in session.scalars(query)]


def in_force(workspace: Workspace, predictor: Predictor) -> Predictor:
    """The predictor with the limits that people of this workspace set, for whatever number of tiles.

    Args:
        predictor: as the catalog has it; returned as it is where nothing was set.
    """
    with workspace.database.reading() as session:
        return _in_force(session, workspace, predictor)


def category_name(given: str) -> str:
    """A category as it is stored.

    Raises:
        InputError: it is empty or too long.
    """
    name = text.name(given)
    if not name or len(name) > _LONGEST_CATEGORY:
        raise InputError(f"Give the product a name of 1 to {_LONGEST_CATEGORY} letters.")
    return name


def _add(
    workspace: Workspace,
    predictor: Predictor,
    category: str,
    content: LimitContent | None,
    *,
    note: str,
    actor: str,
) -> Rejudged:
    checkpoint = predictor.checkpoint
    with workspace.database.writing() as session:
        take_turns(session, workspace.key)
        before = _in_force(session, workspace, predictor)
        row = LimitSet(
            workspace=workspace.key,
            checkpoint=checkpoint.name,
            checkpoint_sha256=checkpoint.sha256,
            category=category,
            tiles=predictor.tiles,
            content=None if content is None else content.model_dump(mode="json"),
            note=text.note(note),
            actor=text.name(actor),
        )
        session.add(row)
        session.flush()
        after = _in_force(session, workspace, predictor)
        verdicts = rejudging.rejudge(session, workspace, before, after, category)
        limits = after.limits(category)
        audit.note(
            session,
            workspace,
            actor=row.actor,
            action="limits taken back" if content is None else "limits set",
            subject=f"limits {checkpoint.name} {category}"[:200],
            limits=row.id,
            checkpoint_sha256=checkpoint.sha256,
            tiles=predictor.tiles,
            source=Source.CHECKPOINT.value if content is None else content.source.value,
            moved=content is not None and content.is_moved,
            check=limits.check,
            reject=limits.reject,
            before=_counts(verdicts.before),
            after=_counts(verdicts.after),
        )
        return Rejudged(limits_id=row.id, before=verdicts.before, after=verdicts.after)


def _differing(before: Predictor, after: Predictor) -> tuple[str, ...]:
    """Categories of either that have other limits in the other."""
    known = dict.fromkeys((*before.categories, *after.categories))
    return tuple(name for name in known if before.calibration_of(name) != after.calibration_of(name))


def _in_force(session: Session, workspace: Workspace, predictor: Predictor) -> Predictor:
    newest_ids = (
        select(func.max(LimitSet.id))
        .where(
            LimitSet.workspace == workspace.key,
            LimitSet.checkpoint_sha256 == predictor.checkpoint.sha256,
        )
        .group_by(LimitSet.category, LimitSet.tiles)
    )
    sets = {
        (row.category, row.tiles): LimitContent.model_validate(row.content).calibration
        for row in session.scalars(select(LimitSet).where(LimitSet.id.in_(newest_ids)).order_by(LimitSet.id))
        if row.content is not None
    }
    return predictor.with_calibrations(sets) if sets else predictor


def _stored(row: LimitSet) -> StoredLimits:
    content = None if row.content is None else LimitContent.model_validate(row.content)
    return StoredLimits(
        id=row.id,
        checkpoint=row.checkpoint,
        checkpoint_sha256=row.checkpoint_sha256,
        category=row.category,
        tiles=row.tiles,
        calibration=None if content is None else content.calibration,
        source=Source.CHECKPOINT if content is None else content.source,
        is_moved=content is not None and content.is_moved,
        note=row.note,
        actor=row.actor,
        created_at=row.created_at,
    )


def _counts(verdicts: Mapping[Verdict, int]) -> dict[str, int]:
    return {verdict.value: verdicts.get(verdict, 0) for verdict in Verdict}
