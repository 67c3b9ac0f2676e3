"""Small networks that still have every part, and random inputs for them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mambaad_demo.models import Detector, DetectorConfig, build_decoder, build_detector
from mambaad_demo.models.decoder import Decoder

OPTIONS: dict[str, Any] = {"dims": (64, 32, 16, 8), "depths": (2, 2, 2, 2), "directions": 2}


def small_config(*, options: Mapping[str, Any] = {}, **changes: Any) -> DetectorConfig:
    """A random encoder and a decoder an eighth as wide as the published one."""
    values = {"encoder_weights": "random", "input_side": 128, **changes}
    return DetectorConfig(decoder_options={**OPTIONS, **options}, **values)


def small_detector(*, seed: int = 0, options: Mapping[str, Any] = {}, **changes: Any) -> Detector:
    torch.manual_seed(seed)
    return build_detector(small_config(options=options, **changes)).eval()


def small_decoder(*, seed: int = 0, **options: Any) -> Decoder:
    torch.manual_seed(seed)
    return build_decoder("mambaad", **{**OPTIONS, **options}).eval()


def random_tensor(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def assert_same_state(now: Mapping[str, Tensor], then: Mapping[str, Tensor]) -> None:
    """Same names, same bits."""
    assert now.keys() == then.keys()
    assert [name for name in now if not torch.equal(now[name], then[name])] == []


def copied_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in state.items()}
