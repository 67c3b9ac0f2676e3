"""Whether limits keep what they promise: set from some good photos of a product, counted on its test photos.

    python -m benchmarks.false_rejects --data ROOT... --json rejects.json

Every product's limits rest on half of its good training photos, the checkpoint as it is. Products that a
checkpoint was trained on are no test; the embedded ones know sample parts only.
"""

import argparse
import random
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mambaad_demo.data.folders import Category, find_categories
from mambaad_demo.errors import DemoError
from mambaad_demo.hub.schemas import Rates
from mambaad_demo.pipeline.calibration import limits_from_scores
from mambaad_demo.pipeline.limit_statistics import exact_interval
from mambaad_demo.pipeline.predictor import Predictor
from train.results import require_parent, write_json

_MOST_PHOTOS = 100


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all checkpoints and products, write the counts and print the table."""
    options = _parse(arguments)
    require_parent(options.json)
    products = find_categories(options.data)
    rows: list[dict[str, Any]] = []
    for name in options.checkpoints:
        predictor = Predictor.from_checkpoint(name)
        for product in products:
            rows.append({"checkpoint": name, **_counted(predictor, product, options)})
            write_json(
                options.json, {"rates": _rates(options).model_dump(), "seed": options.seed, "rows": rows}
            )
    print(table(rows))
    return 0


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown; shares in per cent with their exact 95 % intervals."""
    lines = [
        "| checkpoint | product | limits from | good: rejected | good: to be checked or rejected "
        "| defective: accepted |",
        "|---" * 6 + "|",
    ]
    for checkpoint in dict.fromkeys(row["checkpoint"] for row in rows):
        own = [row for row in rows if row["checkpoint"] == checkpoint]
        lines += [_line(row["product"], row) for row in own]
        lines.append(_line("together", {name: sum(row[name] for row in own) for name in _COUNTS}, checkpoint))
    return "\n".join(lines)


_COUNTS = ("photos", "good", "good_rejected", "good_checked", "defective", "defective_accepted")


def _line(product: str, row: dict[str, Any], checkpoint: str | None = None) -> str:
    return (
        f"| {checkpoint or row['checkpoint']} | {product} | {row['photos']} "
        f"| {_share(row['good_rejected'], row['good'])} | {_share(row['good_checked'], row['good'])} "
        f"| {_share(row['defective_accepted'], row['defective'])} |"
    )


def _share(count: int, total: int) -> str:
    if not total:
        return "–"
    lower, upper = exact_interval(count, total)
    return f"{count} of {total} ({100 * lower:.1f} to {100 * upper:.1f})"


def _counted(predictor: Predictor, product: Category, options: argparse.Namespace) -> dict[str, Any]:
    photos = [sample.path for sample in product.train_good]
    rng = random.Random(options.seed)  # noqa: S311 - repeatable, not secret
    chosen = rng.sample(photos, min(max(len(photos) // 2, 3), _MOST_PHOTOS))
    limits = limits_from_scores(_scores(predictor, chosen), _rates(options))
    good = _scores(predictor, (sample.path for sample in product.test if not sample.is_anomalous))
    bad = _scores(predictor, (sample.path for sample in product.test if sample.is_anomalous))
    return {
        "product": product.name,
        "photos": len(chosen),
        "good": len(good),
        "good_rejected": sum(score >= (limits.reject or 0) for score in good),
        "good_checked": sum(score >= (limits.check or 0) for score in good),
        "defective": len(bad),
        "defective_accepted": sum(score < (limits.check or 0) for score in bad),
    }


def _scores(predictor: Predictor, paths: Iterable[Path]) -> list[float]:
    scores = []
    for found in predictor.predict_stream(list(paths)):
        if isinstance(found, DemoError):
            raise found
        scores.append(found.image_score)
    return scores


def _rates(options: argparse.Namespace) -> Rates:
    return Rates(check=options.check_rate, reject=options.reject_rate)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.false_rejects", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="ROOT", help="labeled products"
    )
    parser.add_argument("--checkpoints", nargs="+", default=["mambaad", "pyramid_mamba", "mambaad_v2"])
    parser.add_argument("--reject-rate", type=float, default=0.02)
    parser.add_argument("--check-rate", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, required=True, metavar="FILE")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
