"""What a report says, as plain values, and what it says of a batch and of a study; markup is `html.py`'s.

A report rests on the store alone. What a checkpoint knows of its limits' rates is handed in.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mambaad_demo.errors import StorageError
from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.pipeline.prediction import Verdict
from mambaad_demo.storage import jobs
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.inspections import StoredInspection
from mambaad_demo.storage.jobs import Item
from mambaad_demo.storage.labels import labeled_images
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.report import words
from mambaad_demo.workflow.studies.attribute_msa import Sheet
from mambaad_demo.workflow.studies.shares import Share, share
from mambaad_demo.workflow.studies.study import LimitsInForce, PartResult, Study

MOST_PICTURES = 60
"""Parts with a thumbnail in one report."""
UNDECIDED, DIVIDED = "not decided", "divided"
COLUMNS = (Finding.GOOD.value, Finding.DEFECT.value, Finding.UNSURE.value, DIVIDED, UNDECIDED)
"""Findings as the columns of a table of verdicts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictTable:
    """How many parts got which verdict, by what people found."""

    counts: dict[tuple[Verdict, str], int]
    """By verdict and one of `COLUMNS`."""

    def count(self, verdict: Verdict | None = None, column: str | None = None) -> int:
        """Parts of a verdict, of a column, of both, or all."""
        return sum(
            number
            for (row, found), number in self.counts.items()
            if verdict in (None, row) and column in (None, found)
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Those that hold something; good and defective ones always."""
        return tuple(name for name in COLUMNS if name in COLUMNS[:2] or self.count(column=name))

    @property
    def false_rejects(self) -> Share | None:
        """Rejected among parts that people found good."""
        return share(self.count(Verdict.REJECT, Finding.GOOD.value), self.count(column=Finding.GOOD.value))

    @property
    def escapes(self) -> Share | None:
        """Accepted among parts that people found defective."""
        return share(
            self.count(Verdict.ACCEPT, Finding.DEFECT.value), self.count(column=Finding.DEFECT.value)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedPart:
    """A part that a reader should see."""

    name: str
    sha256: str
    verdict: Verdict
    score: float
    multiple: float | None
    """The score in units of the reject limit."""
    finding: str
    """One of `COLUMNS`."""
    thumbnail: bytes | None
    """JPEG; None where the file is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything a report says."""

    title: str
    products: tuple[str, ...]
    made_at: datetime
    facts: tuple[tuple[str, str], ...]
    """What ran, by name; hashes among it."""
    limits: tuple[LimitsInForce, ...]
    verdicts: VerdictTable
    parts: tuple[ReportedPart, ...]
    """Rejected and checked ones, the highest scores first."""
    more_parts: int
    """How many of them are not shown."""
    refused: tuple[tuple[str, str], ...]
    rests_on: tuple[str, ...]
    does_not_show: tuple[str, ...]
    study: Study | None = None
    sheet: Sheet | None = None


def batch_report(
    workspace: Workspace,
    job_id: str,
    *,
    known_limits: Iterable[LimitsInForce] = (),
    made_at: datetime | None = None,
) -> Report:
    """What a batch found, with what people have decided on its parts since.

    Args:
        known_limits: of the checkpoint as it is now (`repeatability.limits_in_force`); says which
            false-reject rates limits aim at, where the limits are still those of the batch.

    Raises:
        InputError: there is no such job.
    """
    facts = jobs.job(workspace, job_id)
    items = jobs.items(workspace, job_id)
    inspected = [item.inspection for item in items if item.inspection is not None]
    findings = _findings(workspace, {inspection.image_id for inspection in inspected})
    table = Counter(
        (inspection.verdict, findings.get(inspection.image_id, UNDECIDED)) for inspection in inspected
    )
    conspicuous = _conspicuous(items)
    return Report(
        title=f"Inspection of {facts.name}",
        products=tuple(dict.fromkeys(inspection.product for inspection in inspected)),
        made_at=made_at or datetime.now(UTC),
        facts=(
            ("Batch", f"{facts.name} ({facts.state.value}), begun {words.moment(facts.created_at)}"),
            ("Job", facts.id),
            *_ran(inspected),
        ),
        limits=_limits(inspected, known_limits),
        verdicts=VerdictTable(counts=dict(table)),
        parts=tuple(
            _reported(workspace, name, inspection, findings.get(inspection.image_id, UNDECIDED))
            for name, inspection in conspicuous[:MOST_PICTURES]
        ),
        more_parts=max(0, len(conspicuous) - MOST_PICTURES),
        refused=tuple((item.name, item.error or "") for item in items if item.inspection is None),
        rests_on=words.batch_rests_on(facts, pictures=len(inspected), decided=len(findings)),
        does_not_show=words.BATCH_DOES_NOT_SHOW,
    )


def study_report(
    workspace: Workspace, study: Study, sheet: Sheet, *, made_at: datetime | None = None
) -> Report:
    """What a study found; its parts with the verdicts on their first shots."""
    table = Counter((part.shots[0].verdict, part.reference.finding.value) for part in study.parts)
    changing = [part for part in study.parts if part.changed]
    setup, version = study.setup, study.setup.version
    return Report(
        title=f"Repeatability of {version.checkpoint} on {study.spec.product}",
        products=(study.spec.product,),
        made_at=made_at or datetime.now(UTC),
        facts=(
            ("Checkpoint", version.checkpoint),
            ("Checkpoint SHA-256", version.sha256),
            ("Calibration SHA-256", version.calibration_sha256),
            ("Decoder, encoder", f"{version.decoder}, {version.encoder}"),
            ("Model input", words.model_input(version.side, version.resize, setup.tiles)),
            ("Ran on", words.ran_on(setup.device, setup.kernel, setup.precision, setup.app_version)),
            ("Judged as", study.category or "the nearest product, for each shot anew"),
            ("Parts chosen", words.choice(study.spec)),
        ),
        limits=study.limits,
        verdicts=VerdictTable(counts=dict(table)),
        parts=tuple(_changing(workspace, part) for part in changing[:MOST_PICTURES]),
        more_parts=max(0, len(changing) - MOST_PICTURES),
        refused=study.refused,
        rests_on=words.study_rests_on(study, sheet),
        does_not_show=words.study_does_not_show(study),
        study=study,
        sheet=sheet,
    )


def _findings(workspace: Workspace, image_ids: set[int]) -> dict[int, str]:
    """What people found, of those pictures on which somebody decided."""
    return {
        image.image_id: DIVIDED if image.finding is None else image.finding.value
        for image in labeled_images(workspace)
        if image.image_id in image_ids
    }


def _conspicuous(items: Sequence[Item]) -> list[tuple[str, StoredInspection]]:
    """Rejected parts, then checked ones, the highest scores first."""
    found = [
        (item.name, item.inspection)
        for item in items
        if item.inspection is not None and item.inspection.verdict is not Verdict.ACCEPT
    ]
    return sorted(
        found,
        key=lambda one: (one[1].verdict is Verdict.CHECK, -(one[1].multiple or 0.0), -one[1].score),
    )


def _ran(inspected: Sequence[StoredInspection]) -> list[tuple[str, str]]:
    """What judged these pictures; several lines where a batch was resumed with something else."""
    facts: dict[tuple[str, str], None] = {}
    for one in inspected:
        facts |= dict.fromkeys(
            (
                ("Checkpoint", one.checkpoint),
                ("Checkpoint SHA-256", one.checkpoint_sha256),
                ("Calibration SHA-256", one.calibration_sha256),
                ("Decoder, encoder", f"{one.decoder}, {one.encoder}"),
                ("Model input", words.model_input(one.side, one.resize, one.tiles)),
                ("Ran on", words.ran_on(one.device, one.kernel, one.precision, one.app_version)),
            )
        )
    order = list(dict.fromkeys(name for name, _ in facts))
    return sorted(facts, key=lambda fact: order.index(fact[0]))


def _limits(
    inspected: Sequence[StoredInspection], known: Iterable[LimitsInForce]
) -> tuple[LimitsInForce, ...]:
    current = {(limits.category, limits.check, limits.reject): limits for limits in known}
    used: dict[tuple[str, float, float], LimitsInForce] = {}
    for one in inspected:
        if one.limits.check is not None and one.limits.reject is not None:
            key = (one.category, one.limits.check, one.limits.reject)
            bare = LimitsInForce(category=key[0], check=key[1], reject=key[2])
            used.setdefault(key, current.get(key, bare))
    return tuple(used.values())


def _reported(workspace: Workspace, name: str, inspection: StoredInspection, finding: str) -> ReportedPart:
    return ReportedPart(
        name=name,
        sha256=inspection.sha256,
        verdict=inspection.verdict,
        score=inspection.score,
        multiple=inspection.multiple,
        finding=finding,
        thumbnail=_thumbnail(workspace, inspection.sha256),
    )


def _changing(workspace: Workspace, part: PartResult) -> ReportedPart:
    first = part.shots[0]
    return ReportedPart(
        name=part.name,
        sha256=part.sha256s[0],
        verdict=first.verdict,
        score=first.score,
        multiple=first.multiple,
        finding=part.reference.finding.value,
        thumbnail=_thumbnail(workspace, part.sha256s[0]),
    )


def _thumbnail(workspace: Workspace, sha256: str) -> bytes | None:
    try:
        return workspace.files.read(FileKind.THUMBNAIL, sha256)
    except StorageError:  # deleted since; the report says so in the picture's place
        return None
