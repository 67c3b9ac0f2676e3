"""Our modules with published weights give what the published code gave."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from mambaad_demo.models import DetectorConfig, build_decoder, build_detector, build_fusion
from mambaad_demo.models.blocks import scan_blocks
from mambaad_demo.models.decoder import Decoder
from mambaad_demo.models.state_dicts import from_published
from tests.models.slow_fusion import fuse
from tests.models.small import random_tensor

# Float32 through 8 to 16 scan blocks and as many norms on values of order one; other summation orders.
TOLERANCE = 1e-4
kernels = pytest.mark.parametrize("kernel", ["torch", "numba"])


def recorded_state(recording: dict[str, Tensor]) -> dict[str, Tensor]:
    """Float32 throughout: some recordings store their weights, which are exact in it, in half precision."""
    prefix = "state."
    state = {name.removeprefix(prefix): t for name, t in recording.items() if name.startswith(prefix)}
    return {name: t.float() if t.is_floating_point() else t for name, t in state.items()}


def recorded_decoder(name: str, file: Path, kernel: str) -> Decoder:
    """A decoder of the recorded kind with fresh weights."""
    with safe_open(file, "pt") as opened:
        about = opened.metadata()
    walk = {"path": about["scan_type"], "directions": int(about["num_direction"])}
    decoder = build_decoder(
        name,
        dims=json.loads(about["dims"]),
        depths=json.loads(about["depths"]),
        state_dim=int(about["d_state"]),
        **(walk if name == "mambaad" else {}),
    )
    for block in scan_blocks(decoder):
        block.kernel = kernel
    return decoder.eval()


def assert_reproduces(name: str, file: Path, kernel: str) -> None:
    recording, decoder = load_file(file), recorded_decoder(name, file, kernel)
    decoder.load_state_dict(from_published(name, recorded_state(recording)), strict=True)
    with torch.inference_mode():
        outputs = decoder(recording["input"])
    assert len(outputs) == 3
    for scale, output in enumerate(outputs):
        torch.testing.assert_close(output, recording[f"output.{scale}"], rtol=0, atol=TOLERANCE)


@pytest.mark.golden
@kernels
@pytest.mark.parametrize(
    ("name", "file"),
    [("mambaad", "mambaad_hilbert8"), ("mambaad", "mambaad_scan4"), ("pyramid_mamba", "pyramid_mamba")],
)
def test_decoders_give_the_recorded_maps(golden: Path, name: str, file: str, kernel: str) -> None:
    assert_reproduces(name, golden / f"{file}.safetensors", kernel)


@pytest.mark.golden
def test_the_fusion_gives_the_recorded_map(golden: Path) -> None:
    recording = load_file(golden / "fusion.safetensors")
    state, features = recorded_state(recording), [recording[f"input.{scale}"] for scale in range(3)]
    fusion = build_fusion(block_layers=1).eval()
    fusion.load_state_dict(from_published("mambaad", state, part="fusion"), strict=True)
    with torch.inference_mode():
        fused = fusion(features)
    torch.testing.assert_close(fused, recording["output"], rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(fuse(state, features), recording["output"], rtol=0, atol=TOLERANCE)


def random_like_published(keys: dict[str, tuple[list[int], str]], seed: int) -> dict[str, Tensor]:
    """Random numbers for every published key; variances positive, index tables left as counters."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, (shape, kind) in keys.items():
        if kind == "int64":
            state[name] = torch.zeros(shape, dtype=torch.int64)
        elif name.endswith("running_var"):
            state[name] = 0.5 + torch.rand(shape, generator=generator)
        elif name.endswith("A_logs"):
            state[name] = torch.rand(shape, generator=generator)
        else:
            assert kind == "float32"
            state[name] = 0.05 * torch.randn(shape, generator=generator)
    return state


@pytest.mark.golden
@pytest.mark.parametrize(
    ("name", "prefix"), [("mambaad", ""), ("mambaad", "module."), ("pyramid_mamba", "module.")]
)
def test_a_full_published_checkpoint_loads_strictly_and_predicts(
    golden: Path, name: str, prefix: str
) -> None:
    keys = json.loads((golden / f"official_{name}_state_dict.json").read_text())["keys"]
    published = {prefix + name: tensor for name, tensor in random_like_published(keys, seed=0).items()}
    config = DetectorConfig(decoder=name, encoder="resnet34.bt_in1k", encoder_weights="random")
    detector = build_detector(config).eval()
    detector.load_state_dict(from_published(name, published, part="detector"), strict=True)
    with torch.inference_mode():
        maps = detector.anomaly_maps(random_tensor(1, 3, 256, 256))
    assert maps.shape == (1, 256, 256)
    assert maps.isfinite().all()
    assert 0 <= maps.min() < maps.max() <= 2
    stem = detector.state_dict()["encoder.backbone.conv1.weight"]
    assert torch.equal(stem, published[f"{prefix}net_t.conv1.weight"])
