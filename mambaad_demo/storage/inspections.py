"""Pictures and what was said about them: written together, read back as plain values."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np
from sqlalchemy import Row, Select, SQLColumnExpression, select, update
from sqlalchemy.orm import Session

from mambaad_demo.errors import CheckpointError, InputError
from mambaad_demo.pipeline.overlay import contour_paths, small_jpeg
from mambaad_demo.pipeline.photo_quality import photo_quality
from mambaad_demo.pipeline.prediction import Limits, Prediction, Verdict
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.storage import maps, text
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.insertion import id_of
from mambaad_demo.storage.tables import Image, Inspection, Product, Version
from mambaad_demo.storage.workspace import Workspace

PREVIEW_SIDE = 1024
THUMBNAIL_SIDE = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A picture with its prediction, on its way into the store."""

    name: str
    content: bytes
    """The file as it came."""
    prediction: Prediction
    product: str | None = None
    """What kind of part it is, if somebody said so; else the prediction's category."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """What tells one version from another."""

    checkpoint: str
    decoder: str
    encoder: str
    sha256: str
    calibration_sha256: str
    side: int
    resize: str

    @classmethod
    def of(cls, predictor: Predictor) -> Self:
        """The version that a predictor runs."""
        checkpoint = predictor.checkpoint
        if checkpoint.config.sha256 is None:
            raise CheckpointError(f"Checkpoint {checkpoint.name!r} has no hashes. Save it again.")
        return cls(
            checkpoint=checkpoint.name,
            decoder=checkpoint.detector.config.decoder,
            encoder=checkpoint.detector.config.encoder,
            sha256=checkpoint.sha256,
            calibration_sha256=checkpoint.config.sha256.calibration,
            side=checkpoint.detector.side,
            resize=checkpoint.config.resize,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInspection:
    """An inspection as it lies in the store."""

    id: int
    image_id: int
    sha256: str
    name: str
    product: str
    width: int
    height: int
    brightness: float
    sharpness: float
    checkpoint: str
    decoder: str
    encoder: str
    checkpoint_sha256: str
    calibration_sha256: str
    side: int
    resize: str
    tiles: int
    category: str
    category_source: str
    score: float
    percentile: float | None
    limits: Limits
    pixel_median: float
    closeness: float | None
    verdict: Verdict
    regions: list[dict[str, Any]]
    timings_ms: dict[str, float]
    notes: list[str]
    kernel: str
    device: str
    precision: str
    app_version: str
    embedding_distance: float | None
    map_sha256: str
    created_at: datetime

    @property
    def multiple(self) -> float | None:
        """The score in units of the reject limit."""
        return self.score / self.limits.reject if self.limits.reject else None


def write_files(workspace: Workspace, judged: Judged) -> str:
    """Write the picture, its small versions and its map; returns the hash of the map.

    Files come before the rows that name them: a crash in between leaves files without rows, which do no harm.
    """
    prediction = judged.prediction
    anomaly_map = maps.packed(prediction.model_map)
    map_sha256 = sha256_of(anomaly_map)
    write_picture(workspace, prediction.sha256, judged.content, prediction.image)
    workspace.files.write(FileKind.MAP, map_sha256, anomaly_map)
    return map_sha256


def write_picture(workspace: Workspace, sha256: str, content: bytes, image: np.ndarray) -> None:
    """Write a picture and its small versions.

    Args:
        workspace: where to.
        sha256: of the content.
        content: the file as it came.
        image: (H, W, 3) uint8, upright.
    """
    workspace.files.write(FileKind.PICTURE, sha256, content)
    for kind, side in ((FileKind.PREVIEW, PREVIEW_SIDE), (FileKind.THUMBNAIL, THUMBNAIL_SIDE)):
        if not workspace.files.holds(kind, sha256):
            workspace.files.write(kind, sha256, small_jpeg(image, side))


def restore_files(workspace: Workspace, judged: Judged, map_sha256: str) -> None:
    """Write again what somebody deleted while the rows were on their way in."""
    kinds = (FileKind.PICTURE, FileKind.PREVIEW, FileKind.THUMBNAIL)
    has_picture = all(workspace.files.holds(kind, judged.prediction.sha256) for kind in kinds)
    if not has_picture or not workspace.files.holds(FileKind.MAP, map_sha256):
        write_files(workspace, judged)


def add_inspection(
    session: Session,
    workspace: Workspace,
    judged: Judged,
    *,
    version: VersionFacts,
    tiles: int,
    map_sha256: str,
) -> int:
    """Add the rows of a picture whose files are written; returns the id of the inspection.

    Where the picture is known already its product stays what it was, unless somebody said so this time.
    """
    prediction = judged.prediction
    quality = photo_quality(prediction.image)
    product = _product_id(session, workspace, _product_name(judged))
    version_id = id_of(
        session,
        Version,
        {
            "checkpoint": version.checkpoint,
            "sha256": version.sha256,
            "calibration_sha256": version.calibration_sha256,
        },
        decoder=version.decoder,
        encoder=version.encoder,
        side=version.side,
        resize=version.resize,
    )
    image = id_of(
        session,
        Image,
        {"workspace": workspace.key, "sha256": prediction.sha256},
        product_id=product,
        name=text.note(judged.name),
        width=prediction.width,
        height=prediction.height,
        brightness=quality.brightness,
        sharpness=quality.sharpness,
    )
    if text.name(judged.product or ""):
        session.execute(update(Image).where(Image.id == image).values(product_id=product))
    inspection = Inspection(
        image_id=image,
        version_id=version_id,
        category=text.name(prediction.category),
        category_source=prediction.category_source,
        score=prediction.image_score,
        percentile=prediction.percentile,
        check_limit=prediction.limits.check,
        reject_limit=prediction.limits.reject,
        pixel_median=prediction.pixel_median,
        closeness=closeness(prediction.image_score, prediction.limits),
        verdict=prediction.verdict.value,
        regions=[
            region.to_json() | {"outline": outline}
            for region, outline in zip(prediction.regions, contour_paths(prediction), strict=True)
        ],
        timings_ms={name: round(value, 2) for name, value in prediction.timings_ms.items()},
        notes=list(prediction.notes),
        kernel=prediction.kernel,
        device=prediction.device,
        precision=prediction.precision,
        app_version=prediction.version,
        tiles=tiles,
        embedding_distance=prediction.embedding_distance,
        map_sha256=map_sha256,
    )
    session.add(inspection)
    session.flush()
    return inspection.id


def _product_name(judged: Judged) -> str:
    """What kind of part a picture shows."""
    return text.name(judged.product or "") or text.name(judged.prediction.category)


def _product_id(session: Session, workspace: Workspace, name: str) -> int:
    """The product of this name, added where missing."""
    return id_of(session, Product, {"workspace": workspace.key, "name": name}, defect_types=[])


def closeness(score: float, limits: Limits) -> float | None:
    """Distance of a score to the nearer limit, in reject limits; 0 is as doubtful as can be."""
    if limits.check is None or not limits.reject:
        return None
    return min(abs(score - limits.check), abs(score - limits.reject)) / limits.reject


def inspection(workspace: Workspace, inspection_id: int) -> StoredInspection:
    """One inspection of this workspace.

    Raises:
        InputError: there is none of this number.
    """
    found = inspections(workspace, ids=[inspection_id])
    if not found:
        raise InputError("This inspection is no longer here. Load the page again.")
    return found[0]


def inspections(
    workspace: Workspace,
    *,
    ids: Sequence[int] | None = None,
    product: str | None = None,
    checkpoint: str | None = None,
) -> list[StoredInspection]:
    """Inspections in the order in which they were made, all or those that are asked for."""
    query = selection(workspace)
    if ids is not None:
        query = query.where(Inspection.id.in_(ids))
    if product is not None:
        query = query.where(Product.name == product)
    if checkpoint is not None:
        query = query.where(Version.checkpoint == checkpoint)
    with workspace.database.reading() as session:
        return [stored(row) for row in session.execute(query.order_by(Inspection.id))]


def anomaly_map(workspace: Workspace, inspection: StoredInspection) -> np.ndarray:
    """The map of an inspection, (M, N) float32 at model resolution, padding included.

    Raises:
        StorageError: its file is gone or damaged.
    """
    return maps.unpacked(workspace.files.read(FileKind.MAP, inspection.map_sha256))


_COLUMNS: dict[str, SQLColumnExpression[Any]] = {
    "id": Inspection.id,
    "image_id": Image.id,
    "sha256": Image.sha256,
    "name": Image.name,
    "product": Product.name,
    "width": Image.width,
    "height": Image.height,
    "brightness": Image.brightness,
    "sharpness": Image.sharpness,
    "checkpoint": Version.checkpoint,
    "decoder": Version.decoder,
    "encoder": Version.encoder,
    "checkpoint_sha256": Version.sha256,
    "calibration_sha256": Version.calibration_sha256,
    "side": Version.side,
    "resize": Version.resize,
    "tiles": Inspection.tiles,
    "category": Inspection.category,
    "category_source": Inspection.category_source,
    "score": Inspection.score,
    "percentile": Inspection.percentile,
    "check": Inspection.check_limit,
    "reject": Inspection.reject_limit,
    "pixel_median": Inspection.pixel_median,
    "closeness": Inspection.closeness,
    "verdict": Inspection.verdict,
    "regions": Inspection.regions,
    "timings_ms": Inspection.timings_ms,
    "notes": Inspection.notes,
    "kernel": Inspection.kernel,
    "device": Inspection.device,
    "precision": Inspection.precision,
    "app_version": Inspection.app_version,
    "embedding_distance": Inspection.embedding_distance,
    "map_sha256": Inspection.map_sha256,
    "created_at": Inspection.created_at,
}
"""Where the fields of `StoredInspection` come from; values, since whole rows take three times as long."""

Selection = Select[*tuple[Any, ...]]
"""A query whose rows `stored` can read."""


def selection(workspace: Workspace) -> Selection:
    """The query behind all readers: inspections of a workspace with what they refer to."""
    return (
        select(*(column.label(name) for name, column in _COLUMNS.items()))
        .select_from(Inspection)
        .join(Image, Inspection.image_id == Image.id)
        .join(Product, Image.product_id == Product.id)
        .join(Version, Inspection.version_id == Version.id)
        .where(Image.workspace == workspace.key)
    )


def stored(row: Row[*tuple[Any, ...]]) -> StoredInspection:
    """A row of `selection` as a plain value."""
    values = dict(zip(_COLUMNS, row, strict=True))
    limits = Limits(check=values.pop("check"), reject=values.pop("reject"))
    return StoredInspection(**values | {"limits": limits, "verdict": Verdict(values["verdict"])})


def sha256_of(content: bytes) -> str:
    """The name of a file that is named by what it holds."""
    return hashlib.sha256(content).hexdigest()
