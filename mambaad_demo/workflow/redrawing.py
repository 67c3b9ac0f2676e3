"""Regions of stored results, drawn anew from the stored maps after their limits changed."""

from collections.abc import Iterator

from mambaad_demo.errors import StorageError
from mambaad_demo.pipeline import model_thread
from mambaad_demo.pipeline.prediction import Region, Verdict
from mambaad_demo.pipeline.predictor import Predictor, regions_from
from mambaad_demo.storage import rejudging
from mambaad_demo.storage.inspections import StoredInspection, anomaly_map
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.rendering import geometry_of


def redraw(workspace: Workspace, predictor: Predictor, category: str) -> Iterator[tuple[int, int]]:
    """Draw the regions of all results that limits of this category judge and do not accept.

    A result whose map is gone keeps the regions it has.

    Args:
        predictor: the checkpoint, looking as closely as the results were made.

    Yields:
        how many are done, and of how many; the first time before the first.
    """
    standing = [
        found
        for found in rejudging.results(workspace, predictor, category)
        if found.verdict is not Verdict.ACCEPT and found.limits.check is not None
    ]
    yield 0, len(standing)
    for done, found in enumerate(standing, 1):
        try:
            regions = model_thread.run(_regions, workspace, found)
        except StorageError:
            continue
        rejudging.write_regions(workspace, found, regions)
        yield done, len(standing)


def _regions(workspace: Workspace, found: StoredInspection) -> list[dict[str, object]]:
    geometry = geometry_of(found)
    full_map = geometry.map_to_image(anomaly_map(workspace, found))
    regions = regions_from(full_map, found.limits.check or 0.0, geometry)
    return [region.to_json() | {"outline": _outline(region)} for region in regions]


def _outline(region: Region) -> str:
    """As `pipeline.overlay.contour_paths` writes it."""
    return "M" + "L".join(f"{x:g},{y:g}" for x, y in region.contour) + "Z"
