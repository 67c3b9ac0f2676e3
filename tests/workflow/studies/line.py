"""A store with parts of which it is known what they are, and a predictor whose scores are written down."""

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from mambaad_demo.pipeline.labeling import Collection, Finding, Label
from mambaad_demo.pipeline.prediction import Limits, Verdict
from mambaad_demo.storage import labels, memberships
from mambaad_demo.storage.insertion import id_of
from mambaad_demo.storage.inspections import StoredInspection, VersionFacts
from mambaad_demo.storage.tables import Reviewer
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.studies.study import (
    LimitsInForce,
    PartResult,
    Reference,
    Setup,
    Shot,
    Source,
    Study,
    StudySpec,
)
from mambaad_demo.workflow.studies.variations import Variation
from tests.storage.parts import PRODUCT, VERSION, add, judged
from tests.ui.fakes import CHECK, REJECT, FakePredictor

LIMITS = Limits(check=CHECK, reject=REJECT)
GOOD = Reference(finding=Finding.GOOD, source=Source.CONSENSUS, by=("jo", "mira"))
BAD = Reference(finding=Finding.DEFECT, source=Source.CONSENSUS, by=("jo", "mira"))


class Line:
    """A workspace that fills with parts."""

    def __init__(self, folder: Path) -> None:
        self.workspace = Workspace.open(f"sqlite:///{folder / 'store.db'}", str(folder / "files"))
        self.count = 0

    def add(
        self, name: str, finding: Finding | None = None, *, score: float = 0.3, **decides: object
    ) -> StoredInspection:
        """Judge a new picture, and decide on it."""
        self.count += 1
        part = judged(self.count, name=name, image_score=score, verdict=LIMITS.verdict(score))
        (inspection,) = add(self.workspace, part)
        if finding is not None:
            self.decide(inspection, finding, **decides)
        return inspection

    def decide(
        self,
        inspection: StoredInspection,
        finding: Finding,
        *,
        reviewer: str = "mira",
        is_repeat: bool = False,
    ) -> None:
        label = Label(finding=finding)
        labels.decide(self.workspace, inspection.image_id, label, reviewer=reviewer, is_repeat=is_repeat)

    def make_golden(self, inspection: StoredInspection, finding: Finding) -> None:
        """Put it into the golden set without anybody's word on it."""
        with self.workspace.database.writing() as session:
            keeper = id_of(session, Reviewer, {"workspace": self.workspace.key, "name": "gold keeper"})
            memberships.join(session, inspection.image_id, Collection.GOLDEN, finding.value, keeper)


def scripted(scores: Iterable[float], *, name: str = "mambaad", **options: object) -> FakePredictor:
    """A predictor that gives these scores one after another, whatever it is shown."""
    remaining = iter(scores)
    predictor = FakePredictor(
        name=name,
        map_of=lambda pixels: np.full(pixels.shape[:2], next(remaining)),
        **options,  # type: ignore[arg-type]
    )
    complete(predictor)
    return predictor


def complete(predictor: FakePredictor) -> None:
    """Give a fake what tells versions apart."""
    predictor.tiles = 1  # type: ignore[attr-defined]
    predictor.checkpoint.config = SimpleNamespace(
        sha256=SimpleNamespace(calibration=VERSION.calibration_sha256), resize="letterbox"
    )
    predictor.checkpoint.detector = SimpleNamespace(
        config=SimpleNamespace(decoder="mambaad", encoder="tf_efficientnet_lite0"), side=64
    )


def spec(**changes: object) -> StudySpec:
    """Two shots of each of up to ten parts of a kind."""
    values = {"product": PRODUCT, "checkpoint": "mambaad", "parts": 10, "shots": 2}
    return StudySpec(**{**values, **changes})  # type: ignore[arg-type]


def shot(multiple: float, *, name: str = "shot", verdict: Verdict | None = None) -> Shot:
    """A judgement with a score in units of the reject limit."""
    score = multiple * REJECT
    return Shot(
        name=name,
        category=PRODUCT,
        score=score,
        limits=LIMITS,
        verdict=verdict or LIMITS.verdict(score),
    )


def part(
    *multiples: float,
    name: str = "part.png",
    reference: Reference = GOOD,
    alone: dict[Variation, float] | None = None,
    sha256: str = "cd" * 32,
) -> PartResult:
    """A part with these scores, in units of the reject limit."""
    return PartResult(
        name=name,
        sha256s=(sha256,),
        reference=reference,
        shots=tuple(shot(multiple) for multiple in multiples),
        alone={variation: shot(multiple) for variation, multiple in (alone or {}).items()},
    )


def study(*parts: PartResult, version: VersionFacts = VERSION, **changes: object) -> Study:
    """A study that has been run."""
    values = {
        "spec": spec(),
        "setup": Setup(
            version=version,
            tiles=1,
            kernel="torch",
            device="cpu",
            precision="float32",
            app_version="0.1.0",
        ),
        "category": PRODUCT,
        "limits": (
            LimitsInForce(
                category=PRODUCT,
                check=CHECK,
                reject=REJECT,
                check_rate=0.1,
                reject_rate=0.01,
                good_parts=40,
            ),
        ),
        "parts": parts,
        "refused": (),
    }
    return Study(**{**values, **changes})  # type: ignore[arg-type]
