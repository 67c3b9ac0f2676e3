"""Variants of one small network under the same budget, several seeds each: what does each idea bring?

    python -m benchmarks.ablations --data TRAIN_ROOT --test TEST_ROOT --steps 300 --json ablations.json

Every finished run is written at once, and the same command goes on after the last.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mambaad_demo.data.folders import Category, find_categories
from mambaad_demo.hub.schemas import Resize
from mambaad_demo.models import Detector, DetectorConfig, build_detector
from mambaad_demo.ops.metrics import METRICS
from mambaad_demo.pipeline.evaluation import MAD, evaluate
from mambaad_demo.pipeline.inference import DetectorRunner
from mambaad_demo.pipeline.training import FeatureCache, Trainer, TrainingConfig, cache_features
from mambaad_demo.pipeline.training_data import split_good, training_tensors
from mambaad_demo.settings import Settings
from train.recipes import default_detector
from train.results import require_parent, write_json

_RESIZE: Resize = "letterbox"
_SIZE: Mapping[str, Any] = {"dims": (128, 64, 32, 16), "depths": (2, 2, 2, 2)}

_DISTINCT: Mapping[str, Any] = {"directions": 8, "direction_set": "distinct"}
_MAMBA3: Mapping[str, Any] = {**_DISTINCT, "frequency": "none"}
_PROGRESSIVE: Mapping[str, Any] = {**_MAMBA3, "directions": (2, 2, 4, 8)}

VARIANTS: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    "A0 MambaAD, 8 distinct directions": ("mambaad", _DISTINCT, {}),
    "A0 with the published 6 distinct of 8": ("mambaad", {"directions": 8}, {}),
    "A0 without noise": ("mambaad", _DISTINCT, {"noise_std": 0.0}),
    "A1 Mamba-3 instead of Mamba-1": ("mambaad_v2", _MAMBA3, {}),
    "A2 and 2, 2, 4, 8 directions": ("mambaad_v2", _PROGRESSIVE, {}),
    "A3 and wavelets": ("mambaad_v2", {**_PROGRESSIVE, "frequency": "haar"}, {}),
}
"""Decoder, its options beside the size, and what else differs from the recipe."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing in the result file and print the table."""
    options = _parse(arguments)
    require_parent(options.json)
    settings = Settings.from_env(os.environ)
    done = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else {"runs": []}
    budget = {"steps": options.steps, "side": options.side, "batch_size": options.batch_size}
    if done.setdefault("budget", budget) != budget:
        print(
            f"ablations: {options.json.name} holds runs of another budget: {done['budget']}.", file=sys.stderr
        )
        return 1
    finished = {(run["variant"], run["seed"]) for run in done["runs"]}
    train, test = find_categories([options.data]), find_categories([options.test])
    cache: FeatureCache | None = None
    for seed in options.seeds:
        for name in VARIANTS:
            if (name, seed) in finished:
                continue
            torch.manual_seed(seed)
            detector = _detector(name, options.side)
            detector.kernel = settings.kernel
            if cache is None:
                cache = _features(detector, train)
            run = _run(detector, cache, test, options, seed)
            done["runs"].append({"variant": name, "seed": seed, **run})
            write_json(options.json, done)
            print(f"{name}, seed {seed}: {run['seconds']:.0f} s, {_percents(run)}", flush=True)
    print(table(done["runs"]))
    return 0


def table(runs: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: mean and standard deviation over the seeds of each variant, in per cent."""
    columns = {
        "image_auroc": "image AUROC",
        "pixel_auroc": "pixel AUROC",
        "au_pro": "AU-PRO",
        MAD: "mean of seven",
    }
    lines = [
        "| variant | seeds | " + " | ".join(columns.values()) + " | parameters | CPU time of a step |",
        "|---" * (len(columns) + 4) + "|",
    ]
    for name in dict.fromkeys(run["variant"] for run in runs):
        of_name = [run for run in runs if run["variant"] == name]
        cells = [_spread([run[column] for run in of_name]) for column in columns]
        millions = of_name[0]["parameters"] / 1e6
        step = statistics.median(run["cpu_seconds"] / run["steps"] for run in of_name)
        lines.append(
            f"| {name} | {len(of_name)} | " + " | ".join(cells) + f" | {millions:.2f} M | {step:.2f} s |"
        )
    return "\n".join(lines)


def _spread(shares: Sequence[float | None]) -> str:
    """Mean and standard deviation in per cent."""
    values = [100 * share for share in shares if share is not None]
    if not values:
        return "–"
    mean = statistics.fmean(values)
    return f"{mean:.1f} ± {statistics.stdev(values):.1f}" if len(values) > 1 else f"{mean:.1f}"


def _percents(run: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_spread([run[name]])}" for name in (*METRICS, MAD))


def _detector(name: str, side: int) -> Detector:
    decoder, options, others = VARIANTS[name]
    recipe: DetectorConfig = default_detector(decoder)
    return build_detector(replace(recipe, decoder_options={**_SIZE, **options}, input_side=side, **others))


def _features(detector: Detector, categories: Sequence[Category]) -> FeatureCache:
    """Of the frozen encoder, hence the same for all variants and seeds."""
    splits = [split_good(category, seed=0) for category in categories]
    return cache_features(detector, training_tensors(splits, side=detector.side, resize=_RESIZE))


def _run(
    detector: Detector, cache: FeatureCache, test: Sequence[Category], options: argparse.Namespace, seed: int
) -> dict[str, Any]:
    detector.set_feature_statistics(*cache.channel_statistics())
    trainer = Trainer(
        detector, cache, TrainingConfig(steps=options.steps, batch_size=options.batch_size, seed=seed)
    )
    started = os.times()
    loss = [step.loss for step in trainer.steps()][-1]
    spent = os.times()
    report = evaluate(DetectorRunner(detector), test, resize=_RESIZE)
    return {
        **report.mean(),
        "categories": {name: category.to_json() for name, category in report.categories.items()},
        "final_loss": loss,
        "steps": options.steps,
        "seconds": round(trainer.seconds, 1),
        "cpu_seconds": round(spent.user + spent.system - started.user - started.system, 1),
        "parameters": sum(parameter.numel() for parameter in detector.decoder.parameters()),
    }


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablations", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--data", type=Path, required=True, metavar="ROOT", help="good images to train on")
    parser.add_argument(
        "--test", type=Path, required=True, metavar="ROOT", help="labeled images to measure on"
    )
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--side", type=int, default=128, help="input side; default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument(
        "--json", type=Path, required=True, metavar="FILE", help="result file, continued if it exists"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
