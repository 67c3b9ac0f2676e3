"""Domain values → what the components of the page take: HTML, data for the viewer, choices, files.

Pure: nothing here knows Gradio, keeps state or judges. Sentences stand in `words.py`, markup in the assets.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from mambaad_demo.pipeline import overlay
from mambaad_demo.pipeline.catalog import Loading
from mambaad_demo.pipeline.prediction import Limits, Prediction
from mambaad_demo.ui import words
from mambaad_demo.ui.inspection import Inspection
from mambaad_demo.ui.samples import SamplePart
from mambaad_demo.ui.templates import render

SUGGEST = "Suggest for me"
"""First entry of the product list."""


def viewer_value(inspection: Inspection, *, sample: int | None) -> dict[str, Any]:
    """Everything the canvas needs to draw any view of a picture without asking the server again.

    Args:
        inspection: what to draw.
        sample: position of the picture on the shelf, if it stands there.
    """
    title = inspection.source.title
    prediction = inspection.prediction
    outlines = overlay.contour_paths(prediction)
    return {
        "sample": sample,
        "title": title,
        "alt": words.picture(prediction, title),
        "width": prediction.width,
        "height": prediction.height,
        "preview": data_uri(overlay.preview_jpeg(prediction), "image/jpeg"),
        "heat": data_uri(overlay.heat_png(prediction), "image/png"),
        "seen": data_uri(overlay.seen_jpeg(prediction), "image/jpeg"),
        "regions": [
            {"x": region.x, "y": region.y, "width": region.width, "height": region.height, "outline": outline}
            for region, outline in zip(prediction.regions, outlines, strict=True)
        ],
    }


def verdict_html(inspection: Inspection) -> str:
    """The card with the judgement, its reasons and how sure it is."""
    prediction = inspection.prediction
    marks = None
    if prediction.limits.check is not None and prediction.limits.reject is not None:
        marks = {
            name: {"left": round(scale_position(prediction, value), 1), "score": words.score_text(value)}
            for name, value in (
                ("check", prediction.limits.check),
                ("reject", prediction.limits.reject),
                ("part", prediction.image_score),
            )
        }
    name, reason = words.product(prediction)
    return render(
        "verdict.html",
        verdict=prediction.verdict.value,
        heading=words.TITLES[prediction.verdict],
        rarity=words.rarity(prediction, inspection.calibration),
        regions=words.regions(prediction),
        marks=marks,
        certainty=words.certainty(prediction, inspection.calibration),
        product=name,
        product_reason=reason,
        notes=prediction.notes,
    )


def regions_html(inspection: Inspection) -> str:
    """The table of regions."""
    rows = [
        {
            "where": f"{region.x}, {region.y}",
            "size": f"{region.width} × {region.height}",
            "area": grouped(region.area),
            "peak": words.score_text(region.peak),
        }
        for region in inspection.prediction.regions
    ]
    return render("regions.html", rows=rows, is_calibrated=inspection.prediction.limits.check is not None)


def footer_html(inspection: Inspection) -> str:
    """The line at the bottom: how long it took, what ran, and whether it proved itself."""
    prediction, self_test = inspection.prediction, inspection.self_test
    return render(
        "footer.html",
        timings=[(name, f"{value:.0f} ms") for name, value in prediction.timings_ms.items()],
        decoder=words.decoder_name(prediction.decoder),
        encoder=prediction.encoder,
        tiles=prediction.tiles,
        kernel=prediction.kernel,
        device=prediction.device,
        checkpoint=prediction.checkpoint,
        checkpoint_hash=prediction.checkpoint_sha256[:12],
        self_test="passed" if self_test.passed else "failed",
        difference=f"{self_test.largest_difference:.1g}",
        version=prediction.version,
    )


def chips_html(inspection: Inspection | None, *, retention_minutes: int, needs_storage: bool = False) -> str:
    """What is in force, for the top bar.

    Args:
        inspection: what the page shows.
        retention_minutes: how long uploads are kept.
        needs_storage: whether stored work is lost at the next restart unless the operator has attached
            storage.
    """
    chips = [("work kept", "session only without attached storage")] if needs_storage else []
    if inspection is not None:
        prediction = inspection.prediction
        chips += [
            ("product", words.spoken(prediction.category)),
            ("checkpoint", prediction.checkpoint),
            ("check · reject", _limits_text(prediction.limits)),
        ]
    return render("chips.html", chips=[*chips, ("uploads kept", f"{retention_minutes} min")])


def _limits_text(limits: Limits) -> str:
    if limits.check is None or limits.reject is None:
        return "no limits"
    return f"{words.score_text(limits.check)} · {words.score_text(limits.reject)}"


def notice_html(problem: str = "", *, kept: str | None = None) -> str:
    """Why something was not inspected, and what the page still shows; nothing without a problem."""
    return render("notice.html", problem=problem, kept=kept)


def fetching_html(loading: Loading) -> str:
    """How far the download of a checkpoint is."""
    return render("fetching.html", release=loading.name, done=loading.done / 1e6, total=loading.total / 1e6)


def deleted_text(count: int, *, of_all_tabs: bool) -> str:
    """What was deleted on request: files that were sent or prepared, of one page or of all of a browser."""
    files = "1 file" if count == 1 else f"{count} files"
    if of_all_tabs:
        return f"{files} that you sent or downloaded, in all tabs of this browser: deleted from this server."
    return (
        f"{files} that you sent or downloaded on this page: deleted from this server. Those of other tabs "
        "and from before a reload go by themselves in time."
    )


def shelf_html(thumbnails: Mapping[SamplePart, bytes], *, chosen: int | None) -> str:
    """The buttons with sample parts."""
    parts = [
        {"title": part.title, "is_good": part.defect is None, "picture": data_uri(thumbnail, "image/jpeg")}
        for part, thumbnail in thumbnails.items()
    ]
    return render("shelf.html", parts=parts, chosen=chosen)


def category_choices(inspection: Inspection | None) -> list[tuple[str, str]]:
    """Entries of the product list, as (label, value); the first, with an empty value, asks to suggest."""
    if inspection is None:
        return [(SUGGEST, "")]
    prediction = inspection.prediction
    is_suggested = prediction.category_source == "suggested" and prediction.category in inspection.categories
    suggestion = f"{words.spoken(prediction.category)} (suggested)" if is_suggested else SUGGEST
    return [(suggestion, ""), *named(inspection.categories)]


def named(categories: Sequence[str]) -> list[tuple[str, str]]:
    """Categories as entries of a list, (label, value)."""
    return [(words.spoken(category), category) for category in categories]


def json_text(prediction: Prediction) -> str:
    """The result of an inspection as a readable JSON document."""
    return json.dumps(prediction.to_json(), indent=2, ensure_ascii=False)


DOWNLOADS: Mapping[str, tuple[str, Callable[[Prediction], bytes]]] = {
    "Overlay PNG": ("overlay.png", overlay.overlay_png),
    "Map NPY": ("map.npy", overlay.map_npy),
    "Map PNG, 16 bit": ("map.png", overlay.map_png16),
    "Mask PNG": ("mask.png", overlay.mask_png),
    "JSON": ("inspection.json", lambda prediction: json_text(prediction).encode()),
}
"""Label of each download → end of its file name, and what makes its content."""


def download_name(title: str, ending: str) -> str:
    """A file name that any system takes: the picture's name without suffix and oddities, then `-ending`."""
    stem = re.sub(r"[^\w-]+", "_", PurePath(title).stem).strip("_")[:60]
    return f"{stem or 'part'}-{ending}"


def scale_position(prediction: Prediction, value: float) -> float:
    """Where a score lies on the fixed colour scale, in percent; the reject limit is the middle."""
    zero, one = prediction.color_range
    level = (value - zero) / (one - zero)
    return 100.0 * min(max(level / overlay.TOP_LEVEL, 0.0), 1.0)


def grouped(number: int) -> str:
    """A whole number with thin spaces between thousands."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def data_uri(content: bytes, media_type: str) -> str:
    """A small file as an address that needs no request."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def checkpoint_choices(names: Sequence[str], active: Mapping[str, str]) -> list[tuple[str, str]]:
    """Checkpoints as a choice; of each it is said for which products it was promoted."""
    products = {name: [product for product, chosen in active.items() if chosen == name] for name in names}
    return [
        (f"{name} (active for {', '.join(products[name])})" if products[name] else name, name)
        for name in names
    ]
