"""How fast checkpoints judge and learn on this machine: one image, batches, and training steps.

python -m train.benchmark --checkpoint mambaad --json speed.json

The pictures are noise, which takes as long as any other. The comparison with other programs and the table of
the README are `python -m benchmarks.run`'s business.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import JsonValue

from benchmarks.timing import in_turns, machine_facts, spread
from mambaad_demo.errors import DemoError, InputError
from mambaad_demo.hub.checkpoints import Checkpoint, embedded_names, load_checkpoint
from mambaad_demo.models.detector import Detector
from mambaad_demo.pipeline.cost import measure_cost
from mambaad_demo.pipeline.encoded_images import encode
from mambaad_demo.pipeline.inference import ModelInput
from mambaad_demo.pipeline.training import FeatureCache, Trainer, TrainingConfig, processes
from mambaad_demo.settings import Settings
from train.results import require_parent, write_json
from train.throughput import throughput

SEED = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; returns the exit code."""
    options = _parse(arguments)
    settings = Settings.from_env(os.environ)
    try:
        require_parent(options.json)
        names = options.checkpoint or list(embedded_names(settings.checkpoints))
        if not names:
            raise InputError("There are no checkpoints here. Name one with --checkpoint.")
        figures: dict[str, JsonValue] = {}
        for name in names:
            figures[name] = _measured(name, options, settings)
            if processes().is_main_process:
                print(_line(name, figures[name]), flush=True)
    except DemoError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    write_json(options.json, {"machine": machine_facts(), "repeats": options.repeats, "checkpoints": figures})
    return 0


def _measured(name: str, options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """All figures of a checkpoint; it is worthless afterwards, since it has learned noise."""
    checkpoint = load_checkpoint(
        name,
        device=options.device or settings.device,
        kernel=settings.kernel,
        precision=settings.precision,
        checkpoints_root=settings.checkpoints,
        versions_root=settings.versions,
        allowed_repos=settings.allowed_repos,
    )
    detector = checkpoint.detector
    if processes().num_processes > 1:
        detector.to(processes().device)
    device = next(detector.parameters()).device
    return {
        "decoder": detector.config.decoder,
        "encoder": detector.config.encoder,
        "device": device.type,
        "kernel": detector.resolved_kernel(device),
        "precision": detector.encoder.precision,
        "cost": measure_cost(detector, repeats=1).to_json(),
        "inference": _inference(detector, options.batch_sizes, options.repeats),
        "training": _training(checkpoint, options.training_batch, options.steps),
    }


def _inference(detector: Detector, batch_sizes: Sequence[int], repeats: int) -> dict[str, Any]:
    """Milliseconds of a pass from model-sized pixels to the map, by batch size, and images per second."""
    calls = {str(size): _pass(detector, size) for size in batch_sizes}
    figures: dict[str, Any] = {}
    for size, times in in_turns(calls, repeats).items():
        found = spread(times)
        figures[size] = {"ms": found, "images_per_second": round(1000 * int(size) / found["median"], 2)}
    return figures


def _pass(detector: Detector, batch_size: int) -> Callable[[], None]:
    generator = torch.Generator().manual_seed(SEED)
    images = torch.rand(batch_size, 3, detector.side, detector.side, generator=generator)
    images = images.to(next(detector.parameters()).device)

    def call() -> None:
        with torch.inference_mode():
            detector.anomaly_maps(images).cpu()  # which waits for the device

    return call


def _training(checkpoint: Checkpoint, batch_size: int, steps: int) -> dict[str, JsonValue]:
    """Throughput of training steps on the encoder's features of noise."""
    detector, random = checkpoint.detector, np.random.default_rng(SEED)
    inputs = [
        ModelInput.from_pixels(
            random.random((detector.side, detector.side, 3), dtype=np.float32),
            side=detector.side,
            resize=checkpoint.config.resize,
        )
        for _ in range(batch_size)
    ]
    scales = zip(*(image.features for image in encode(detector, inputs)), strict=True)
    cache = FeatureCache([torch.cat(scale) for scale in scales], [0] * batch_size)
    trainer = Trainer(detector, cache, TrainingConfig(steps=steps, batch_size=batch_size, seed=SEED))
    seconds, before = [], 0.0
    for step in trainer.steps():
        seconds.append(step.seconds - before)
        before = step.seconds
    return throughput(
        seconds,
        batch_size=batch_size,
        device=next(detector.parameters()).device,
        processes=processes().num_processes,
    )


def _line(name: str, figures: Any) -> str:
    passes = ", ".join(
        f"batch {size} {one['ms']['median'] / int(size):.1f} ms an image"
        for size, one in figures["inference"].items()
    )
    learned = figures["training"]
    return (
        f"{name}: {passes}; training {learned['images_per_second']:g} images a second; "
        f"{figures['device']}, {figures['kernel']}"
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m train.benchmark", description="Speed of judging and of learning on this machine."
    )
    parser.add_argument(
        "--checkpoint", nargs="+", metavar="NAME|DIR", help="what to measure; default: all that came along"
    )
    parser.add_argument(
        "--batch-sizes", type=_count, nargs="+", default=[1, 8], metavar="N", help="default: 1 8"
    )
    parser.add_argument(
        "--repeats", type=_count, default=7, metavar="N", help="passes of each size; default: %(default)s"
    )
    parser.add_argument(
        "--training-batch", type=_batch, default=8, metavar="N", help="images per step; default: %(default)s"
    )
    parser.add_argument(
        "--steps", type=_count, default=8, metavar="N", help="training steps; default: %(default)s"
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), help="default: MAMBAAD_DEVICE, else auto"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the numbers here")
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    """A number of times."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _batch(text: str) -> int:
    """Images that a training step needs."""
    if _count(text) < 2:
        raise argparse.ArgumentTypeError("a training step needs at least 2 images")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
