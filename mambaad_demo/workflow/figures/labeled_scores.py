"""What people said about pictures beside what one version said about them: the ground all figures stand on.

A version is a checkpoint with its calibration, looking in a number of tiles; other tiles give other scores.
Of each picture the newest inspection by that version counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from mambaad_demo.pipeline.labeling import Finding, LabeledImage
from mambaad_demo.storage.inspections import StoredInspection


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What tells one version from another."""

    checkpoint: str
    sha256: str
    calibration_sha256: str
    tiles: int

    @classmethod
    def of(cls, inspection: StoredInspection) -> Self:
        """The version that made an inspection."""
        return cls(
            checkpoint=inspection.checkpoint,
            sha256=inspection.checkpoint_sha256,
            calibration_sha256=inspection.calibration_sha256,
            tiles=inspection.tiles,
        )

    @property
    def key(self) -> str:
        """Short and unique; the name comes last, since it may hold anything."""
        return f"{self.sha256[:16]}-{self.calibration_sha256[:16]}-{self.tiles}-{self.checkpoint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledScore:
    """One picture: what the version said, and what people say."""

    inspection: StoredInspection
    label: LabeledImage

    @property
    def is_defective(self) -> bool:
        return self.label.finding is Finding.DEFECT


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledSet:
    """The labeled pictures of a product that a version has inspected."""

    version: Version
    decided: tuple[LabeledScore, ...]
    """Good or defective, in the order in which the pictures came; figures rest on these."""
    unsure: tuple[LabeledScore, ...]
    """Nobody is sure; left out."""
    divided: tuple[LabeledScore, ...]
    """Reviewers disagree, as many on one side as on the other; left out."""
    inspections: tuple[StoredInspection, ...]
    """All by this version in the order in which they were made, labeled or not."""
    n_inspected: int
    """Pictures that the version has seen."""
    n_unseen: int
    """Labeled pictures that it has not."""

    @property
    def is_defective(self) -> np.ndarray:
        """(n,) bool, for `decided`."""
        return np.array([picture.is_defective for picture in self.decided], dtype=bool)

    @property
    def scores(self) -> np.ndarray:
        """(n,) float64, for `decided`: the scores that verdicts rest on."""
        return np.array([picture.inspection.score for picture in self.decided], dtype=np.float64)

    @property
    def n_good(self) -> int:
        return len(self.decided) - self.n_defect

    @property
    def n_defect(self) -> int:
        return sum(picture.is_defective for picture in self.decided)


def versions(inspections: Sequence[StoredInspection]) -> list[Version]:
    """The versions behind some inspections, the one used last first."""
    return list(dict.fromkeys(Version.of(inspection) for inspection in reversed(inspections)))


def labeled_set(
    version: Version, inspections: Sequence[StoredInspection], labels: Sequence[LabeledImage]
) -> LabeledSet:
    """Bring inspections and labels of a product together.

    Args:
        version: whose inspections count.
        inspections: in the order in which they were made.
        labels: one for each picture that somebody decided on.
    """
    own = tuple(inspection for inspection in inspections if Version.of(inspection) == version)
    newest = {inspection.image_id: inspection for inspection in own}
    joined = [
        LabeledScore(inspection=newest[label.image_id], label=label)
        for label in labels
        if label.image_id in newest
    ]
    return LabeledSet(
        version=version,
        decided=tuple(one for one in joined if one.label.finding in (Finding.GOOD, Finding.DEFECT)),
        unsure=tuple(one for one in joined if one.label.finding is Finding.UNSURE),
        divided=tuple(one for one in joined if one.label.finding is None),
        inspections=own,
        n_inspected=len(newest),
        n_unseen=len(labels) - len(joined),
    )
