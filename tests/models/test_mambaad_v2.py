"""The MambaADv2 decoder: wavelets, the duality-enhanced scan block, sizes, options and what it refuses."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mambaad_demo.models import build_decoder
from mambaad_demo.models.blocks import scan_blocks
from mambaad_demo.models.decoder import Decoder
from mambaad_demo.models.mambaad_v2 import DualityScanBlock, FrequencyEnhancedConv, haar, inverse_haar
from mambaad_demo.ops.scan_order import scan_directions
from tests.models.small import assert_same_state, random_tensor
from tests.reference.mamba3 import duality_block

ENCODER_AND_FUSION = 8_170_304 + 1_458_304
SMALL: dict[str, Any] = {"dims": (64, 32, 16, 8), "depths": (2, 2, 2, 2), "state_dim": 8, "head_dim": 8}
# A few hundred float64 terms, then a norm.
FLOAT64 = 1e-10


def small_decoder(*, seed: int = 0, **options: Any) -> Decoder:
    torch.manual_seed(seed)
    return build_decoder("mambaad_v2", **{**SMALL, **options}).eval()


def random_block(stage: int = 3, *, seed: int = 0, **options: Any) -> DualityScanBlock:
    """The first scan block of a stage in float64, weights far enough from their start to count."""
    block = small_decoder(seed=seed, **options).stages[stage].layers[0].blocks[0].double()
    assert isinstance(block, DualityScanBlock)
    generator = torch.Generator().manual_seed(7)
    for name, parameter in block.named_parameters():
        # Where a weight starts near zero, as much again of order one; elsewhere a disturbance.
        size = 1.0 if name in ("x_proj.weight", "gate") else 0.3
        parameter.data.add_(size * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    block.dt_bias.data.add_(2)  # steps of order a tenth: the past counts
    return block


def random_map(*shape: int, seed: int = 0) -> Tensor:
    return 4 * (random_tensor(*shape, seed=seed).double() - 0.5)


def by_hand(block: DualityScanBlock, x: Tensor, order: Tensor, **options: Any) -> Tensor:
    state = {name: tensor.detach().numpy() for name, tensor in block.state_dict().items()}
    return torch.stack(
        [torch.from_numpy(duality_block(state, sample, order.numpy(), **options)) for sample in x.numpy()]
    )


# Wavelets


def test_the_four_bands_of_a_block_are_sum_rows_columns_and_diagonal() -> None:
    x = torch.tensor([[7.0, 1.0], [2.0, 4.0]])[None, None]
    assert haar(x).flatten().tolist() == [7.0, 1.0, 2.0, 4.0]  # (a ± b ± c ± d) / 2
    x = torch.tensor([[1.0, 2.0], [4.0, 9.0]])[None, None]
    assert haar(x).flatten().tolist() == [8.0, -5.0, -3.0, 2.0]


def test_bands_lie_behind_one_another_for_each_channel() -> None:
    x = random_tensor(2, 3, 4, 6)
    bands = haar(x)
    assert bands.shape == (2, 12, 2, 3)
    a, b, c, d = x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]
    expected = [a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d]
    torch.testing.assert_close(bands, torch.stack(expected, dim=2).flatten(1, 2) / 2)


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (2, 3, 4, 6), (1, 5, 8, 8)], ids=str)
def test_the_wavelet_transform_keeps_the_energy_and_is_undone_by_its_transpose(
    shape: tuple[int, ...],
) -> None:
    x = random_map(*shape)
    bands = haar(x)
    torch.testing.assert_close(bands.square().sum((1, 2, 3)), x.square().sum((1, 2, 3)), rtol=1e-12, atol=0)
    torch.testing.assert_close(inverse_haar(bands), x, rtol=1e-12, atol=1e-12)
    other = random_map(*bands.shape, seed=1)
    torch.testing.assert_close(haar(inverse_haar(other)), other, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close((bands * other).sum(), (x * inverse_haar(other)).sum(), rtol=1e-12, atol=1e-12)


def test_a_flat_map_has_one_band_only() -> None:
    bands = haar(torch.ones(1, 1, 4, 4))
    assert torch.equal(bands[:, 0], torch.full((1, 2, 2), 2.0))
    assert not bands[:, 1:].any()


@pytest.mark.parametrize(("height", "width"), [(3, 4), (4, 5), (1, 1), (7, 7)])
def test_odd_sides_are_refused(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=rf"\b({height}|{width})\b"):
        haar(torch.zeros(1, 2, height, width))


def frequency_conv(kernel_size: int) -> FrequencyEnhancedConv:
    torch.manual_seed(0)
    return FrequencyEnhancedConv(3, kernel_size)


@pytest.mark.parametrize("kernel_size", [5, 7])
def test_parts_of_the_frequency_convolution_are_as_designed(kernel_size: int) -> None:
    module = frequency_conv(kernel_size)
    shapes = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    assert shapes == {
        "conv.weight": (3, 1, kernel_size, kernel_size),
        "bands.weight": (12, 1, 3, 3),
        "scale": (12,),
    }
    assert torch.equal(module.scale, torch.full((12,), 0.1))


@pytest.mark.parametrize("kernel_size", [5, 7])
def test_wavelets_left_as_they_are_add_the_map_itself(kernel_size: int) -> None:
    module, x = frequency_conv(kernel_size), random_tensor(2, 3, 6, 8)
    with torch.no_grad():
        module.bands.weight.zero_()
        module.bands.weight[:, :, 1, 1] = 1
        module.scale.fill_(1)
        convolved = module.conv(x)
        torch.testing.assert_close(module(x), F.silu(F.instance_norm(convolved + x)), rtol=1e-4, atol=1e-5)
        module.conv.weight.zero_()
        torch.testing.assert_close(module(x), F.silu(F.instance_norm(x)), rtol=1e-4, atol=1e-5)


def test_the_frequency_convolution_is_the_sum_of_its_two_paths_scaled_band_by_band() -> None:
    module, x = frequency_conv(5), random_tensor(2, 3, 4, 4)
    with torch.no_grad():
        module.scale.copy_(torch.linspace(-1, 2, 12))
        bands = F.conv2d(haar(x), module.bands.weight, padding=1, groups=12) * module.scale[:, None, None]
        total = F.conv2d(x, module.conv.weight, padding=2, groups=3) + inverse_haar(bands)
        # Float32 divided by the spread of sixteen cells.
        torch.testing.assert_close(module(x), F.silu(F.instance_norm(total)), rtol=1e-4, atol=1e-5)


# Sizes and layout


@pytest.mark.parametrize(
    ("options", "total"),
    [({}, 21.75e6), ({"directions": 8}, 24.41e6), ({"state_dim": 64}, 22.49e6)],
    ids=["default", "eight directions", "64 states"],
)
def test_totals_are_the_designed_ones(options: dict[str, Any], total: float) -> None:
    count = sum(parameter.numel() for parameter in build_decoder("mambaad_v2", **options).parameters())
    assert ENCODER_AND_FUSION + count == pytest.approx(total, rel=0.005)


def test_directions_grow_towards_the_finest_map() -> None:
    def per_stage(decoder: Decoder) -> list[set[int]]:
        return [{len(block.d) for block in scan_blocks(stage)} for stage in decoder.stages]

    assert per_stage(small_decoder()) == [{2}, {2}, {4}, {8}]
    assert per_stage(small_decoder(directions=(8, 4, 2, 2))) == [{8}, {4}, {2}, {2}]
    assert per_stage(small_decoder(directions=4)) == [{4}] * 4
    assert_same_state(
        small_decoder(directions=4).state_dict(), small_decoder(directions=[4, 4, 4, 4]).state_dict()
    )


def test_local_branches_couple_both_kernel_sizes_with_wavelets() -> None:
    for module in small_decoder(frequency="haar").modules():
        if isinstance(module, FrequencyEnhancedConv):
            assert module.bands.kernel_size == (3, 3)
    kernels = [
        module.conv.kernel_size[0]
        for module in small_decoder().modules()
        if isinstance(module, FrequencyEnhancedConv)
    ]
    assert kernels == [5, 7] * 4


def test_scan_parameters_start_as_designed() -> None:
    for block in scan_blocks(small_decoder(dims=(128, 64, 32, 16), gate="softmax")):
        assert isinstance(block, DualityScanBlock)
        steps = F.softplus(block.dt_bias)
        assert 0.99e-3 <= steps.min() < steps.max() <= 0.101
        for ones in (block.k_norm, block.q_norm, block.k_bias, block.q_bias, block.d):
            assert torch.equal(ones, torch.ones_like(ones))
        assert not block.gate.any()
    every_step = torch.cat([F.softplus(b.dt_bias).flatten() for b in scan_blocks(small_decoder())])
    assert every_step.min() < 2e-3
    assert every_step.max() > 0.05


def test_linear_weights_start_as_in_the_other_decoders() -> None:
    for name, module in small_decoder(dims=(128, 64, 32, 16)).named_modules():
        if isinstance(module, nn.Linear):
            assert module.bias is None
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1), name
        elif isinstance(module, nn.LayerNorm):
            assert module.eps == 1e-5


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("side", [2, 4])
def test_maps_come_finest_first_at_eight_four_and_two_times_the_side(batch: int, side: int) -> None:
    with torch.inference_mode():
        maps = small_decoder()(random_tensor(batch, 64, side, side))
    expected = [(batch, c, f * side, f * side) for c, f in ((8, 8), (16, 4), (32, 2))]
    assert [tuple(m.shape) for m in maps] == expected
    assert all(m.isfinite().all() and m.dtype == torch.float32 for m in maps)


def test_a_path_that_walks_any_side_takes_sides_that_are_no_power_of_two() -> None:
    with torch.inference_mode():
        assert small_decoder(path="scan")(random_tensor(1, 64, 6, 6))[0].shape == (1, 8, 48, 48)


# The scan block


@pytest.mark.parametrize("kernel", ["auto", "torch", "reference"])
@pytest.mark.parametrize(
    ("options", "pairs"),
    [
        ({}, 2),
        ({"directions": 2}, 2),
        ({"path": "zigzag", "direction_set": "reference"}, 2),
        ({"rope_fraction": 0}, 0),
        ({"rope_fraction": 1}, 4),
        ({"state_dim": 6}, 1),
        ({"state_dim": 2, "head_dim": 4}, 0),
        ({"head_dim": 16}, 2),
        ({"trapezoid": False}, 2),
        ({"decay": "heavy_tail"}, 2),
        ({"conv": True}, 2),
        ({"gate": "softmax"}, 2),
        ({"gate": "softmax", "conv": True, "trapezoid": False, "rope_fraction": 0}, 0),
    ],
    ids=str,
)
def test_a_block_equals_the_slow_derivation(kernel: str, options: dict[str, Any], pairs: int) -> None:
    block, x = random_block(**options), random_map(2, 4, 4, 8)
    block.kernel = kernel
    walk = {"path": "hilbert", "directions": 8, "direction_set": "distinct", **options}
    order = scan_directions(walk["path"], 4, walk["directions"], walk["direction_set"])
    known = {name: options[name] for name in ("decay", "trapezoid") if name in options}
    expected = by_hand(block, x, order, head_dim=options.get("head_dim", 8), pairs=pairs, **known)
    with torch.no_grad():
        torch.testing.assert_close(block(x), expected, rtol=FLOAT64, atol=FLOAT64)


def test_a_map_of_several_chunks_equals_the_slow_derivation() -> None:
    block, x = random_block(directions=2), random_map(1, 16, 16, 8)
    block.kernel = "torch"
    expected = by_hand(block, x, scan_directions("hilbert", 16, 2, "distinct"), head_dim=8, pairs=2)
    with torch.no_grad():
        torch.testing.assert_close(block(x), expected, rtol=FLOAT64, atol=FLOAT64)


def test_the_two_forms_agree_on_maps_and_gradients() -> None:
    fused = random_tensor(2, 64, 2, 2)
    results = []
    for kernel in ("reference", "torch"):
        decoder = small_decoder(gate="softmax", conv=True)
        for block in scan_blocks(decoder):
            block.kernel = kernel
        maps = decoder(fused)
        sum(m.square().mean() for m in maps).backward()
        results.append((maps, [parameter.grad for parameter in decoder.parameters()]))
    # Float32 through eight scan blocks and twenty norms, values and gradients of order one.
    torch.testing.assert_close(results[1][0], results[0][0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(results[1][1], results[0][1], rtol=1e-3, atol=1e-3)


def test_the_two_forms_agree_on_the_gradients_of_a_block() -> None:
    results = []
    for kernel in ("reference", "torch"):
        block, x = random_block(gate="softmax", conv=True), random_map(2, 8, 8, 8).requires_grad_()
        block.kernel = kernel
        (block(x) * random_map(2, 8, 8, 8, seed=1)).sum().backward()
        results.append({"x": x.grad} | {name: p.grad for name, p in block.named_parameters()})
    # Float64 throughout; gradients of order one to a hundred.
    torch.testing.assert_close(results[1], results[0], rtol=1e-8, atol=1e-8)


def test_every_scan_block_is_listed_with_a_kernel_to_choose() -> None:
    blocks = scan_blocks(small_decoder())
    assert [type(block) for block in blocks] == [DualityScanBlock] * 8
    assert {block.kernel for block in blocks} == {"auto"}


@pytest.mark.parametrize("value", [-1e6, -30.0, -3.0, -1.0, 0.0, 0.5, 30.0])
def test_decay_rates_are_those_of_the_chosen_activation(value: float) -> None:
    logit = torch.tensor([value], dtype=torch.float64)
    soft, heavy = (random_block(decay=name)._rate(logit) for name in ("softplus", "heavy_tail"))
    torch.testing.assert_close(soft, -F.softplus(logit).clamp_min(1e-4), rtol=1e-12, atol=0)
    expected = 1 + value if value >= 0 else 1 / (1 - value)
    assert heavy.item() == pytest.approx(-max(expected, 1e-4), rel=1e-12)


@pytest.mark.parametrize("decay", ["softplus", "heavy_tail"])
@pytest.mark.parametrize("value", [-1e6, -1.0, 0.0, 1.0, 1e6])
def test_decay_rates_have_finite_gradients(decay: str, value: float) -> None:
    logit = torch.tensor([value], requires_grad=True)
    random_block(decay=decay)._rate(logit).sum().backward()
    assert logit.grad is not None
    assert logit.grad.isfinite().all()


# Options


def test_an_open_gate_changes_nothing() -> None:
    gated, plain = small_decoder(gate="softmax"), small_decoder(seed=1)
    result = gated.load_state_dict(plain.state_dict(), strict=False)
    assert not result.unexpected_keys
    assert {name.rsplit(".", 1)[-1] for name in result.missing_keys} == {"gate"}
    fused = random_tensor(2, 64, 4, 4)
    with torch.inference_mode():
        for ours, expected in zip(gated(fused), plain(fused), strict=True):
            # K·softmax(0) is one but for rounding.
            torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
        for block in scan_blocks(gated):
            block.gate.copy_(10 * random_tensor(*block.gate.shape))
        assert not torch.allclose(gated(fused)[0], plain(fused)[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({}, 2 * 8 + 3 * 2 + 2),
        ({"rope_fraction": 0}, 2 * 8 + 3 * 2),
        ({"rope_fraction": 1}, 2 * 8 + 3 * 2 + 4),
        ({"state_dim": 6}, 2 * 6 + 3 * 2 + 1),  # half of six, made even, are one pair
        ({"head_dim": 4}, 2 * 8 + 3 * 4 + 2),
    ],
    ids=str,
)
def test_each_cell_is_projected_to_what_a_direction_needs(options: dict[str, Any], numbers: int) -> None:
    # 2N + 3h + S for each of the eight directions of the finest stage.
    assert len(scan_blocks(small_decoder(**options))[-1].x_proj.weight) == 8 * numbers


@pytest.mark.parametrize(
    ("options", "added", "removed"),
    [
        ({"conv": True}, {"conv.weight", "conv.bias"}, set()),
        ({"gate": "softmax"}, {"gate"}, set()),
        ({"frequency": "none"}, set(), {"bands.weight", "scale"}),
        ({"decay": "heavy_tail"}, set(), set()),
    ],
    ids=["conv", "gate", "frequency", "decay"],
)
def test_names_come_and_go_with_their_options(
    options: dict[str, Any], added: set[str], removed: set[str]
) -> None:
    plain, other = small_decoder().state_dict().keys(), small_decoder(**options).state_dict().keys()
    for names, expected in ((other - plain, added), (plain - other, removed)):
        ends = {end for name in names for end in (added | removed) if name.endswith("." + end)}
        assert ends == expected
        assert bool(names) == bool(expected)
    if "conv" in options:
        assert {name.split(".")[4] for name in other - plain} == {"blocks"}


def test_without_wavelets_the_local_branches_are_those_of_mambaad() -> None:
    torch.manual_seed(0)
    published = build_decoder("mambaad", dims=SMALL["dims"], depths=SMALL["depths"])
    ours = small_decoder(frequency="none")

    def local(decoder: Decoder) -> dict[str, Tensor]:
        return {name: t for name, t in decoder.state_dict().items() if ".blocks." not in name}

    ours.load_state_dict(local(published), strict=False)
    assert_same_state(local(ours), local(published))
    x = random_tensor(1, 8, 4, 4)
    with torch.inference_mode():
        branches = [decoder.stages[3].layers[0].local5(x) for decoder in (ours, published)]
    assert torch.equal(*branches)


@pytest.mark.parametrize(
    "options",
    [
        {"rope_fraction": 0},
        {"trapezoid": False},
        {"decay": "heavy_tail"},
        {"conv": True},
        {"frequency": "none"},
        {"path": "zigzag"},
        {"directions": (2, 2, 2, 2)},
        {"direction_set": "reference"},
    ],
    ids=str,
)
def test_each_option_makes_a_difference(options: dict[str, Any]) -> None:
    fused = random_tensor(1, 64, 2, 2)
    with torch.inference_mode():
        assert not torch.equal(small_decoder()(fused)[0], small_decoder(**options)(fused)[0])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"directions": (2, 2, 4)}, "directions"),
        ({"directions": (2, 2, 4, 8, 8)}, "directions"),
        ({"directions": ()}, "directions"),
        ({"directions": (2, 2, 4, 3)}, r"\b3\b"),
        ({"directions": 5}, r"\b5\b"),
        ({"gate": "sigmoid"}, "sigmoid"),
        ({"decay": "exp"}, "exp"),
        ({"frequency": "fourier"}, "fourier"),
        ({"path": "spiral"}, "spiral"),
        ({"direction_set": "all"}, "all"),
        ({"state_dim": 0}, "state_dim"),
        ({"head_dim": 0}, "head_dim|head"),
        ({"rope_fraction": -0.5}, "rope_fraction|-0.5"),
        ({"rope_fraction": 1.5}, "rope_fraction|1.5"),
        ({"dims": (64, 32, 16, 9)}, r"\b9\b"),
        ({"depths": (2, 5, 2, 2)}, r"\b5\b"),
    ],
    ids=str,
)
def test_options_that_make_no_decoder_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        small_decoder(**options)


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(TypeError, match="colour"):
        small_decoder(colour="blue")


@pytest.mark.parametrize(("path", "side"), [("hilbert", 6), ("scan", 3)])
def test_maps_that_cannot_be_walked_or_halved_are_refused(path: str, side: int) -> None:
    with pytest.raises(ValueError, match=rf"\b{side}\b"):
        small_decoder(path=path)(random_tensor(1, 64, side, side))


def test_without_wavelets_odd_sides_are_welcome() -> None:
    with torch.inference_mode():
        maps = small_decoder(path="scan", frequency="none")(random_tensor(1, 64, 3, 3))
    assert maps[0].shape == (1, 8, 24, 24)


# Use


def test_a_sample_is_decoded_alike_alone_and_in_a_batch() -> None:
    decoder, fused = small_decoder(gate="softmax"), random_tensor(3, 64, 4, 4)
    with torch.inference_mode():
        for together, alone in zip(decoder(fused), decoder(fused[1:2]), strict=True):
            torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"gate": "softmax", "conv": True, "decay": "heavy_tail"}], ids=str)
def test_gradients_reach_every_parameter(options: dict[str, Any]) -> None:
    decoder = small_decoder(**options)
    sum(m.square().mean() for m in decoder(random_tensor(2, 64, 4, 4))).backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    for block in scan_blocks(decoder):
        for name, parameter in block.named_parameters():
            assert parameter.grad.any(), name


def test_only_training_is_random() -> None:
    decoder, fused = small_decoder(), random_tensor(2, 64, 2, 2)
    with torch.inference_mode():
        assert all(map(torch.equal, decoder(fused), decoder(fused)))
        decoder.train()
        torch.manual_seed(0)
        runs = [decoder(fused)[0] for _ in range(8)]
    assert any(not torch.equal(runs[0], run) for run in runs[1:])  # paths are dropped


def test_a_decoder_first_used_for_inspection_can_be_trained_afterwards() -> None:
    # A side that no other test uses, so that whatever is remembered is remembered from inference mode.
    decoder, fused = small_decoder(path="zigzag", gate="softmax"), random_tensor(1, 64, 10, 10)
    with torch.inference_mode():
        decoder(fused)
    sum(m.mean() for m in decoder(fused)).backward()
    assert all(parameter.grad is not None for parameter in decoder.parameters())
