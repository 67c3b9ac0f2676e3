"""The MambaAD decoder: names, sizes, layout, initialisation, and the maps it takes or refuses."""

from itertools import product
from typing import Any

import pytest
import torch
from timm.layers.drop import DropPath
from torch import nn

from mambaad_demo.models import build_decoder
from mambaad_demo.models.blocks import scan_blocks
from mambaad_demo.ops.scan_order import scan_directions
from tests.models.small import random_tensor, small_decoder

ENCODER_AND_FUSION = 8_170_304 + 1_458_304
Shapes = dict[str, tuple[int, ...]]


def scan_block_shapes(c: int, *, k: int, n: int) -> Shapes:
    d, r = 2 * c, -(-c // 16)
    return {
        "norm.weight": (c,),
        "norm.bias": (c,),
        "in_proj.weight": (2 * d, c),
        "conv.weight": (d, 1, 3, 3),
        "conv.bias": (d,),
        "x_proj": (k, r + 2 * n, d),
        "dt_weight": (k, r, d),
        "dt_bias": (k, d),
        "a_log": (k, n, d),
        "d": (k, d),
        "out_norm.weight": (d,),
        "out_norm.bias": (d,),
        "out_proj.weight": (c, d),
    }


def module_shapes(c: int, blocks: int, *, k: int, n: int) -> Shapes:
    shapes = {"merge.weight": (c, 3 * c, 1, 1), "merge.bias": (c,)}
    for block in range(blocks):
        shapes |= {f"blocks.{block}.{name}": s for name, s in scan_block_shapes(c, k=k, n=n).items()}
    for size in (5, 7):
        for side in ("before", "after"):
            shapes[f"local{size}.{side}.conv.weight"] = (c, c, 1, 1)
            shapes[f"local{size}.{side}.conv.bias"] = (c,)
        shapes[f"local{size}.depthwise.conv.weight"] = (c, 1, size, size)
    return shapes


def decoder_shapes(dims: tuple[int, ...], layout: list[tuple[int, int]], *, k: int, n: int) -> Shapes:
    """Every name with its shape; layout holds (modules, blocks per module) of each stage."""
    shapes: Shapes = {}
    for stage, (c, (modules, blocks)) in enumerate(zip(dims, layout, strict=True)):
        for layer, (name, shape) in product(range(modules), module_shapes(c, blocks, k=k, n=n).items()):
            shapes[f"stages.{stage}.layers.{layer}.{name}"] = shape
        if stage:
            shapes[f"stages.{stage}.upsample.expand.weight"] = (4 * c, 2 * c)
            shapes[f"stages.{stage}.upsample.norm.weight"] = (c,)
            shapes[f"stages.{stage}.upsample.norm.bias"] = (c,)
    return shapes


@pytest.mark.parametrize(
    ("depths", "layout"),
    [
        ((3, 4, 6, 3), [(1, 3), (2, 2), (2, 3), (1, 3)]),
        ((2, 2, 2, 2), [(1, 2)] * 4),
        ((2, 9, 2, 2), [(1, 2), (3, 3), (1, 2), (1, 2)]),
    ],
)
def test_names_and_shapes_are_pinned_because_checkpoints_depend_on_them(
    depths: tuple[int, ...], layout: list[tuple[int, int]]
) -> None:
    dims = (64, 32, 16, 8)
    decoder = build_decoder("mambaad", dims=dims, depths=depths, directions=4, state_dim=5)
    state = decoder.state_dict()
    assert {name: tuple(t.shape) for name, t in state.items()} == decoder_shapes(dims, layout, k=4, n=5)
    assert {t.dtype for t in state.values()} == {torch.float32}
    assert state.keys() == dict(decoder.named_parameters()).keys()


@pytest.mark.parametrize(
    ("options", "total"),
    [({}, 25.615e6), ({"directions": 4}, 23.05e6), ({"depths": (2, 2, 2, 2)}, 19.99e6)],
    ids=["published", "four directions", "shallow"],
)
def test_totals_are_the_published_ones(options: dict[str, Any], total: float) -> None:
    count = sum(parameter.numel() for parameter in build_decoder("mambaad", **options).parameters())
    # Published without index tables: 25.615 M; with them 25.65, 23.09 and 20.01 M.
    assert ENCODER_AND_FUSION + count == pytest.approx(total, abs=0.01e6)


def test_drop_path_rates_fall_from_the_coarsest_module_to_the_finest() -> None:
    decoder = small_decoder(depths=(3, 4, 6, 3))
    rates = [module.drop_prob for module in decoder.modules() if isinstance(module, DropPath)]
    expected = [0.2] * 3 + [0.16] * 2 + [0.1467] * 2 + [0.1067] * 3 + [0.0933] * 3 + [0.0267] * 3
    assert rates == pytest.approx(expected, abs=1e-4)


def test_scan_parameters_start_as_published() -> None:
    torch.manual_seed(0)
    decoder = small_decoder(dims=(128, 64, 32, 16), directions=8)
    for name, parameter in decoder.named_parameters():
        if name.endswith(".a_log"):
            rates = torch.arange(1.0, 17).log()[:, None].expand_as(parameter[0])
            torch.testing.assert_close(parameter, rates.expand_as(parameter))
        elif name.endswith(".d"):
            assert torch.equal(parameter, torch.ones_like(parameter))
        elif name.endswith("dt_bias"):
            steps = nn.functional.softplus(parameter)
            assert 0.99e-3 <= steps.min() < 2e-3
            assert 0.05 < steps.max() <= 0.101
        elif name.endswith("dt_weight"):
            bound = parameter.shape[1] ** -0.5
            assert 0.9 * bound < parameter.abs().max() <= bound
        elif name.endswith("x_proj"):
            bound = parameter.shape[2] ** -0.5
            assert 0.9 * bound < parameter.abs().max() <= bound


def test_other_weights_start_as_published() -> None:
    torch.manual_seed(0)
    for name, module in small_decoder(dims=(128, 64, 32, 16)).named_modules():
        if isinstance(module, nn.Linear):
            assert module.bias is None
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1), name
        elif isinstance(module, nn.Conv2d):
            size = module.kernel_size[0]
            spread = (2 / (size * size * module.out_channels / module.groups)) ** 0.5
            assert module.weight.std().item() == pytest.approx(spread, rel=0.2), name
            assert module.bias is None or not module.bias.any(), name
        elif isinstance(module, nn.LayerNorm):
            assert module.eps == 1e-5


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("side", [2, 4, 8])
def test_maps_come_finest_first_at_eight_four_and_two_times_the_side(batch: int, side: int) -> None:
    with torch.inference_mode():
        maps = small_decoder()(random_tensor(batch, 64, side, side))
    expected = [(batch, c, f * side, f * side) for c, f in ((8, 8), (16, 4), (32, 2))]
    assert [tuple(m.shape) for m in maps] == expected
    assert all(m.isfinite().all() and m.dtype == torch.float32 for m in maps)


def test_a_sample_is_decoded_alike_alone_and_in_a_batch() -> None:
    decoder, fused = small_decoder(), random_tensor(3, 64, 4, 4)
    with torch.inference_mode():
        for together, alone in zip(decoder(fused), decoder(fused[1:2]), strict=True):
            torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-4)


def test_path_and_directions_make_a_difference() -> None:
    fused = random_tensor(1, 64, 4, 4)
    with torch.inference_mode():
        hilbert, zigzag = (small_decoder(path=path)(fused)[0] for path in ("hilbert", "zigzag"))
        reference, distinct = (
            small_decoder(directions=8, direction_set=one)(fused)[0] for one in ("reference", "distinct")
        )
    assert not torch.equal(hilbert, zigzag)
    assert not torch.equal(reference, distinct)


@pytest.mark.parametrize("kernel", ["torch", "numba"])
def test_kernels_agree_on_maps_and_gradients(kernel: str) -> None:
    fused = random_tensor(2, 64, 4, 4)
    results = []
    for name in ("reference", kernel):
        decoder = small_decoder()
        for block in scan_blocks(decoder):
            block.kernel = name
        maps = decoder(fused)
        sum(m.square().mean() for m in maps).backward()
        results.append((maps, [parameter.grad for parameter in decoder.parameters()]))
    # Float32 through eight scan blocks and twenty norms, values and gradients of order one.
    torch.testing.assert_close(results[1][0], results[0][0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(results[1][1], results[0][1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("kernel", "side"), [("torch", 3), ("numba", 5)])
def test_a_decoder_first_used_for_inspection_can_be_trained_afterwards(kernel: str, side: int) -> None:
    # Sides that no other test uses, so that whatever is remembered is remembered from inference mode.
    decoder = small_decoder(path="zigzag")
    for block in scan_blocks(decoder):
        block.kernel = kernel
    with torch.inference_mode():
        decoder(random_tensor(1, 64, side, side))
    sum(m.mean() for m in decoder(random_tensor(1, 64, side, side))).backward()
    assert all(parameter.grad is not None for parameter in decoder.parameters())


def test_what_is_computed_on_a_device_without_data_is_not_remembered_for_others() -> None:
    with torch.device("meta"):
        scan_directions("scan", 11, 4)
    assert scan_directions("scan", 11, 4).device.type == "cpu"
    assert scan_directions("scan", 11, 4)[0, :3].tolist() == [0, 1, 2]


@pytest.mark.parametrize("depth", [0, 1, 5, 7])
def test_a_depth_that_would_leave_a_stage_empty_is_refused(depth: int) -> None:
    with pytest.raises(ValueError, match=rf"\b{depth}\b"):
        small_decoder(depths=(2, depth, 2, 2))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"dims": (64, 32, 16, 9)}, "9"),
        ({"dims": (64, 32, 16)}, "dims"),
        ({"depths": (2, 2, 2)}, "dims|depth"),
        ({"path": "spiral"}, "spiral"),
        ({"directions": 3}, "3"),
        ({"direction_set": "all"}, "all"),
        ({"state_dim": 0}, "state_dim"),
    ],
    ids=str,
)
def test_options_that_make_no_decoder_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        small_decoder(**options)


def test_an_unknown_decoder_or_option_is_named() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        build_decoder("nonsense")
    with pytest.raises(TypeError, match="colour"):
        build_decoder("mambaad", colour="blue")


@pytest.mark.parametrize(
    ("path", "height", "width"), [("hilbert", 3, 3), ("zorder", 6, 6), ("sweep", 4, 6), ("hilbert", 4, 8)]
)
def test_maps_the_path_cannot_walk_are_refused(path: str, height: int, width: int) -> None:
    with pytest.raises(ValueError, match=rf"\b({height}|{width})\b"):
        small_decoder(path=path)(random_tensor(1, 64, height, width))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator here")
def test_an_accelerator_gives_the_maps_of_the_processor() -> None:
    decoder, fused = small_decoder(), random_tensor(2, 64, 4, 4)
    with torch.inference_mode():
        on_cpu = decoder(fused)
        on_gpu = decoder.cuda()(fused.cuda())
    # Other summation orders and convolution algorithms in float32.
    torch.testing.assert_close([m.cpu() for m in on_gpu], on_cpu, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["mambaad", "pyramid_mamba", "mambaad_v2"])
def test_the_gradient_of_a_batch_is_the_sum_of_its_images(name: str) -> None:
    """Torch's instance norm alone gives a single channels-last image another gradient."""
    torch.manual_seed(0)
    decoder = build_decoder(name, dims=(64, 32, 16, 8), depths=(2, 2, 2, 2)).double().eval()
    images = random_tensor(3, 64, 4, 4).double()

    def gradients(parts: list[torch.Tensor]) -> list[torch.Tensor]:
        decoder.zero_grad()
        for part in parts:
            sum(found.square().sum() for found in decoder(part)).backward()
        return [parameter.grad.clone() for parameter in decoder.parameters()]

    for whole, single in zip(gradients([images]), gradients(list(images.split(1))), strict=True):
        torch.testing.assert_close(single, whole, rtol=1e-6, atol=1e-8)
