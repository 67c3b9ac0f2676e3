"""The Pyramid-Mamba decoder: its quadrants, what each level adds, sizes, and what it refuses."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mambaad_demo.models import build_decoder
from mambaad_demo.models.blocks import ScanConfig, scan_blocks
from mambaad_demo.models.decoder import Decoder
from mambaad_demo.models.pyramid_mamba import PyramidScanBlock, join_quadrants, split_quadrants
from mambaad_demo.ops.scan_order import scan_directions
from tests.models.small import assert_same_state, random_tensor
from tests.reference.scan import selective_scan

ENCODER_AND_FUSION = 8_170_304 + 1_458_304
SMALL: dict[str, Any] = {"dims": (64, 32, 16, 8), "depths": (2, 2, 2, 2), "state_dim": 3}
SCAN = ScanConfig(path="sweep", directions=4, state_dim=3)
FLOAT64 = (
    1e-9  # A few hundred float64 terms, squared by the second level, then a norm that may divide by little.
)


def small_decoder(*, seed: int = 0, **options: Any) -> Decoder:
    torch.manual_seed(seed)
    return build_decoder("pyramid_mamba", **{**SMALL, **options}).eval()


def random_block(levels: int, *, min_side: int = 1, kernel: str = "torch") -> PyramidScanBlock:
    """Four channels in float64, weights far from their start so that every one of them counts."""
    torch.manual_seed(0)
    block = PyramidScanBlock(4, SCAN, levels=levels, min_side=min_side).double().eval()
    generator = torch.Generator().manual_seed(7)
    for parameter in block.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data.copy_(parameter + 0.3 * noise)
    block.dt_bias.data.add_(2)  # steps of order a tenth: the past counts
    block.kernel = kernel
    return block


def random_map(*shape: int, seed: int = 0) -> Tensor:
    return random_tensor(*shape, seed=seed).double() - 0.5


def scanned(block: PyramidScanBlock, x: Tensor) -> Tensor:
    """S of one map (S, S, D): the sum of its four directions, by the slow derivation."""
    side, cells = len(x), x.reshape(1, -1, x.shape[-1])
    steps = torch.einsum("kpd,bld->blkp", block.x_proj, cells)
    arguments = (cells, steps, block.dt_weight, block.dt_bias, -block.a_log.exp(), block.d.sum(0))
    arrays = [tensor.detach().numpy() for tensor in arguments]
    return torch.from_numpy(selective_scan(*arrays, scan_directions("sweep", side, 4).numpy())).reshape(
        x.shape
    )


def scanned_quadrants(block: PyramidScanBlock, x: Tensor, subdivisions: int) -> Tensor:
    """S of each quadrant, or of each quadrant of each quadrant, left where it lies."""
    if not subdivisions:
        return scanned(block, x)
    half, result = len(x) // 2, torch.empty_like(x)
    for rows in (slice(half), slice(half, None)):
        for columns in (slice(half), slice(half, None)):
            result[rows, columns] = scanned_quadrants(block, x[rows, columns], subdivisions - 1)
    return result


def by_hand(block: PyramidScanBlock, x: Tensor, terms: int) -> Tensor:
    """A block on one map (S, S, C), the mean of so many terms; each level is fed with the one before."""
    value, gate = F.linear(block.norm(x), block.in_proj.weight).chunk(2, dim=-1)
    value = F.silu(block.conv(value.movedim(-1, 0)[None])[0].movedim(0, -1)).detach()
    total = scanned(block, value)
    fed = value
    for subdivisions in range(1, terms):
        fed = scanned_quadrants(block, fed, subdivisions)
        total = total + fed
    return x + block.out_proj(block.out_norm(total / terms) * F.silu(gate))


def test_quadrants_are_the_four_corners_row_by_row() -> None:
    cells = torch.arange(16.0).reshape(1, 16, 1)
    quadrants = split_quadrants(cells)
    assert quadrants.shape == (4, 4, 1)
    corners = [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    assert sorted(quadrants[..., 0].tolist()) == corners


@pytest.mark.parametrize(("batch", "side"), [(1, 2), (3, 6), (2, 8)])
def test_joined_quadrants_are_the_map_again(batch: int, side: int) -> None:
    cells = random_tensor(batch, side * side, 5)
    quadrants = split_quadrants(cells)
    assert quadrants.shape == (4 * batch, side * side // 4, 5)
    assert torch.equal(join_quadrants(quadrants), cells)


def test_quadrants_of_quadrants_join_again() -> None:
    cells = random_tensor(2, 64, 3)
    small = split_quadrants(split_quadrants(cells))
    assert small.shape == (32, 4, 3)
    assert torch.equal(join_quadrants(join_quadrants(small)), cells)


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_the_total_is_the_published_one_whatever_the_levels(levels: int) -> None:
    decoder = build_decoder("pyramid_mamba", pyramid_levels=levels)
    count = sum(parameter.numel() for parameter in decoder.parameters())
    # Published with index tables: 23.10 M.
    assert ENCODER_AND_FUSION + count == pytest.approx(23.05e6, abs=0.01e6)


def test_one_level_and_quadrants_of_four_cells_a_side_are_the_default() -> None:
    fused = random_tensor(1, 64, 4, 4)
    with torch.inference_mode():
        maps, named = small_decoder()(fused), small_decoder(pyramid_levels=1, pyramid_min_side=4)(fused)
    assert all(map(torch.equal, maps, named))


def test_without_levels_it_is_mambaad_on_four_sweeps() -> None:
    pyramid = small_decoder(pyramid_levels=0)
    torch.manual_seed(1)
    plain = build_decoder("mambaad", **SMALL, path="sweep", directions=4).eval()
    plain.load_state_dict(pyramid.state_dict(), strict=True)
    assert_same_state(plain.state_dict(), pyramid.state_dict())
    fused = random_tensor(2, 64, 4, 4)
    with torch.inference_mode():
        for ours, expected in zip(pyramid(fused), plain(fused), strict=True):
            # The same sums in the same order, but for a division by one.
            torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)


def test_names_do_not_depend_on_the_levels() -> None:
    states = [small_decoder(pyramid_levels=levels).state_dict() for levels in (0, 1, 2)]
    for state in states[1:]:
        assert_same_state(state, states[0])


@pytest.mark.parametrize("side", [4, 8])
@pytest.mark.parametrize("levels", [0, 1, 2])
@pytest.mark.parametrize("kernel", ["reference", "torch", "numba"])
def test_each_level_adds_what_a_loop_over_quadrants_gives(kernel: str, levels: int, side: int) -> None:
    # Level 2 is fed with what came out of level 1, not with the map.
    block, x = random_block(levels, kernel=kernel), random_map(2, side, side, 4)
    with torch.no_grad():
        output = block(x)
        for sample, expected in zip(output, x, strict=True):
            by_loop = by_hand(block, expected, 1 + levels)
            torch.testing.assert_close(sample, by_loop, rtol=FLOAT64, atol=FLOAT64)


@pytest.mark.parametrize(
    ("side", "levels", "min_side", "terms"),
    [
        (4, 1, 2, 2),
        (4, 1, 3, 1),
        (4, 2, 2, 2),
        (8, 1, 4, 2),
        (8, 2, 4, 2),
        (8, 2, 2, 3),
        (8, 2, 5, 1),
        (6, 1, 3, 2),
        (6, 1, 4, 1),
        (6, 2, 3, 2),
        (12, 2, 3, 3),
        (12, 2, 4, 2),
    ],
)
def test_quadrants_smaller_than_the_smallest_are_left_out_of_the_mean(
    side: int, levels: int, min_side: int, terms: int
) -> None:
    block, x = random_block(levels, min_side=min_side), random_map(1, side, side, 4)
    with torch.no_grad():
        torch.testing.assert_close(block(x)[0], by_hand(block, x[0], terms), rtol=FLOAT64, atol=FLOAT64)


def test_each_level_makes_a_difference_only_where_its_quadrants_are_large_enough() -> None:
    fused = random_tensor(1, 64, 2, 2)
    with torch.inference_mode():
        # Maps of 2, 4, 8 and 16 cells: level 1 starts at the third stage, level 2 at the last.
        none, one, two = (small_decoder(pyramid_levels=levels)(fused) for levels in (0, 1, 2))
        large = small_decoder(pyramid_levels=2, pyramid_min_side=9)(fused)
    finest, middle, coarse = range(3)
    assert torch.equal(none[coarse], one[coarse])
    assert torch.equal(one[middle], two[middle])
    assert not torch.equal(none[middle], one[middle])
    assert not torch.equal(one[finest], two[finest])
    assert all(map(torch.equal, none, large))


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_a_map_mirrored_along_its_diagonal_comes_out_mirrored(levels: int) -> None:
    # Row-wise and column-wise scans change places, and so do the two axes of the convolution.
    block, mirrored = random_block(levels), random_block(levels)
    swap = torch.tensor([1, 0, 3, 2])
    for name in ("x_proj", "dt_weight", "dt_bias", "a_log", "d"):
        getattr(mirrored, name).data.copy_(getattr(block, name)[swap])
    mirrored.conv.weight.data.copy_(block.conv.weight.mT)
    x = random_map(2, 8, 8, 4)
    with torch.no_grad():
        output, expected = mirrored(x.transpose(1, 2)), block(x).transpose(1, 2)
    torch.testing.assert_close(output, expected, rtol=FLOAT64, atol=FLOAT64)


def direction_blind(levels: int) -> PyramidScanBlock:
    """A block whose four directions have the same weights and skip nothing; its convolution sees one cell."""
    block = random_block(levels)
    for name in ("x_proj", "dt_weight", "dt_bias", "a_log", "d"):
        parameter = getattr(block, name)
        parameter.data.copy_(parameter[:1].expand_as(parameter))
    centre = torch.zeros(3, 3, dtype=torch.float64)
    centre[1, 1] = 1
    block.conv.weight.data.mul_(centre)
    block.d.data.zero_()
    return block


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_a_constant_map_stays_symmetric_when_all_directions_weigh_the_same(levels: int) -> None:
    block = direction_blind(levels)
    x = random_map(1, 1, 1, 4).expand(1, 8, 8, 4)
    with torch.no_grad():
        output = block(x)
    assert output.std(dim=(1, 2)).max() > 1e-3  # it is not constant: cells see different pasts
    for other in (output.transpose(1, 2), output.flip(1, 2)):
        torch.testing.assert_close(output, other, rtol=FLOAT64, atol=FLOAT64)


def test_no_quadrant_learns_of_another_at_level_one() -> None:
    # The whole map is scanned as well: what a change far away does must be what it does without the level.
    x = random_map(1, 8, 8, 4)
    changed = x.clone()
    changed[:, 6, 6] += 1
    corner = (slice(None), slice(0, 4), slice(0, 4))

    def total(block: PyramidScanBlock, y: Tensor) -> Tensor:
        seen: list[Tensor] = []
        handle = block.out_norm.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
        with torch.no_grad():
            block(y)
        handle.remove()
        return seen[0].reshape(1, 8, 8, -1)[corner]

    without, with_level = ([total(random_block(n), y) for y in (x, changed)] for n in (0, 1))
    torch.testing.assert_close(
        2 * (with_level[1] - with_level[0]), without[1] - without[0], rtol=FLOAT64, atol=FLOAT64
    )


@pytest.mark.parametrize(("levels", "side"), [(0, 4), (1, 4), (2, 4), (2, 8), (1, 6), (2, 6), (1, 2)])
def test_maps_come_finest_first_at_any_side(levels: int, side: int) -> None:
    with torch.inference_mode():
        maps = small_decoder(pyramid_levels=levels)(random_tensor(2, 64, side, side))
    expected = [(2, c, f * side, f * side) for c, f in ((8, 8), (16, 4), (32, 2))]
    assert [tuple(m.shape) for m in maps] == expected
    assert all(m.isfinite().all() and m.dtype == torch.float32 for m in maps)


def test_a_sample_is_decoded_alike_alone_and_in_a_batch() -> None:
    decoder, fused = small_decoder(pyramid_levels=2), random_tensor(3, 64, 4, 4)
    with torch.inference_mode():
        for together, alone in zip(decoder(fused), decoder(fused[1:2]), strict=True):
            torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", ["torch", "numba"])
def test_kernels_agree_on_maps_and_gradients(kernel: str) -> None:
    fused = random_tensor(2, 64, 2, 2)
    results = []
    for name in ("reference", kernel):
        decoder = small_decoder(pyramid_levels=2)
        for block in scan_blocks(decoder):
            block.kernel = name
        maps = decoder(fused)
        sum(m.square().mean() for m in maps).backward()
        results.append((maps, [parameter.grad for parameter in decoder.parameters()]))
    # Float32 through eight scan blocks and twenty norms, values and gradients of order one.
    torch.testing.assert_close(results[1][0], results[0][0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(results[1][1], results[0][1], rtol=1e-3, atol=1e-3)


def test_every_scan_block_is_listed_with_a_kernel_to_choose() -> None:
    blocks = scan_blocks(small_decoder())
    assert [type(block) for block in blocks] == [PyramidScanBlock] * 8
    assert {block.kernel for block in blocks} == {"auto"}


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_gradients_reach_every_parameter(levels: int) -> None:
    decoder = small_decoder(pyramid_levels=levels).train()
    sum(m.square().mean() for m in decoder(random_tensor(2, 64, 4, 4))).backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    for block in scan_blocks(decoder)[:2]:
        assert all(parameter.grad.any() for parameter in block.parameters())


def test_only_training_is_random() -> None:
    decoder, fused = small_decoder(), random_tensor(2, 64, 4, 4)
    with torch.inference_mode():
        assert all(map(torch.equal, decoder(fused), decoder(fused)))
        decoder.train()
        torch.manual_seed(0)
        runs = [decoder(fused)[0] for _ in range(8)]
    assert any(not torch.equal(runs[0], run) for run in runs[1:])  # paths are dropped


def test_a_decoder_first_used_for_inspection_can_be_trained_afterwards() -> None:
    # A side that no other test uses, so that whatever is remembered is remembered from inference mode.
    decoder, fused = small_decoder(), random_tensor(1, 64, 5, 5)
    with torch.inference_mode():
        decoder(fused)
    sum(m.mean() for m in decoder(fused)).backward()
    assert all(parameter.grad is not None for parameter in decoder.parameters())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"pyramid_levels": 3}, "pyramid_levels.*3|3.*pyramid_levels"),
        ({"pyramid_levels": -1}, "pyramid_levels.*-1|-1.*pyramid_levels"),
        ({"pyramid_min_side": 0}, "pyramid_min_side.*0|0.*pyramid_min_side"),
        ({"pyramid_min_side": -4}, "pyramid_min_side.*-4|-4.*pyramid_min_side"),
        ({"state_dim": 0}, "state_dim"),
        ({"dims": (64, 32, 16, 9)}, "9"),
        ({"depths": (2, 5, 2, 2)}, "5"),
    ],
    ids=str,
)
def test_options_that_make_no_decoder_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        small_decoder(**options)


@pytest.mark.parametrize("option", ["path", "directions", "direction_set"])
def test_the_walk_is_no_option_of_this_decoder(option: str) -> None:
    with pytest.raises(TypeError, match=option):
        small_decoder(**{option: "hilbert"})


def test_maps_that_are_not_square_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\b6\b"):
        small_decoder()(random_tensor(1, 64, 4, 6))
