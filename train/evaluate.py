"""Measure a checkpoint on labeled categories and print the seven metrics as the papers print them.

python -m train.evaluate --checkpoint mambaad --data ROOT --json metrics.json
"""

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mambaad_demo.data.folders import find_categories
from mambaad_demo.errors import DemoError
from mambaad_demo.ops.metrics import METRICS
from mambaad_demo.pipeline.evaluation import MAD, CategoryReport, Report, evaluate
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.pipeline.training import processes
from mambaad_demo.settings import Settings
from train.results import require_parent, write_json

_COLUMNS = {
    "image_auroc": "I-AUROC",
    "image_ap": "I-AP",
    "image_f1_max": "I-F1max",
    "pixel_auroc": "P-AUROC",
    "pixel_ap": "P-AP",
    "pixel_f1_max": "P-F1max",
    "au_pro": "AU-PRO",
    MAD: "mAD",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate; returns the exit code."""
    options = _parse(arguments)
    if not processes().is_main_process:
        return 0  # one process measures, however many were launched
    try:
        require_parent(options.json)
        report = _run(options)
    except DemoError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    write_json(options.json, report.to_json())
    return 0


def _run(options: argparse.Namespace) -> Report:
    settings = Settings.from_env(os.environ)
    categories = find_categories(options.data, options.categories)
    predictor = Predictor.from_checkpoint(
        options.checkpoint,
        device=options.device or settings.device,
        kernel=settings.kernel,
        precision=settings.precision,
        checkpoints_root=settings.checkpoints,
        versions_root=settings.versions,
        allowed_repos=settings.allowed_repos,
    )
    width = max(len(category.name) for category in categories)
    print(_line("category", _COLUMNS.values(), width))

    def show(name: str, report: CategoryReport) -> None:
        print(_line(name, _percents({**report.metrics, MAD: report.mad}), width), flush=True)

    report = evaluate(
        predictor.runner,
        categories,
        resize=predictor.checkpoint.config.resize,
        tiles=predictor.tiles,
        protocol=options.protocol,
        progress=show,
    )
    print(_line("mean", _percents(report.mean()), width))
    return report


def _percents(metrics: Mapping[str, float | None]) -> list[str]:
    values = [metrics[name] for name in (*METRICS, MAD)]
    return ["–" if value is None else f"{100 * value:.1f}" for value in values]


def _line(name: str, cells: Iterable[str], width: int) -> str:
    return " ".join([f"{name:<{max(width, 8)}}", *(f"{cell:>8}" for cell in cells)])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m train.evaluate", description="Metrics of a checkpoint on a test set."
    )
    parser.add_argument("--checkpoint", required=True, metavar="NAME|DIR")
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="ROOT")
    parser.add_argument("--categories", nargs="+", metavar="NAME", help="default: all that ROOT holds")
    parser.add_argument("--protocol", choices=("exact", "ader"), default="exact", help="default: %(default)s")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), help="default: MAMBAAD_DEVICE, else auto"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the numbers here")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
