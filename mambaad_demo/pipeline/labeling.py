"""What people say about parts, and what follows when several say it; rules without storage."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Finding(StrEnum):
    """A person's word on a part."""

    GOOD = "good"
    DEFECT = "defect"
    UNSURE = "unsure"


class Severity(StrEnum):
    """How bad a defect is."""

    UNSTATED = ""
    MINOR = "minor"
    MAJOR = "major"
    CRITICAL = "critical"


class Collection(StrEnum):
    """What a picture is kept for."""

    TEACH = "teach"
    """Good parts that were rejected: the next fine-tuning learns from them."""
    GOLDEN = "golden"
    """Known parts, good and defective, on which every new version is tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A person's word on a part, with reasons; what says nothing about a good part is empty there."""

    finding: Finding
    defect_type: str = ""
    severity: Severity = Severity.UNSTATED
    note: str = ""
    mask: bytes | None = None
    """One-bit PNG at the size of the upright picture, where somebody drew or confirmed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledImage:
    """A picture with the word of all who looked at it."""

    image_id: int
    sha256: str
    name: str
    """Original file name, with folders; for people, never a path."""
    product: str
    width: int
    height: int
    finding: Finding | None
    """Of most reviewers; None where they are divided."""
    defect_type: str
    severity: Severity
    note: str
    mask_sha256: str | None
    """The newest mask among those who said `defect`."""
    reviewers: tuple[str, ...]
    findings: tuple[Finding, ...]
    """One for each of `reviewers`."""
    decided_at: datetime
    """When the newest of them decided."""


def consensus(findings: Sequence[Finding]) -> Finding | None:
    """What most of those who are sure say; `unsure` where nobody is sure, None where they are divided."""
    votes = Counter(finding for finding in findings if finding is not Finding.UNSURE)
    if not votes:
        return Finding.UNSURE if findings else None
    (first, count), *others = votes.most_common()
    return None if others and others[0][1] == count else first
