"""Stored inspections as pictures for the screen and for result packs; drawn when asked for, never stored."""

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from mambaad_demo.data.geometry import Geometry
from mambaad_demo.hub.schemas import Resize
from mambaad_demo.pipeline.inference import content_of
from mambaad_demo.pipeline.overlay import blended, levels_png
from mambaad_demo.pipeline.prediction import Verdict, color_range
from mambaad_demo.storage.files import FileKind
from mambaad_demo.storage.inspections import StoredInspection, anomaly_map
from mambaad_demo.storage.workspace import Workspace


def preview_jpeg(workspace: Workspace, inspection: StoredInspection) -> bytes:
    """The picture, at most `PREVIEW_SIDE` pixels, without metadata."""
    return workspace.files.read(FileKind.PREVIEW, inspection.sha256)


def preview_size(workspace: Workspace, inspection: StoredInspection) -> tuple[int, int]:
    """Width and height of the preview, which masks are drawn on."""
    with Image.open(io.BytesIO(preview_jpeg(workspace, inspection))) as preview:  # reads the header alone
        return preview.size


def thumbnail_jpeg(workspace: Workspace, sha256: str) -> bytes:
    """A picture as a small JPEG."""
    return workspace.files.read(FileKind.THUMBNAIL, sha256)


def heat_png(workspace: Workspace, inspection: StoredInspection) -> bytes:
    """The heat map at model resolution without padding, to be stretched over the picture."""
    geometry = geometry_of(inspection)
    return levels_png(_levels(inspection, content_of(anomaly_map(workspace, inspection), geometry)))


def overlay_jpeg(workspace: Workspace, inspection: StoredInspection) -> bytes:
    """The heat map over the preview."""
    with Image.open(io.BytesIO(preview_jpeg(workspace, inspection))) as preview:
        image = np.asarray(preview.convert("RGB"))
    height, width = image.shape[:2]
    small = replace(geometry_of(inspection), width=width, height=height)
    values = small.map_to_image(anomaly_map(workspace, inspection))
    buffer = io.BytesIO()
    Image.fromarray(blended(image, _levels(inspection, values))).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def predicted_mask_at(
    workspace: Workspace, inspection: StoredInspection, width: int, height: int
) -> np.ndarray:
    """What the model would mark, (height, width) bool; empty for accepted parts and without limits."""
    check = inspection.limits.check
    if check is None or inspection.verdict is Verdict.ACCEPT:
        return np.zeros((height, width), dtype=bool)
    scaled = replace(geometry_of(inspection), width=width, height=height)
    values = scaled.map_to_image(anomaly_map(workspace, inspection))
    return np.asarray(values >= min(check, float(values.max())))


def geometry_of(inspection: StoredInspection) -> Geometry:
    """How the picture lay on the canvas of the model."""
    rule: Resize = "square" if inspection.resize == "square" else "letterbox"
    return Geometry.fit(inspection.width, inspection.height, inspection.side, rule, inspection.tiles)


def _levels(inspection: StoredInspection, values: np.ndarray) -> np.ndarray:
    zero, one = color_range(inspection.limits, inspection.pixel_median)
    return (values - zero) / (one - zero)
