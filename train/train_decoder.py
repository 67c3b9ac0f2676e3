"""Train a decoder on the good images of MVTec-style folders and write a checkpoint folder.

    python -m train.train_decoder --recipe standard --data ROOT --out runs/first

Runs alone or under `torchrun`/`accelerate launch`. An interrupted run goes on with `--resume`.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
from mambaad_demo.hub.schemas import CheckpointConfig
from mambaad_demo.models import Detector, DetectorConfig, build_detector
from mambaad_demo.pipeline.calibration import calibrate
from mambaad_demo.pipeline.training import FeatureCache, Trainer, TrainingConfig, cache_features, processes
from mambaad_demo.pipeline.training_data import Split, model_inputs, split_good, training_tensors
from mambaad_demo.settings import Settings
from mambaad_demo.version import __version__
from train.decoder_options import changes, chosen_recipe, command, parse
from train.held_out_loss import HeldOutLoss
from train.recipes import Recipe
from train.results import require_parent, write_json
from train.run_log import described, require_log_folder, run_log
from train.throughput import throughput

_SECONDS_BETWEEN_SAVES = 60
_SECONDS_BETWEEN_LINES = 15


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, calibrate, save; returns the exit code."""
    options = parse(arguments, description=__doc__.split("\n")[0])
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What one run works with."""

    options: argparse.Namespace
    recipe: Recipe
    config: TrainingConfig
    """The recipe's training over the images there are."""
    detector: Detector
    splits: list[Split]
    cache: FeatureCache


def _run(options: argparse.Namespace) -> dict[str, JsonValue]:
    require_writable(options.out, _name(options))
    require_parent(options.json)
    if processes().is_main_process:
        require_log_folder(options.logs, resume=options.resume)
    recipe = chosen_recipe(options)
    run = _prepared(recipe, options)
    report = {**_facts(run), **_fit(run), **_machine(run.detector)}
    if processes().is_main_process:
        _save(run, report)
    processes().wait_for_everyone()
    return report


def _prepared(recipe: Recipe, options: argparse.Namespace) -> _Run:
    """The network on its device, and the encoder's features of all training images."""
    settings = Settings.from_env(os.environ)
    process = processes()
    device = process.device if process.num_processes > 1 else resolve_device(settings.device)
    torch.manual_seed(recipe.training.seed)
    detector = _detector(recipe.detector).to(device)
    detector.kernel = settings.kernel
    categories = find_categories(options.data, options.categories)
    splits = [split_good(category, seed=recipe.training.seed) for category in categories]
    started = time.perf_counter()
    images = training_tensors(
        splits, side=detector.side, resize=recipe.resize, tiles=options.tiles, seed=recipe.training.seed
    )
    cache = cache_features(detector, images)
    if detector.config.standardize:
        detector.set_feature_statistics(*cache.channel_statistics())
    seconds = time.perf_counter() - started
    what = "images" if options.tiles == 1 else "tiles of images"
    _say(f"{len(cache)} good {what} of {len(splits)} categories encoded in {seconds:.0f} s")
    return _Run(
        options=options,
        recipe=recipe,
        config=recipe.training_on(len(cache)),
        detector=detector,
        splits=splits,
        cache=cache,
    )


def _detector(config: DetectorConfig) -> Detector:
    try:
        with translated_errors(f"The encoder {config.encoder}"):
            return build_detector(config)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"No detector can be built over {config.encoder!r}: {error}") from error


def _name(options: argparse.Namespace) -> str:
    name: str = options.name or options.out.resolve().name
    return name


def _facts(run: _Run) -> dict[str, JsonValue]:
    """What was asked for."""
    options, recipe = run.options, run.recipe
    return {
        "command": command(options),
        **({"note": options.note} if options.note else {}),
        **({"datasets": list(options.dataset)} if options.dataset else {}),
        "recipe": {
            "name": options.recipe,
            "description": recipe.description,
            "source": recipe.source,
            "departures": recipe.departures,
            "changed": changes(options) or "nothing",
        },
        "decoder": recipe.detector.decoder,
        "encoder": recipe.detector.encoder,
        "categories": {split.category: len(split.train) for split in run.splits},
        "held_out": {split.category: len(split.held_out) for split in run.splits},
        "seed": run.config.seed,
        "resize": recipe.resize,
        "tiles": options.tiles,
        "settings": {"epochs": recipe.epochs, **asdict(run.config)},
    }


def _machine(detector: Detector) -> dict[str, JsonValue]:
    """What computed, by which versions."""
    device = next(detector.parameters()).device
    return {
        "device": device.type,
        "kernel": detector.resolved_kernel(device),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "version": __version__,
    }


def _fit(run: _Run) -> dict[str, JsonValue]:
    """Run the loop, printing, logging and saving its state from time to time; returns figures for the
    report."""
    progress = _Progress(run)
    trainer = progress.trainer
    resumed_at, started_at = trainer.number, trainer.seconds
    folder = run.options.logs if processes().is_main_process else None
    if folder is not None:
        _say(described(folder))
    durations: list[float] = []
    recent: list[float] = []
    with run_log(folder, resumed_at=resumed_at) as log:
        for step in trainer.steps():
            durations.append(step.seconds - started_at)
            started_at = step.seconds
            recent = [*recent[-49:], step.loss]
            log.write(step, progress.validated(step.number, step.progress))
            progress.report(
                f"{step.progress:6.1%}  step {step.number}  loss {np.mean(recent):.4f}  {step.seconds:.0f} s"
            )
    progress.save()
    device = next(run.detector.parameters()).device
    return {
        "steps": trainer.number,
        "resumed_at": resumed_at,
        "seconds": round(trainer.seconds, 1),
        "final_loss": float(np.mean(recent)) if recent else None,
        "validation": list(progress.validations),
        "throughput": throughput(
            durations,
            batch_size=run.config.batch_size,
            device=device,
            processes=processes().num_processes,
        ),
    }


class _Progress:
    """The trainer, what was measured beside it, and when that was last shown and saved."""

    def __init__(self, run: _Run) -> None:
        self.trainer = Trainer(run.detector, run.cache, run.config)
        self.validations: list[dict[str, JsonValue]] = []
        self._path = _state_path(run.options.out)
        self._held_out = _held_out_loss(run)
        if run.options.resume and self._path.exists():
            state = torch.load(self._path, map_location="cpu", weights_only=True)
            self.trainer.load_state_dict(state)
            self.validations = state.get("validations", [])
        self._printed = self._saved = time.perf_counter()

    def validated(self, step: int, progress: float) -> float | None:
        """The loss on held-out images where it is due, else None."""
        if self._held_out is None or not self._held_out.is_due(progress):
            return None
        loss = self._held_out.measure()
        self.validations.append({"step": step, "loss": loss})
        return loss

    def report(self, line: str) -> None:
        """Print and save, each only from time to time."""
        now = time.perf_counter()
        if now - self._printed > _SECONDS_BETWEEN_LINES:
            self._printed = now
            _say(line)
        if now - self._saved > _SECONDS_BETWEEN_SAVES:
            self._saved = now
            self.save()

    def save(self) -> None:
        """Write the state that `--resume` reads."""
        if processes().is_main_process:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._path.with_suffix(".partial")
            torch.save({**self.trainer.state_dict(), "validations": self.validations}, temporary)
            temporary.replace(self._path)


def _held_out_loss(run: _Run) -> HeldOutLoss | None:
    """Measured by one process; the others wait for it at their next step."""
    if run.options.validations == 0 or not processes().is_main_process:
        return None
    return HeldOutLoss(
        run.detector,
        run.splits,
        run.config,
        resize=run.recipe.resize,
        tiles=run.options.tiles,
        times=run.options.validations,
    )


def _save(run: _Run, report: Mapping[str, JsonValue]) -> None:
    """Round to what the file holds, set limits from held-out images, write the folder, drop the run's
    state."""
    options, splits = run.options, run.splits
    detector = round_to_half(run.detector).eval()
    shape: dict[str, Any] = {"side": detector.side, "resize": run.recipe.resize, "tiles": options.tiles}
    calibration = calibrate(
        detector,
        {split.category: model_inputs(split.held_out, **shape) for split in splits},
    )
    samples = [splits[0].held_out[0], splits[-1].held_out[0]]
    golden = np.stack([item.tiles[len(item.tiles) // 2] for item in model_inputs(samples, **shape)])
    config = CheckpointConfig(
        name=_name(options),
        detector={},  # filled in on saving
        resize=run.recipe.resize,
        tiles=options.tiles,
        categories=tuple(split.category for split in splits),
        training=dict(report),
    )
    save_checkpoint(
        options.out, detector, config, calibration, (golden * 255).round().astype(np.uint8), half=True
    )
    _state_path(options.out).unlink(missing_ok=True)
    _say(f"checkpoint written to {options.out}")


def _state_path(out: Path) -> Path:
    """Beside the checkpoint folder, which appears only when the run is complete."""
    return out.parent / f"{out.name}.training.pt"


def _say(line: str) -> None:
    if processes().is_main_process:
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
