"""anomalib's PatchCore and EfficientAD beside ours: random weights, eager, channels-last, in one process.

They live in an environment of their own; README says how to make it.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from benchmarks.timing import Row, in_turns, ratio, spread
from mambaad_demo.models import DetectorConfig, build_detector

_VECTORS = 10_000
_NAMES = ("EfficientAD-S", "PatchCore-WRN-50")


def rows(repeats: int) -> list[Row]:
    """Our time as a multiple of each peer's, batch 1."""
    if find_spec("anomalib") is None:
        return [
            Row(name=f"MambaAD-ResNet-34 against {name}", target="<= 1.0x", note="not measured: no anomalib")
            for name in _NAMES
        ]
    torch.manual_seed(0)
    ours = build_detector(DetectorConfig(encoder="resnet34.bt_in1k", encoder_weights="random"))
    networks: dict[str, Any] = {"ours": ours.anomaly_maps, **dict(zip(_NAMES, _peers(), strict=True))}
    image = torch.rand(1, 3, 256, 256).contiguous(memory_format=torch.channels_last)
    calls = {name: _call(network, image) for name, network in networks.items()}
    figures = {name: spread(ms) for name, ms in in_turns(calls, repeats).items()}
    found = {name: ratio(figures["ours"], figures[name]) for name in _NAMES}
    return [
        Row(
            name=f"MambaAD-ResNet-34 against {name}",
            target="<= 1.0x",
            value=value,
            met=value <= 1,
            note="wall time, 256x256, batch 1, random weights, channels-last",
            spread={key: figures[key] for key in ("ours", name)},
        )
        for name, value in found.items()
    ]


def _peers() -> list[nn.Module]:
    models = "anomalib.models.image"
    efficient_ad = import_module(f"{models}.efficient_ad.torch_model").EfficientAdModel()
    patchcore = import_module(f"{models}.patchcore.torch_model").PatchcoreModel(
        layers=("layer2", "layer3"), backbone="wide_resnet50_2", pre_trained=False, num_neighbors=9
    )
    patchcore.memory_bank = torch.randn(_VECTORS, 1536)
    return [model.eval().to(memory_format=torch.channels_last) for model in (efficient_ad, patchcore)]


def _call(network: Callable[[torch.Tensor], object], image: torch.Tensor) -> Callable[[], object]:
    def call() -> None:
        with torch.inference_mode():
            network(image)

    return call
