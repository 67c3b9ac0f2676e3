"""The metrics of labeled products as the JSON of product.md §8, with intervals and rates beside them."""

from typing import Any

from mambaad_demo.errors import InputError
from mambaad_demo.ops.metrics import METRICS
from mambaad_demo.pipeline.evaluation import CategoryReport, Report
from mambaad_demo.storage import labels
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.figures.labeled_scores import Version
from mambaad_demo.workflow.figures.pixel_ranking import FullRanking
from mambaad_demo.workflow.figures.summary import FigureBook, Overview, product_versions


def metrics_json(
    workspace: Workspace,
    product: str | None = None,
    checkpoint: str | None = None,
    *,
    book: FigureBook | None = None,
) -> dict[str, Any]:
    """Measure what has been labeled, by the word of most reviewers.

    Args:
        workspace: whose pictures.
        product: only this one; by default all that have good or defective pictures.
        checkpoint: its version used last; by default the version used last for each product.
        book: may know the answers already.

    Returns:
        `categories` and their `mean`; None where a figure is undefined.

    Raises:
        InputError: there is no such product, or no picture of it was inspected with such a checkpoint.
        StorageError: a map or mask is gone or damaged.
    """
    book = book or FigureBook()
    known = labels.products(workspace)
    if product is not None and product not in known:
        raise InputError(f"There is no product {product!r} here. There are: {', '.join(known) or 'none'}.")
    reports: dict[str, CategoryReport] = {}
    details: dict[str, dict[str, Any]] = {}
    for name in known if product is None else [product]:
        version = _version(workspace, name, checkpoint)
        if version is None:
            continue
        shown = book.overview(workspace, name, version)
        if shown.labeled.decided or product is not None:
            ranking = book.ranking(workspace, shown.labeled)
            reports[name] = _report(shown, ranking)
            details[name] = _details(shown, ranking)
    if product is not None and not reports:
        by = f" with {checkpoint!r}" if checkpoint else ""
        raise InputError(f"No picture of {product!r} was inspected{by}. Inspect some and label them first.")
    report = Report(categories=reports)
    return {
        "categories": {name: one.to_json() | details[name] for name, one in reports.items()},
        "mean": report.mean(),
    }


def _version(workspace: Workspace, product: str, checkpoint: str | None) -> Version | None:
    found = product_versions(workspace, product)
    return next((one for one in found if checkpoint is None or one.checkpoint == checkpoint), None)


def _report(shown: Overview, ranking: FullRanking) -> CategoryReport:
    return CategoryReport(
        metrics={name: ranking.metrics[name].value for name in METRICS},
        n_good=shown.labeled.n_good,
        n_defect=shown.labeled.n_defect,
    )


def _details(shown: Overview, ranking: FullRanking) -> dict[str, Any]:
    labeled = shown.labeled
    return {
        "intervals": {name: _ends(ranking.metrics[name].to_json()) for name in METRICS},
        "rates": shown.rates.to_json(),
        "confusion": shown.confusion.to_json(),
        "n_unsure": len(labeled.unsure),
        "n_divided": len(labeled.divided),
        "n_without_mask": ranking.n_without_mask,
        "version": {
            "checkpoint": labeled.version.checkpoint,
            "sha256": labeled.version.sha256,
            "calibration_sha256": labeled.version.calibration_sha256,
            "tiles": labeled.version.tiles,
        },
    }


def _ends(interval: dict[str, float | None] | None) -> list[float] | None:
    if interval is None or interval["low"] is None or interval["high"] is None:
        return None
    return [interval["low"], interval["high"]]
