"""Replays the golden set of a product: known good and defective pictures through one version, nothing stored.

A report carries a digest of the set it was made with, because reports over different sets say nothing about
each other. What follows from a report is `promotion_gate.py`'s business.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mambaad_demo.errors import DemoError, InputError, StorageError, UnknownCategoryError
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.labeling import Collection, Finding
from mambaad_demo.pipeline.prediction import Limits, Prediction, Verdict
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.storage import collecting
from mambaad_demo.storage.collecting import Member
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.inspections import VersionFacts
from mambaad_demo.storage.tables import now
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.version import __version__

_AT_ONCE = 4  # pictures in one turn on the model thread; others get theirs in between


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenPicture:
    """A golden picture and what a version says about it."""

    sha256: str
    name: str
    """As its owner called it; for people, never a path."""
    finding: Finding
    """What the part is known to be, good or defective."""
    score: float
    verdict: Verdict

    @property
    def is_escape(self) -> bool:
        """Whether a defective part is accepted."""
        return self.finding is Finding.DEFECT and self.verdict is Verdict.ACCEPT

    @property
    def is_false_reject(self) -> bool:
        """Whether a good part is rejected."""
        return self.finding is Finding.GOOD and self.verdict is Verdict.REJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenReport:
    """What one version says about the golden set of a product."""

    product: str
    """Whose golden pictures these are."""
    category: str
    """What they were judged as."""
    checkpoint: str
    checkpoint_sha256: str
    calibration_sha256: str
    limits: Limits
    """In force at the time; both None where the version has none for the category."""
    tiles: int
    digest: str
    """Of the set, see `digest_of`."""
    pictures: tuple[GoldenPicture, ...]
    kernel: str
    device: str
    app_version: str
    replayed_at: datetime

    def count(self, finding: Finding, verdict: Verdict) -> int:
        """Pictures of parts that are known to be one thing and judged in one way."""
        return Counter((one.finding, one.verdict) for one in self.pictures)[finding, verdict]

    def known(self, finding: Finding) -> int:
        """Pictures of parts that are known to be one thing."""
        return sum(one.finding is finding for one in self.pictures)

    @property
    def escapes(self) -> int:
        """Defective parts that are accepted."""
        return self.count(Finding.DEFECT, Verdict.ACCEPT)

    @property
    def doubtful(self) -> int:
        """Defective parts that a person has to check."""
        return self.count(Finding.DEFECT, Verdict.CHECK)

    @property
    def false_rejects(self) -> int:
        """Good parts that are rejected."""
        return self.count(Finding.GOOD, Verdict.REJECT)

    @property
    def good_checked(self) -> int:
        """Good parts that a person has to check."""
        return self.count(Finding.GOOD, Verdict.CHECK)

    def to_json(self) -> dict[str, Any]:
        """The report in JSON types alone."""
        content: dict[str, Any] = _REPORT.dump_python(self, mode="json")
        return content


_REPORT = TypeAdapter(GoldenReport)


def report_from_json(content: Any) -> GoldenReport:
    """A report as `GoldenReport.to_json` wrote it.

    Raises:
        StorageError: another version of this program wrote it.
    """
    try:
        return _REPORT.validate_python(content)
    except ValidationError as error:
        raise StorageError(
            "A report of the golden set was kept in a form that this version does not read. Replay the set."
        ) from error


def members(workspace: Workspace, product: str) -> list[Member]:
    """The golden pictures of a product, in the order in which they joined."""
    return collecting.members(workspace, Collection.GOLDEN, product=product)


def golden_counts(workspace: Workspace) -> dict[str, Counter[Finding]]:
    """How many good and defective golden pictures each product has, by its name."""
    counts: dict[str, Counter[Finding]] = {}
    for member in collecting.members(workspace, Collection.GOLDEN):
        counts.setdefault(member.product, Counter())[member.finding] += 1
    return counts


def digest_of(pictures: Iterable[Member | GoldenPicture]) -> str:
    """SHA-256 over which pictures are in a set and what they are known to be, whatever their order."""
    lines = sorted(f"{picture.sha256} {picture.finding.value}\n" for picture in pictures)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def replay(
    workspace: Workspace,
    predictor: Predictor,
    *,
    product: str,
    category: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> GoldenReport:
    """Replay the golden set as it is now.

    Args:
        predictor: with the limits in force.
        product: whose golden pictures.
        category: what to judge them as; the version has to know it.
        progress: told how many of how many pictures are judged.

    Raises:
        UnknownCategoryError: the version does not know the category.
        InputError: a picture of the set cannot be judged; none is left out.
    """
    pictures = members(workspace, product)
    steps = replaying(workspace, predictor, pictures, product=product, category=category)
    while True:
        try:
            progress(next(steps), len(pictures))
        except StopIteration as end:
            report: GoldenReport = end.value
            return report


def replaying(
    workspace: Workspace, predictor: Predictor, pictures: Sequence[Member], *, product: str, category: str
) -> Generator[int, None, GoldenReport]:
    """Judge these golden pictures on the model thread, yielding how many are done, and return the report.

    Stop iterating to cancel. See `replay` for arguments and errors.
    """
    require_category(predictor, category)
    judged: list[GoldenPicture] = []
    yield 0
    for turn in _turns(pictures):
        judged += _judged(workspace, predictor, turn, category)
        yield len(judged)
    version = VersionFacts.of(predictor)
    return GoldenReport(
        product=product,
        category=category,
        checkpoint=version.checkpoint,
        checkpoint_sha256=version.sha256,
        calibration_sha256=version.calibration_sha256,
        limits=predictor.limits(category),
        tiles=predictor.tiles,
        digest=digest_of(judged),
        pictures=tuple(judged),
        kernel=predictor.kernel,
        device=predictor.device,
        app_version=__version__,
        replayed_at=now(),
    )


def require_category(predictor: Predictor, category: str) -> None:
    """Refuse a version that could only guess.

    Raises:
        UnknownCategoryError: it does not know the category.
    """
    if category not in predictor.categories:
        raise UnknownCategoryError(
            f"{predictor.checkpoint.name} does not know the category {category!r}. Choose another version or "
            "category."
        )


def _turns(pictures: Sequence[Member]) -> Iterator[Sequence[Member]]:
    for start in range(0, len(pictures), _AT_ONCE):
        yield pictures[start : start + _AT_ONCE]


def _judged(
    workspace: Workspace, predictor: Predictor, turn: Sequence[Member], category: str
) -> list[GoldenPicture]:
    contents = [_content(workspace, member) for member in turn]
    answers = model_thread.run(predictor.predict_batch, contents, category=category)
    return [_picture(member, answer) for member, answer in zip(turn, answers, strict=True)]


def _content(workspace: Workspace, member: Member) -> bytes:
    try:
        return workspace.files.read(FileKind.PICTURE, member.sha256)
    except StorageError as error:
        raise _unusable(member, error) from error


def _picture(member: Member, answer: Prediction | DemoError) -> GoldenPicture:
    if isinstance(answer, DemoError):
        raise _unusable(member, answer) from answer
    return GoldenPicture(
        sha256=member.sha256,
        name=member.name,
        finding=member.finding,
        score=answer.image_score,
        verdict=answer.verdict,
    )


def _unusable(member: Member, reason: DemoError) -> InputError:
    return InputError(
        f"The golden picture {member.name!r} cannot be judged: {reason} Nothing was decided. Restore it, or "
        "take it out of the golden set on the Review page."
    )
