"""Whole networks, from model-sized pixels to the smoothed anomaly map, by the wall clock on all threads."""

from collections.abc import Callable

import torch

from benchmarks.timing import Row, in_turns, ratio, spread
from mambaad_demo import load_checkpoint
from mambaad_demo.models import Detector, DetectorConfig, build_detector

SEED = 0
_LOOP_REPEATS = 3  # the textbook loop takes some ten seconds


def rows(repeats: int, checkpoint: str) -> list[Row]:
    """The published size with random weights against its textbook loop, and against the default network."""
    torch.manual_seed(SEED)
    published = build_detector(DetectorConfig(encoder="resnet34.bt_in1k", encoder_weights="random"))
    default = load_checkpoint(checkpoint, device="cpu").detector
    times = in_turns({"published": _map(published), "default": _map(default)}, repeats)
    loop = in_turns({"fused": _map(published), "textbook": _map(published, "reference")}, _LOOP_REPEATS)
    batched = {
        f"{name} batch 8, per image": [ms / 8 for ms in in_turns({"": _map(net, batch=8)}, repeats)[""]]
        for name, net in (("published", published), ("default", default))
    }
    figures = {name: spread(ms) for name, ms in (times | loop | batched).items()}
    textbook, small = (
        ratio(figures["textbook"], figures["fused"]),
        ratio(figures["default"], figures["published"]),
    )
    return [
        Row(
            name="MambaAD-ResNet-34 against the textbook loop",
            target=">= 50x",
            value=textbook,
            met=textbook >= 50,
            note=f"wall time, 256x256, batch 1, random weights, {_LOOP_REPEATS} turns",
            spread={name: figures[name] for name in loop},
        ),
        Row(
            name="default network against MambaAD-ResNet-34",
            target="<= 0.5x",
            value=small,
            met=small <= 0.5,
            note=f"{checkpoint}: {default.config.encoder}, {len(default.decoder.dims)} stages; batch 1",
            spread={name: figures[name] for name in (*times, *batched)},
        ),
    ]


def _map(detector: Detector, kernel: str = "auto", *, batch: int = 1) -> Callable[[], object]:
    images = torch.rand(batch, 3, 256, 256, generator=torch.Generator().manual_seed(SEED))

    def call() -> None:
        detector.kernel = kernel
        with torch.inference_mode():
            detector.anomaly_maps(images)

    return call
