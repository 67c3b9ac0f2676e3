"""The tables of the store and what each row means; queries stand in the modules beside this one.

Every row that belongs to somebody hangs off a `workspace`, a name that is unguessable where strangers share a
server. Times are UTC. Pictures, maps and masks are files named by their SHA-256 (`files.py`).
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, ForeignKey, Index, MetaData, String, Text, UniqueConstraint
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class Utc(TypeDecorator[datetime]):
    """A moment in UTC; SQLite would forget the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


def now() -> datetime:
    """The moment a row is written."""
    return datetime.now(UTC)


class Table(DeclarativeBase):
    """Base of all tables; constraints have names, without which SQLite cannot migrate them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012
        datetime: Utc(),
        dict[str, Any]: JSON(),
        dict[str, Any] | None: JSON(none_as_null=True),
        list[str]: JSON(),
        list[dict[str, Any]]: JSON(),
    }


NEVER_TWICE = {"sqlite_autoincrement": True}
"""SQLite would give a deleted row's number to a new one, and a page left open would mean another part."""

Sha256 = String(64)
Name = String(200)
Workspace = String(64)


class Product(Table):
    """A kind of part, and the words for what may be wrong with it."""

    __tablename__ = "products"
    __table_args__ = (UniqueConstraint("workspace", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    workspace: Mapped[str] = mapped_column(Workspace)
    name: Mapped[str] = mapped_column(Name)
    defect_types: Mapped[list[str]]
    """The defect taxonomy, in the order in which it grew."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class Image(Table):
    """One picture, whatever its files were called; the bytes lie in the file store as they came."""

    __tablename__ = "images"
    __table_args__ = (UniqueConstraint("workspace", "sha256"), NEVER_TWICE)

    id: Mapped[int] = mapped_column(primary_key=True)
    workspace: Mapped[str] = mapped_column(Workspace)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), index=True)
    sha256: Mapped[str] = mapped_column(Sha256, index=True)
    name: Mapped[str] = mapped_column(Text)
    """As its owner called it when it first came, with folders; a text for people, never a path."""
    width: Mapped[int]
    height: Mapped[int]
    brightness: Mapped[float]
    """Mean gray level, 0 to 1."""
    sharpness: Mapped[float]
    """See `pipeline.photo_quality`."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class Version(Table):
    """One checkpoint with one calibration: what an inspection was made with."""

    __tablename__ = "versions"
    __table_args__ = (UniqueConstraint("checkpoint", "sha256", "calibration_sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    checkpoint: Mapped[str] = mapped_column(Name)
    decoder: Mapped[str] = mapped_column(Name)
    encoder: Mapped[str] = mapped_column(Name)
    sha256: Mapped[str] = mapped_column(Sha256)
    """Of the whole checkpoint, as results carry it."""
    calibration_sha256: Mapped[str] = mapped_column(Sha256)
    side: Mapped[int]
    """Pixels of the model input; metrics are computed in a square of this side."""
    resize: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(default=now)


class Job(Table):
    """Long work that survives a closed tab and a killed server."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """Random, so that it cannot be guessed."""
    workspace: Mapped[str] = mapped_column(Workspace, index=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(Name)
    state: Mapped[str] = mapped_column(String(20))
    """One of `jobs.JobState`."""
    spec: Mapped[dict[str, Any]]
    """What was asked for."""
    total: Mapped[int | None]
    """Steps in all; None until counted."""
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)
    finished_at: Mapped[datetime | None]


class Inspection(Table):
    """What one version said about one picture."""

    __tablename__ = "inspections"
    __table_args__ = (Index("ix_inspections_image_version", "image_id", "version_id"), NEVER_TWICE)

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"))
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id"), index=True)
    category: Mapped[str] = mapped_column(Name)
    category_source: Mapped[str] = mapped_column(String(20))
    score: Mapped[float]
    percentile: Mapped[float | None]
    check_limit: Mapped[float | None]
    reject_limit: Mapped[float | None]
    pixel_median: Mapped[float]
    """Of good pixels: level 0 of the color scale."""
    closeness: Mapped[float | None] = mapped_column(index=True)
    """Distance of the score to the nearer limit, in reject limits; None without limits. Small is doubtful."""
    verdict: Mapped[str] = mapped_column(String(10))
    regions: Mapped[list[dict[str, Any]]]
    timings_ms: Mapped[dict[str, Any]]
    notes: Mapped[list[str]]
    kernel: Mapped[str] = mapped_column(String(20))
    device: Mapped[str] = mapped_column(String(20))
    precision: Mapped[str] = mapped_column(String(20))
    app_version: Mapped[str] = mapped_column(String(40))
    tiles: Mapped[int]
    """Along the longer side, as asked for."""
    embedding_distance: Mapped[float | None]
    """To the centroid of the calibration images, about 1 where nothing changed."""
    map_sha256: Mapped[str] = mapped_column(Sha256)
    """The anomaly map at model resolution, padding included, float32."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class JobItem(Table):
    """One picture of a batch that is done: inspected, or refused with the reason."""

    __tablename__ = "job_items"
    __table_args__ = (UniqueConstraint("job_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    position: Mapped[int]
    name: Mapped[str] = mapped_column(Text)
    inspection_id: Mapped[int | None] = mapped_column(ForeignKey("inspections.id", ondelete="CASCADE"))
    error: Mapped[str | None] = mapped_column(Text)


class Reviewer(Table):
    """A person, by the name they gave; `folders` and other sources of imported labels count as one."""

    __tablename__ = "reviewers"
    __table_args__ = (UniqueConstraint("workspace", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    workspace: Mapped[str] = mapped_column(Workspace)
    name: Mapped[str] = mapped_column(Name)


class Decision(Table):
    """What a reviewer said about a picture at some moment; rows are never changed but for
    `undone_at` and the name of a type of defect (`taxonomy.py`).

    A reviewer's word on a picture is the newest row that is neither undone nor a hidden repeat.
    """

    __tablename__ = "decisions"
    __table_args__ = (Index("ix_decisions_reviewer_image", "reviewer_id", "image_id"), NEVER_TWICE)

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), index=True)
    inspection_id: Mapped[int | None] = mapped_column(ForeignKey("inspections.id", ondelete="SET NULL"))
    """What was on the screen."""
    reviewer_id: Mapped[int] = mapped_column(ForeignKey("reviewers.id"))
    finding: Mapped[str] = mapped_column(String(10))
    defect_type: Mapped[str] = mapped_column(Name)
    severity: Mapped[str] = mapped_column(String(10))
    note: Mapped[str] = mapped_column(Text)
    mask_sha256: Mapped[str | None] = mapped_column(Sha256)
    """Where the defect is: a one-bit PNG at the size of the upright picture."""
    is_repeat: Mapped[bool]
    """Whether the picture was shown once more without saying so."""
    is_taught: Mapped[bool]
    """Whether it put the picture among those to be taught as good."""
    is_golden: Mapped[bool]
    """Whether it put the picture into the golden set."""
    seconds: Mapped[float | None]
    """From showing to deciding."""
    decided_at: Mapped[datetime] = mapped_column(default=now)
    undone_at: Mapped[datetime | None]


class Draft(Table):
    """What a reviewer has typed or painted and not decided yet."""

    __tablename__ = "drafts"

    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), primary_key=True)
    reviewer_id: Mapped[int] = mapped_column(ForeignKey("reviewers.id"), primary_key=True)
    content: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime] = mapped_column(default=now)


class Claim(Table):
    """Who is looking at a picture just now, so that two reviewers who share a queue get different ones."""

    __tablename__ = "claims"

    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), primary_key=True)
    reviewer_id: Mapped[int] = mapped_column(ForeignKey("reviewers.id"))
    until: Mapped[datetime]


class Membership(Table):
    """A picture in one of the collections `teach` and `golden`."""

    __tablename__ = "memberships"

    image_id: Mapped[int] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), primary_key=True)
    collection: Mapped[str] = mapped_column(String(20), primary_key=True)
    finding: Mapped[str] = mapped_column(String(10))
    """What it is known to be."""
    added_by: Mapped[int] = mapped_column(ForeignKey("reviewers.id"))
    added_at: Mapped[datetime] = mapped_column(default=now)


class SavedView(Table):
    """Filters of the review queue under a name."""

    __tablename__ = "saved_views"
    __table_args__ = (UniqueConstraint("workspace", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    workspace: Mapped[str] = mapped_column(Workspace)
    name: Mapped[str] = mapped_column(Name)
    filters: Mapped[dict[str, Any]]


class Study(Table):
    """A repeatability study with its result."""

    __tablename__ = "studies"

    id: Mapped[int] = mapped_column(primary_key=True)
    workspace: Mapped[str] = mapped_column(Workspace, index=True)
    name: Mapped[str] = mapped_column(Name)
    spec: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)


class LimitSet(Table):
    """Limits of one category under one checkpoint, set by a person; the newest is in force, rows never
    change."""

    __tablename__ = "limit_sets"
    __table_args__ = (
        Index("ix_limit_sets_in_force", "workspace", "checkpoint_sha256", "category"),
        NEVER_TWICE,
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    workspace: Mapped[str] = mapped_column(Workspace)
    checkpoint: Mapped[str] = mapped_column(Name)
    checkpoint_sha256: Mapped[str] = mapped_column(Sha256)
    """Of the weights' checkpoint, as results carry it; another training of the same name has other limits."""
    category: Mapped[str] = mapped_column(Name)
    tiles: Mapped[int]
    """Along the longer side, for which the scores hold."""
    content: Mapped[dict[str, Any] | None]
    """`limits.LimitContent`; None takes back all sets before: the checkpoint's own limits hold again."""
    note: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Name)
    created_at: Mapped[datetime] = mapped_column(default=now)


class Promotion(Table):
    """The decision that a checkpoint is the active one of a category; the newest holds, rows never change."""

    __tablename__ = "promotions"
    __table_args__ = (Index("ix_promotions_category", "workspace", "category"), NEVER_TWICE)

    id: Mapped[int] = mapped_column(primary_key=True)
    workspace: Mapped[str] = mapped_column(Workspace)
    category: Mapped[str] = mapped_column(Name)
    checkpoint: Mapped[str] = mapped_column(Name)
    checkpoint_sha256: Mapped[str] = mapped_column(Sha256)
    action: Mapped[str] = mapped_column(String(20))
    """`promote` or `rollback`."""
    note: Mapped[str] = mapped_column(Text)
    """What changed, for people."""
    override_reason: Mapped[str] = mapped_column(Text)
    """Why it was promoted although the golden set spoke against it; empty where nothing did."""
    golden: Mapped[dict[str, Any]]
    """The golden set under the version before and under this one."""
    actor: Mapped[str] = mapped_column(Name)
    created_at: Mapped[datetime] = mapped_column(default=now)


class AuditEntry(Table):
    """Who did what, when; only ever added to, and kept when what it speaks of is deleted."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    workspace: Mapped[str] = mapped_column(Workspace, index=True)
    at: Mapped[datetime] = mapped_column(default=now)
    actor: Mapped[str] = mapped_column(Name)
    action: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(Name)
    """What it was done to, such as `image 3f2c…`."""
    details: Mapped[dict[str, Any]]
