"""The fusion block: shapes, size, fresh weights, ReLU before each sum. Its numbers: see the state dicts."""

import pytest
import torch

from mambaad_demo.models import build_fusion
from tests.models.small import random_tensor

FEATURES = [(64, 64), (128, 32), (256, 16)]


@pytest.mark.parametrize("batch", [1, 3])
def test_three_maps_become_one_of_half_the_coarsest_side(batch: int) -> None:
    fusion = build_fusion().eval()
    fused = fusion([random_tensor(batch, channels, side, side) for channels, side in FEATURES])
    assert fused.shape == (batch, 512, 8, 8)
    assert fused.min() >= 0


def test_any_encoder_meets_any_decoder_width() -> None:
    fusion = build_fusion(in_channels=(24, 40, 112), dims=(128, 64, 32, 16), block_layers=1).eval()
    features = [random_tensor(2, c, side, side) for c, side in ((24, 24), (40, 12), (112, 6))]
    assert fusion(features).shape == (2, 128, 3, 3)


def test_the_size_is_the_published_one() -> None:
    assert sum(parameter.numel() for parameter in build_fusion().parameters()) == 1_458_304


def test_convolutions_start_kaiming_normal_and_norms_neutral() -> None:
    torch.manual_seed(0)
    for name, parameter in build_fusion(block_layers=1).named_parameters():
        if name.endswith("conv.weight"):
            fan_out = parameter.shape[0] * parameter[0, 0].numel()
            assert parameter.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.1), name
        elif ".norm." in name:
            assert torch.equal(parameter, torch.full_like(parameter, name.endswith("weight"))), name


def test_each_branch_is_rectified_before_the_sum() -> None:
    # A branch whose norm answers minus one adds nothing where it is rectified first.
    fusion = build_fusion(in_channels=(8, 8, 8), dims=(16, 8, 4, 2), block_layers=1).eval()
    features = [random_tensor(1, 8, side, side) for side in (16, 8, 4)]
    outputs = []
    with torch.no_grad():
        fusion.down1.norm.weight.zero_()
        for answer in (-1, 0, 1):
            fusion.down1.norm.bias.fill_(answer)
            outputs.append(fusion(features))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[1], outputs[2])
