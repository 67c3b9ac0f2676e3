"""What `train.evaluate` measured, read from its file, and what authors report, told in a model card."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from mambaad_demo.errors import InputError
from mambaad_demo.hub.markdown import table, text
from mambaad_demo.hub.schemas import Border, CategoryName, QuotedMetrics

_MAX_BYTES = 1024 * 1024
COLUMNS = {
    "image_auroc": "image AUROC",
    "image_ap": "image AP",
    "image_f1_max": "image F1-max",
    "pixel_auroc": "pixel AUROC",
    "pixel_ap": "pixel AP",
    "pixel_f1_max": "pixel F1-max",
    "au_pro": "AU-PRO",
    "mad": "mean of the seven",
}
"""Titles of the metrics by name, in the order of the papers."""

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)] | None


class Shares(Border):
    """The seven metrics and their mean; None where undefined."""

    image_auroc: Share
    image_ap: Share
    image_f1_max: Share
    pixel_auroc: Share
    pixel_ap: Share
    pixel_f1_max: Share
    au_pro: Share
    mad: Share


class CategoryShares(Shares):
    """Of one category."""

    n_good: Annotated[int, Field(ge=0)]
    n_defect: Annotated[int, Field(ge=0)]


class Metrics(Border):
    """A file of `train.evaluate --json`."""

    categories: dict[CategoryName, CategoryShares]
    mean: Shares


def read_metrics(path: Path) -> Metrics:
    """Read what `train.evaluate --json` wrote.

    Raises:
        InputError: it is no such file.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path.name} has more than {_MAX_BYTES} bytes. Give a file of train.evaluate.")
        return Metrics.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(
            f"{path.name} holds no metrics. Write them with 'python -m train.evaluate --json'."
        ) from error


def metrics_lines(metrics: Metrics) -> list[str]:
    """A table in per cent, and what it rests on."""
    rows = [
        [text(name), *_cells(of), str(of.n_good), str(of.n_defect)] for name, of in metrics.categories.items()
    ]
    return [
        "On labeled good and defective parts, in per cent, as `python -m train.evaluate` measures it:",
        "",
        *table(
            ["category", *COLUMNS.values(), "good parts", "defective parts"],
            [*rows, ["mean", *_cells(metrics.mean), "", ""]],
        ),
    ]


def quoted_lines(quoted: QuotedMetrics) -> list[str]:
    """A table in per cent with its source, and how little it says here."""
    titles = {name: title for name, title in COLUMNS.items() if name in QuotedMetrics.model_fields}
    return [
        "In per cent, as the authors of the weights report them for a whole data set, by a protocol of their "
        "own (AU-PRO up to 30 % false positives). Nothing was run here to confirm them.",
        "",
        *table([*titles.values()], [[f"{getattr(quoted, name):.1f}" for name in titles]]),
        "",
        f"Source: {text(quoted.source)}",
    ]


def _cells(shares: Shares) -> list[str]:
    values = [getattr(shares, name) for name in COLUMNS]
    return ["–" if value is None else f"{100 * value:.1f}" for value in values]
