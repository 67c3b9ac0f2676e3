"""Train a decoder on the good images of MVTec-style folders and write a checkpoint folder.

    python -m train.train_decoder --decoder mambaad --data ROOT --minutes 30 --out runs/first

Runs alone or under `torchrun`/`accelerate launch`. An interrupted run goes on with `--resume`.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import JsonValue

from mambaad_demo.data.folders import find_categories
from mambaad_demo.errors import DemoError, InputError
from mambaad_demo.hub.checkpoints import resolve_device, round_to_half, save_checkpoint
from mambaad_demo.hub.remote import translated_errors
from mambaad_demo.hub.saving import require_writable
from mambaad_demo.hub.schemas import MOST_TILES, CheckpointConfig
from mambaad_demo.models import DECODERS, Detector, build_detector
from mambaad_demo.models.encoder import PACKAGED_ENCODER
from mambaad_demo.pipeline.calibration import calibrate
from mambaad_demo.pipeline.training import FeatureCache, Trainer, TrainingConfig, cache_features, processes
from mambaad_demo.pipeline.training_data import Split, model_inputs, split_good, training_tensors
from mambaad_demo.settings import Settings
from mambaad_demo.version import __version__
from train.recipes import default_detector
from train.results import require_parent, write_json

_SECONDS_BETWEEN_SAVES = 60
_SECONDS_BETWEEN_LINES = 15


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, calibrate, save; returns the exit code."""
    options = _parse(arguments)
    try:
        report = _run(options)
    except DemoError as error:
        print(f"train_decoder: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("train_decoder: stopped; run the same command with --resume to go on.", file=sys.stderr)
        return 130
    write_json(options.json, report)
    return 0


def _run(options: argparse.Namespace) -> dict[str, JsonValue]:
    require_writable(options.out, _name(options))
    require_parent(options.json)
    settings = Settings.from_env(os.environ)
    process = processes()
    device = process.device if process.num_processes > 1 else resolve_device(settings.device)
    config = _training_config(options)
    torch.manual_seed(options.seed)
    detector = _detector(options).to(device)
    detector.kernel = settings.kernel
    categories = find_categories(options.data, options.categories)
    splits = [split_good(category, seed=options.seed) for category in categories]
    started = time.perf_counter()
    images = training_tensors(
        splits, side=detector.side, resize=options.resize, tiles=options.tiles, seed=options.seed
    )
    cache = cache_features(detector, images)
    detector.set_feature_statistics(*cache.channel_statistics())
    seconds = time.perf_counter() - started
    what = "images" if options.tiles == 1 else "tiles of images"
    _say(f"{len(cache)} good {what} of {len(splits)} categories encoded in {seconds:.0f} s")
    losses = _fit(detector, cache, config, options)
    report: dict[str, JsonValue] = {
        "command": _command(options),
        **({"note": options.note} if options.note else {}),
        "decoder": options.decoder,
        "encoder": options.encoder,
        "categories": {split.category: len(split.train) for split in splits},
        "held_out": {split.category: len(split.held_out) for split in splits},
        "seed": options.seed,
        "resize": options.resize,
        "tiles": options.tiles,
        **losses,
        "device": device.type,
        "kernel": detector.resolved_kernel(device),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "version": __version__,
    }
    if process.is_main_process:
        _save(detector, splits, report, options)
    process.wait_for_everyone()
    return report


def _training_config(options: argparse.Namespace) -> TrainingConfig:
    try:
        return TrainingConfig(
            steps=options.steps,
            minutes=options.minutes,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            seed=options.seed,
        )
    except ValueError as error:
        raise InputError(str(error)) from error


def _detector(options: argparse.Namespace) -> Detector:
    try:
        with translated_errors(f"The encoder {options.encoder}"):
            return build_detector(default_detector(options.decoder, options.encoder))
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"No detector can be built over {options.encoder!r}: {error}") from error


def _name(options: argparse.Namespace) -> str:
    name: str = options.name or options.out.resolve().name
    return name


def _fit(
    detector: Detector, cache: FeatureCache, config: TrainingConfig, options: argparse.Namespace
) -> dict[str, JsonValue]:
    """Run the loop, printing and saving its state from time to time; returns figures for the report."""
    trainer = Trainer(detector, cache, config)
    state_path = _state_path(options.out)
    if options.resume and state_path.exists():
        trainer.load_state_dict(torch.load(state_path, map_location="cpu", weights_only=True))
    resumed_at = trainer.number
    recent: list[float] = []
    printed = saved = time.perf_counter()
    for step in trainer.steps():
        recent = [*recent[-49:], step.loss]
        now = time.perf_counter()
        if now - printed > _SECONDS_BETWEEN_LINES:
            printed = now
            _say(
                f"{step.progress:6.1%}  step {step.number}  loss {np.mean(recent):.4f}  {step.seconds:.0f} s"
            )
        if now - saved > _SECONDS_BETWEEN_SAVES:
            saved = now
            _save_state(trainer, state_path)
    _save_state(trainer, state_path)
    return {
        "steps": trainer.number,
        "resumed_at": resumed_at,
        "seconds": round(trainer.seconds, 1),
        "final_loss": float(np.mean(recent)) if recent else None,
    }


def _save(
    detector: Detector, splits: Sequence[Split], report: dict[str, JsonValue], options: argparse.Namespace
) -> None:
    """Round to what the file holds, set limits from held-out images, write the folder, drop the run's
    state."""
    detector = round_to_half(detector).eval()
    shape: dict[str, Any] = {"side": detector.side, "resize": options.resize, "tiles": options.tiles}
    calibration = calibrate(
        detector,
        {split.category: model_inputs(split.held_out, **shape) for split in splits},
    )
    samples = [splits[0].held_out[0], splits[-1].held_out[0]]
    golden = np.stack([item.tiles[len(item.tiles) // 2] for item in model_inputs(samples, **shape)])
    config = CheckpointConfig(
        name=_name(options),
        detector={},  # filled in on saving
        resize=options.resize,
        tiles=options.tiles,
        categories=tuple(split.category for split in splits),
        training=report,
    )
    save_checkpoint(
        options.out, detector, config, calibration, (golden * 255).round().astype(np.uint8), half=True
    )
    _state_path(options.out).unlink(missing_ok=True)
    _say(f"checkpoint written to {options.out}")


def _save_state(trainer: Trainer, path: Path) -> None:
    if processes().is_main_process:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".partial")
        torch.save(trainer.state_dict(), temporary)
        temporary.replace(path)


def _command(options: argparse.Namespace) -> str:
    """The run to repeat, with folders by their names only: it is published in the model card."""
    budget = f"--steps {options.steps}" if options.steps is not None else f"--minutes {options.minutes:g}"
    tiles = f" --tiles {options.tiles}" if options.tiles > 1 else ""
    roots = " ".join(root.resolve().name for root in options.data)
    return (
        f"python -m train.train_decoder --decoder {options.decoder} --encoder {options.encoder} "
        f"--data {roots} {budget} --seed {options.seed} --batch-size {options.batch_size} "
        f"--learning-rate {options.learning_rate:g} --resize {options.resize}{tiles} --out {options.out.name}"
    )


def _state_path(out: Path) -> Path:
    """Beside the checkpoint folder, which appears only when the run is complete."""
    return out.parent / f"{out.name}.training.pt"


def _say(line: str) -> None:
    if processes().is_main_process:
        print(line, flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m train.train_decoder", description=__doc__.split("\n")[0])
    parser.add_argument("--decoder", choices=sorted(DECODERS), default="mambaad")
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="ROOT")
    parser.add_argument("--categories", nargs="+", metavar="NAME", help="default: all that ROOT holds")
    parser.add_argument("--encoder", default=PACKAGED_ENCODER, help="timm model name; default: %(default)s")
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--steps", type=int)
    budget.add_argument("--minutes", type=float)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=8e-3)
    parser.add_argument("--resize", choices=("letterbox", "square"), default="letterbox")
    parser.add_argument(
        "--tiles",
        type=int,
        choices=range(1, MOST_TILES + 1),
        default=1,
        metavar="N",
        help=f"look at N (to {MOST_TILES}) overlapping tiles along the longer side; default: %(default)s",
    )
    parser.add_argument("--name", help="name of the checkpoint; default: the folder's")
    parser.add_argument("--note", help="a line for the model card, such as where the data came from")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint folder to write")
    parser.add_argument("--resume", action="store_true", help="go on where an interrupted run stopped")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures of the run here")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
