"""Maps and masks of labeled pictures in the square frame of `pipeline.evaluation`, as `train.evaluate` has
them.

Pixel metrics rest on good pictures and on defective ones somebody drew a mask for; the score of a picture in
that frame, the largest value of its square map, is there for all.

Legend: `n` labeled pictures · `m` of them that pixel metrics rest on · `S` side of the frame.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np

from mambaad_demo.data.geometry import Geometry
from mambaad_demo.hub.schemas import Resize
from mambaad_demo.pipeline.evaluation import frame_side, square_map, square_mask
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.inspections import StoredInspection, anomaly_map
from mambaad_demo.storage.masks import mask_of
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.figures.labeled_scores import LabeledScore

MOST_PIXELS = 2**27
"""Of all maps together: 2048 of 256 × 256; about 2 GB of memory while they are sorted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabeledMaps:
    """What the metrics of `ops.metrics` take."""

    scores: np.ndarray
    """(n,) float32: the largest value of each square map."""
    maps: np.ndarray
    """(m, S, S) float32; empty where there are no masks, or too many pixels."""
    masks: np.ndarray
    """(m, S, S) bool"""
    n_good: int
    """Good pictures among the m."""
    n_masked: int
    """Defective pictures among them."""
    n_without_mask: int
    """Defective pictures that pixel metrics leave out."""
    is_too_large: bool
    """Whether the maps were left out for their size."""


def labeled_maps(workspace: Workspace, pictures: tuple[LabeledScore, ...]) -> LabeledMaps:
    """Read the maps of all pictures and the masks of the defective ones.

    Args:
        workspace: where they lie.
        pictures: good and defective, at least one, all of one version.

    Raises:
        StorageError: a map or mask is gone or damaged; none is skipped silently.
    """
    first = pictures[0].inspection
    side = frame_side(first.side, first.tiles)
    n_masked = sum(_has_mask(picture) for picture in pictures)
    used = [n_masked > 0 and (not picture.is_defective or _has_mask(picture)) for picture in pictures]
    is_too_large = sum(used) * side**2 > MOST_PIXELS
    count = 0 if is_too_large else sum(used)
    scores = np.empty(len(pictures), np.float32)
    maps = np.empty((count, side, side), np.float32)
    masks = np.zeros((count, side, side), bool)
    row = 0
    for number, picture in enumerate(pictures):
        square = _square(workspace, picture.inspection, side)
        scores[number] = square.max()
        if used[number] and not is_too_large:
            maps[row] = square
            if picture.is_defective:
                masks[row] = _mask(workspace, picture, side)
            row += 1
    n_defect = sum(picture.is_defective for picture in pictures)
    return LabeledMaps(
        scores=scores,
        maps=maps,
        masks=masks,
        n_good=len(pictures) - n_defect,
        n_masked=n_masked,
        n_without_mask=n_defect - n_masked,
        is_too_large=is_too_large,
    )


def _has_mask(picture: LabeledScore) -> bool:
    return picture.is_defective and picture.label.mask_sha256 is not None


def _square(workspace: Workspace, inspection: StoredInspection, side: int) -> np.ndarray:
    geometry = Geometry.fit(
        inspection.width,
        inspection.height,
        inspection.side,
        cast(Resize, inspection.resize),
        inspection.tiles,
    )
    return square_map(anomaly_map(workspace, inspection), geometry, side, inspection.tiles)


def _mask(workspace: Workspace, picture: LabeledScore, side: int) -> np.ndarray:
    content = workspace.files.read(FileKind.MASK, picture.label.mask_sha256 or "")
    return square_mask(mask_of(content), side, picture.inspection.tiles)
