"""A checkpoint taught one real product after another: what it then finds, rejects, and has forgotten.

    python -m benchmarks.finetuning --data ROOT... --base-data PARTS --steps 400 --json finetuning.json

Each product is learned from the same checkpoint, once from few good photos and once from all; then its test
images and those of `--base-data`, which the checkpoint knew before, are measured. Every finished run is
written at once, and the same command goes on after the last.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mambaad_demo.data.folders import Category, find_categories
from mambaad_demo.errors import DemoError
from mambaad_demo.ops.metrics import METRICS
from mambaad_demo.pipeline.evaluation import MAD, evaluate
from mambaad_demo.pipeline.limit_statistics import exact_interval
from mambaad_demo.pipeline.prediction import Verdict
from mambaad_demo.pipeline.predictor import Predictor
from train.results import require_parent, write_json

_ALL = 0
_HEAD = (
    "image AUROC",
    "image AP",
    "image F1-max",
    "pixel AUROC",
    "pixel AP",
    "pixel F1-max",
    "AU-PRO@30 %",
    "mean",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing in the result file and print the tables."""
    options = _parse(arguments)
    require_parent(options.json)
    done = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else {}
    budget = {"checkpoint": options.checkpoint, "steps": options.steps, "reject_rate": options.reject_rate}
    if done.setdefault("budget", budget) != budget:
        print(
            f"finetuning: {options.json.name} holds runs of another budget: {done['budget']}.",
            file=sys.stderr,
        )
        return 1
    products, base_parts = find_categories(options.data), find_categories([options.base_data])
    if "before" not in done:
        predictor = Predictor.from_checkpoint(options.checkpoint)
        done["before"] = {
            "base": _measured(predictor, base_parts),
            **{product.name: _measured(predictor, [product]) for product in products},
        }
        write_json(options.json, done)
    runs: list[dict[str, Any]] = done.setdefault("runs", [])
    for photos in options.photos:
        for product in products:
            if any(run["product"] == product.name and run["asked"] == photos for run in runs):
                continue
            run = _run(product, photos, base_parts, options)
            runs.append(run)
            write_json(options.json, done)
            print(f"{product.name}, {run['photos']} photos: {run['seconds']:.0f} s", flush=True)
    print(table(done))
    return 0


def table(done: Mapping[str, Any]) -> str:
    """Markdown: the products before and after, their rejects, and the parts known before; in per cent."""
    lines = [f"| product | good photos | {' | '.join(_HEAD)} |", "|---" * (len(_HEAD) + 2) + "|"]
    before = done["before"]
    for product in dict.fromkeys(run["product"] for run in done["runs"]):
        lines.append(f"| {product} | before | {_percents(before[product]['mean'])} |")
        lines += [
            f"| {product} | {run['photos']} | {_percents(run['after']['mean'])} |"
            for run in _of(done, product)
        ]
    lines += ["", f"| learned | good photos | {' | '.join(_HEAD)} |", "|---" * (len(_HEAD) + 2) + "|"]
    lines.append(f"| nothing yet | – | {_percents(before['base']['mean'])} |")
    lines += [
        f"| {run['product']} | {run['photos']} | {_percents(run['base_after']['mean'])} |"
        for run in done["runs"]
    ]
    lines += [
        "",
        "| product | good photos | good: rejected | 95 % | to be checked | defective: accepted |",
        "|---" * 6 + "|",
    ]
    lines += [_verdicts(run) for run in done["runs"]]
    return "\n".join(lines)


def _of(done: Mapping[str, Any], product: str) -> list[dict[str, Any]]:
    return [run for run in done["runs"] if run["product"] == product]


def _verdicts(run: Mapping[str, Any]) -> str:
    good, defective = run["good"], run["defective"]
    n_good, n_defective = sum(good.values()), sum(defective.values())
    lower, upper = exact_interval(good["reject"], n_good)
    return (
        f"| {run['product']} | {run['photos']} | {good['reject']} of {n_good} "
        f"| {100 * lower:.1f} to {100 * upper:.1f} | {good['check']} "
        f"| {defective['accept']} of {n_defective} |"
    )


def _percents(metrics: Mapping[str, float | None]) -> str:
    values = [metrics[name] for name in (*METRICS, MAD)]
    return " | ".join("–" if value is None else f"{100 * value:.1f}" for value in values)


def _run(
    product: Category, photos: int, base_parts: Sequence[Category], options: argparse.Namespace
) -> dict[str, Any]:
    good = [sample.path for sample in product.train_good]
    rng = random.Random(options.seed)  # noqa: S311 - repeatable, not secret
    chosen = good if photos == _ALL else sorted(rng.sample(good, min(photos, len(good))))
    with tempfile.TemporaryDirectory() as folder:
        images, out, report = Path(folder) / "good", Path(folder) / product.name, Path(folder) / "report.json"
        images.mkdir()
        for path in chosen:
            (images / path.name).symlink_to(path)
        subprocess.run(
            [
                *(sys.executable, "-m", "train.finetune_decoder", "--checkpoint", options.checkpoint),
                *("--images", str(images), "--category", product.name, "--steps", str(options.steps)),
                *("--reject-rate", str(options.reject_rate), "--seed", str(options.seed)),
                *("--out", str(out), "--json", str(report)),
            ],
            check=True,
            env={**os.environ, "MAMBAAD_HOME": str(options.home)},
            stdout=subprocess.DEVNULL,
        )
        learned = json.loads(report.read_text(encoding="utf-8"))
        predictor = Predictor.from_checkpoint(str(out))
        return {
            "product": product.name,
            "asked": photos,
            "photos": len(chosen),
            "seconds": learned["seconds"],
            "after": _measured(predictor, [product]),
            "base_after": _measured(predictor, base_parts),
            "good": _counted(predictor, product, anomalous=False),
            "defective": _counted(predictor, product, anomalous=True),
            "report": learned,
        }


def _measured(predictor: Predictor, categories: Sequence[Category]) -> dict[str, object]:
    return evaluate(predictor.runner, categories, resize=predictor.checkpoint.config.resize).to_json()


def _counted(predictor: Predictor, product: Category, *, anomalous: bool) -> dict[str, int]:
    files = [sample.path for sample in product.test if sample.is_anomalous == anomalous]
    verdicts: Counter[Verdict] = Counter()
    for found in predictor.predict_stream(files, category=product.name):
        if isinstance(found, DemoError):
            raise found
        verdicts[found.verdict] += 1
    return {verdict.value: verdicts[verdict] for verdict in Verdict}


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.finetuning", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--checkpoint", default="mambaad", help="what every product is taught to")
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="ROOT", help="products to learn"
    )
    parser.add_argument(
        "--base-data", type=Path, required=True, metavar="ROOT", help="what it knows, labeled"
    )
    parser.add_argument("--photos", type=int, nargs="+", default=[30, _ALL], help=f"good photos; {_ALL}: all")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--reject-rate", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--home", type=Path, required=True, metavar="DIR", help="keeps rehearsal features")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="continued if it exists")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
