"""What a study is: what was asked for, which parts were judged how often, and what the judgements were.

Plain values that go into the store as JSON and come back equal. Running is `repeatability.py`'s business,
figures are `analysis.py`'s and `attribute_msa.py`'s.
"""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.labeling import Finding
from mambaad_demo.pipeline.prediction import Limits, Verdict
from mambaad_demo.storage.inspections import VersionFacts
from mambaad_demo.workflow.studies.variations import Variation

MOST_PARTS = 200
MOST_SHOTS = 20
LARGEST_SEED = 2**32 - 1


class ShotKind(StrEnum):
    """Where the shots of a part come from."""

    GENERATED = "generated"
    """The stored picture, then mild variations of it."""
    STORED = "stored"
    """Several stored pictures of one part, told by names such as `part07_1.jpg` and `part07_2.jpg`."""


class Choice(StrEnum):
    """Which parts are taken where there are more than asked for."""

    NEAREST = "nearest"
    """Those whose score was nearest to a limit: the hardest."""
    RANDOM = "random"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySpec:
    """What is asked for."""

    product: str
    checkpoint: str
    parts: int
    """At most so many good ones, and as many defective ones."""
    shots: int
    """Of each part; at most so many where they are stored pictures."""
    kind: ShotKind = ShotKind.GENERATED
    choice: Choice = Choice.NEAREST
    seed: int = 0
    """Of the choice and of the variations."""

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("parts of each kind", self.parts, 1, MOST_PARTS),
            ("shots", self.shots, 2, MOST_SHOTS),
            ("as a seed", self.seed, 0, LARGEST_SEED),
        ):
            if not least <= value <= most:
                raise InputError(f"Choose {least} to {most} {name}, not {value}.")


class Source(StrEnum):
    """What the known finding of a part rests on."""

    GOLDEN = "golden set"
    CONSENSUS = "reviewers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a part is known to be."""

    finding: Finding
    """Good or defective, never unsure."""
    source: Source
    by: tuple[str, ...]
    """Who said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One judgement of one shot."""

    name: str
    category: str
    score: float
    limits: Limits
    verdict: Verdict

    @property
    def multiple(self) -> float:
        """The score in units of the reject limit."""
        return self.score / (self.limits.reject or 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartResult:
    """All judgements of one part."""

    name: str
    sha256s: tuple[str, ...]
    """Of its stored pictures; the first one stands for the part."""
    reference: Reference
    shots: tuple[Shot, ...]
    """At least two."""
    alone: dict[Variation, Shot]
    """One more shot for each variation on its own, to tell which one matters; empty for stored shots."""

    @property
    def verdicts(self) -> Counter[Verdict]:
        """Shots by verdict."""
        return Counter(shot.verdict for shot in self.shots)

    @property
    def changed(self) -> int:
        """Shots whose verdict is not the part's most frequent one."""
        return len(self.shots) - max(self.verdicts.values())

    @property
    def multiples(self) -> list[float]:
        """The scores in units of the reject limit, one for each shot."""
        return [shot.multiple for shot in self.shots]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsInForce:
    """The limits of one category, and what is known of how they came about."""

    category: str
    check: float
    reject: float
    check_rate: float | None = None
    """False-reject rate aimed at; None where it is not known."""
    reject_rate: float | None = None
    good_parts: int | None = None
    """How many good parts they rest on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What ran, and where."""

    version: VersionFacts
    tiles: int
    kernel: str
    device: str
    precision: str
    app_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study that has been run."""

    spec: StudySpec
    setup: Setup
    category: str | None
    """Under which all shots were judged; None where each shot took the nearest."""
    limits: tuple[LimitsInForce, ...]
    parts: tuple[PartResult, ...]
    refused: tuple[tuple[str, str], ...]
    """Parts of which a picture could not be judged, and why."""
