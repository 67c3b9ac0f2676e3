"""A store in a folder, filled with inspections and decisions without any network or picture file."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from mambaad_demo.pipeline.labeling import Finding, Label
from mambaad_demo.pipeline.prediction import Limits, Prediction
from mambaad_demo.storage import inspections, labels, maps
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.inspections import Judged, VersionFacts
from mambaad_demo.storage.masks import mask_png
from mambaad_demo.storage.workspace import Workspace

LIMITS = Limits(check=0.4, reject=0.5)
VERSION = VersionFacts(
    checkpoint="mambaad",
    decoder="mambaad",
    encoder="tf_efficientnet_lite0",
    sha256="ab" * 32,
    calibration_sha256="cd" * 32,
    side=16,
    resize="letterbox",
)


class LabeledStore:
    """Adds pictures and decisions to a workspace."""

    def __init__(self, folder: Path) -> None:
        self.workspace = Workspace.open(f"sqlite:///{folder / 'store.db'}", str(folder / "files"))
        self.count = 0

    def inspect(
        self,
        score: float,
        *,
        anomaly_map: np.ndarray | None = None,
        name: str = "part.png",
        product: str = "gear",
        version: VersionFacts = VERSION,
        limits: Limits = LIMITS,
        gray: int = 128,
        distance: float | None = 1.0,
        size: tuple[int, int] = (16, 16),
        tiles: int = 1,
        same_as: int | None = None,
    ) -> int:
        """Add an inspection, of a new picture or of an earlier one; returns the id of the picture.

        Args:
            anomaly_map: at model resolution; by default flat at the score.
            same_as: what `inspect` returned for the earlier one.
        """
        self.count += 1
        number = self.count if same_as is None else same_as
        if anomaly_map is None:
            anomaly_map = np.full((version.side, version.side), score, np.float32)
        prediction = _prediction(score, anomaly_map, size, limits, gray, distance, number)
        packed = maps.packed(anomaly_map)
        sha256 = inspections.sha256_of(packed)
        self.workspace.files.write(FileKind.MAP, sha256, packed)
        judged = Judged(name=name, content=b"", prediction=prediction, product=product)
        with self.workspace.database.writing() as session:
            row = inspections.add_inspection(
                session, self.workspace, judged, version=version, tiles=tiles, map_sha256=sha256
            )
        return inspections.inspection(self.workspace, row).image_id

    def say(
        self,
        image_id: int,
        finding: Finding,
        *,
        reviewer: str = "mira",
        mask: np.ndarray | None = None,
        is_repeat: bool = False,
    ) -> None:
        """Record a decision."""
        label = Label(finding=finding, mask=None if mask is None else mask_png(mask))
        labels.decide(self.workspace, image_id, label, reviewer=reviewer, is_repeat=is_repeat)

    def add(self, score: float, finding: Finding, **how: object) -> int:
        """Inspect a new picture and decide on it."""
        image_id = self.inspect(score, **how)  # type: ignore[arg-type]
        self.say(image_id, finding)
        return image_id


def other(version: VersionFacts = VERSION, **changes: object) -> VersionFacts:
    """Another version."""
    return replace(version, **changes)  # type: ignore[arg-type]


def _prediction(
    score: float,
    anomaly_map: np.ndarray,
    size: tuple[int, int],
    limits: Limits,
    gray: int,
    distance: float | None,
    number: int,
) -> Prediction:
    width, height = size
    return Prediction(
        image=np.full((height, width, 3), gray, np.uint8),
        anomaly_map=np.zeros((height, width), np.float32),
        model_map=anomaly_map,
        model_input=np.zeros((8, 8, 3), np.uint8),
        file=None,
        sha256=hashlib.sha256(str(number).encode()).hexdigest(),
        width=width,
        height=height,
        checkpoint="mambaad",
        checkpoint_sha256="ab" * 32,
        decoder="mambaad",
        encoder="tf_efficientnet_lite0",
        category="gear",
        category_source="given",
        category_margin=1.0,
        embedding_distance=distance,
        image_score=score,
        percentile=None,
        limits=limits,
        pixel_median=0.1,
        verdict=limits.verdict(score),
        regions=(),
        timings_ms={"total": 1.0},
        kernel="torch",
        device="cpu",
        precision="float32",
        version="0.1.0",
    )
