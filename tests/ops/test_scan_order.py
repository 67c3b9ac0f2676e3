"""Scan orders against recorded and slowly derived ones, and what makes an order an order."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from mambaad_demo.ops.scan_order import scan_directions, scan_order
from tests.reference import scan as reference

PATHS = ("sweep", "scan", "zorder", "zigzag", "hilbert")
ANY_SIDE = ("sweep", "scan", "zigzag")
POWER_OF_TWO = ("zorder", "hilbert")
REFERENCE_VIEWS = ("id", "transpose", "rot90", "flip")
RECORDED = Path(__file__).parents[1] / "golden" / "scan_orders.safetensors"


def cells(order: Tensor, side: int) -> list[tuple[int, int]]:
    return [divmod(cell, side) for cell in order.tolist()]


def distinct_rows(directions: Tensor) -> int:
    return len({tuple(row) for row in directions.tolist()})


@pytest.mark.golden
def test_orders_equal_the_recorded_ones_of_the_published_code() -> None:
    recorded = load_file(RECORDED)
    assert {name.split(".")[0] for name in recorded} == set(PATHS)
    for name, expected in recorded.items():
        path, side = name.split(".")
        assert torch.equal(scan_order(path, int(side)), expected), name


@pytest.mark.parametrize(
    ("path", "first_cells"),
    [
        ("sweep", [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0)]),
        ("scan", [(0, 0), (0, 1), (0, 2), (0, 3), (1, 3), (1, 2), (1, 1), (1, 0), (2, 0)]),
        ("zorder", [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3), (1, 2)]),
        ("zigzag", [(0, 0), (0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3)]),
        ("hilbert", [(0, 0), (0, 1), (1, 1), (1, 0), (2, 0), (3, 0), (3, 1)]),
    ],
)
def test_each_path_starts_over_a_four_by_four_map_as_defined(
    path: str, first_cells: list[tuple[int, int]]
) -> None:
    assert cells(scan_order(path, 4), 4)[: len(first_cells)] == first_cells


@pytest.mark.parametrize("side", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("path", PATHS)
def test_paths_equal_the_slow_derivation(path: str, side: int) -> None:
    assert cells(scan_order(path, side), side) == reference.path_cells(path, side)


@pytest.mark.parametrize("path", ANY_SIDE)
@settings(max_examples=10, deadline=None, derandomize=True)
@given(side=st.integers(1, 40))
def test_sweep_scan_and_zigzag_walk_any_square(path: str, side: int) -> None:
    order = scan_order(path, side)
    assert order.dtype == torch.int64
    assert sorted(order.tolist()) == list(range(side * side))
    assert cells(order, side) == reference.path_cells(path, side)


@pytest.mark.parametrize("direction_set", ["reference", "distinct"])
@pytest.mark.parametrize("path", PATHS)
def test_every_direction_is_a_permutation_that_its_inverse_undoes(path: str, direction_set: str) -> None:
    directions = scan_directions(path, 8, 8, direction_set)
    assert directions.dtype == torch.int64
    for order in directions:
        assert torch.equal(order.sort().values, torch.arange(64))
        assert torch.equal(order[order.argsort()], torch.arange(64))


def test_gathering_and_putting_back_returns_the_map() -> None:
    sequence = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    for order in scan_directions("hilbert", 8, 8):
        assert torch.equal(sequence[:, order][:, order.argsort()], sequence)


@pytest.mark.parametrize("direction_set", ["reference", "distinct"])
@pytest.mark.parametrize(("path", "side"), [("hilbert", 2), ("hilbert", 32), ("scan", 7), ("scan", 16)])
def test_hilbert_and_boustrophedon_move_one_cell_at_a_time_in_every_direction(
    path: str, side: int, direction_set: str
) -> None:
    for order in scan_directions(path, side, 8, direction_set):
        for (row, column), (next_row, next_column) in pairwise(cells(order, side)):
            assert abs(row - next_row) + abs(column - next_column) == 1


@pytest.mark.parametrize("side", [2, 4, 8, 16, 32, 64])
def test_hilbert_runs_from_the_top_left_to_the_top_right(side: int) -> None:
    order = cells(scan_order("hilbert", side), side)
    assert (order[0], order[-1]) == ((0, 0), (0, side - 1))


@pytest.mark.parametrize(
    ("path", "direction_set", "count"),
    [
        ("sweep", "reference", 8),
        ("zorder", "reference", 8),
        ("zigzag", "reference", 8),
        ("hilbert", "reference", 6),
        ("scan", "reference", 6),
        ("hilbert", "distinct", 8),
        ("scan", "distinct", 8),
        ("sweep", "distinct", 8),
        ("zorder", "distinct", 8),
        ("zigzag", "distinct", 8),
    ],
)
def test_eight_directions_hold_as_many_different_orders_as_the_table_says(
    path: str, direction_set: str, count: int
) -> None:
    assert distinct_rows(scan_directions(path, 8, 8, direction_set)) == count


def test_the_repeated_directions_are_the_ones_published_weights_know() -> None:
    hilbert, scan = scan_directions("hilbert", 8, 8), scan_directions("scan", 8, 8)
    assert torch.equal(hilbert[0], hilbert[7])  # as it is, forwards = mirrored, backwards
    assert torch.equal(hilbert[4], hilbert[3])
    assert torch.equal(scan[1], scan[6])  # transposed, forwards = turned, backwards
    assert torch.equal(scan[5], scan[2])


@pytest.mark.parametrize("directions", [2, 4, 8])
@pytest.mark.parametrize(
    ("path", "side"), [("sweep", 5), ("scan", 5), ("zigzag", 5), ("zorder", 4), ("hilbert", 8)]
)
def test_reference_directions_equal_walking_the_turned_map_then_walking_back(
    path: str, side: int, directions: int
) -> None:
    views = REFERENCE_VIEWS[: directions // 2]
    forwards = [reference.viewed_order(path, side, view) for view in views]
    backwards = [order[::-1] for order in forwards]
    assert scan_directions(path, side, directions).tolist() == forwards + backwards


@pytest.mark.parametrize(("path", "side"), [("sweep", 6), ("hilbert", 8)])
def test_reference_directions_equal_the_composition_of_tensor_turns(path: str, side: int) -> None:
    image = torch.randn(side, side, generator=torch.Generator().manual_seed(0))
    turned = [image, image.T, torch.rot90(image), torch.rot90(image).T]
    order = scan_order(path, side)
    sequences = torch.stack([view.flatten()[order] for view in turned])
    expected = torch.cat([sequences, sequences.flip(1)])
    assert torch.equal(image.flatten()[scan_directions(path, side, 8)], expected)


@pytest.mark.parametrize("path", POWER_OF_TWO)
@pytest.mark.parametrize("side", [3, 6, 12, 24])
def test_hilbert_and_zorder_refuse_a_side_that_is_no_power_of_two(path: str, side: int) -> None:
    with pytest.raises(ValueError, match=str(side)):
        scan_order(path, side)
    with pytest.raises(ValueError, match=str(side)):
        scan_directions(path, side, 8)


@pytest.mark.parametrize("side", [0, -4])
@pytest.mark.parametrize("path", PATHS)
def test_a_map_without_cells_is_refused(path: str, side: int) -> None:
    with pytest.raises(ValueError, match=str(side)):
        scan_order(path, side)


def test_an_unknown_path_or_direction_set_is_named_in_the_refusal() -> None:
    with pytest.raises(ValueError, match="spiral"):
        scan_order("spiral", 8)
    with pytest.raises(ValueError, match="spiral"):
        scan_directions("spiral", 8, 8)
    with pytest.raises(ValueError, match="all"):
        scan_directions("hilbert", 8, 8, "all")


@pytest.mark.parametrize("directions", [0, 1, 3, 6, 16])
def test_only_two_four_or_eight_directions_exist(directions: int) -> None:
    with pytest.raises(ValueError, match=str(directions)):
        scan_directions("hilbert", 8, directions)


def test_changing_a_returned_order_does_not_change_the_next_one() -> None:
    scan_order("hilbert", 8).zero_()
    scan_directions("hilbert", 8, 8).zero_()
    assert cells(scan_order("hilbert", 8), 8) == reference.path_cells("hilbert", 8)
    assert torch.equal(scan_directions("hilbert", 8, 8)[0], scan_order("hilbert", 8))
