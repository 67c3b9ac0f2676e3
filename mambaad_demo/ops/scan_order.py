"""Scan paths over a square map and the direction sets made from them; gathers and scans live elsewhere.

Legend: `S` side of the map, `L = S·S` cells, `K` scan directions. A cell is named by its row-major index
`row·S + col`.
"""

from functools import lru_cache
from typing import Literal, get_args

import torch
from torch import Tensor

Path = Literal["sweep", "scan", "zorder", "zigzag", "hilbert"]
DirectionSet = Literal["reference", "distinct"]

_POWER_OF_TWO_PATHS = ("zorder", "hilbert")
_REFERENCE_VIEWS = ("id", "transpose", "rot90", "flip")
_DISTINCT_VIEWS = {
    "hilbert": ("id", "transpose", "rot90", "rot180"),
    "scan": ("id", "transpose", "rot180", "rot270"),
}


def scan_order(path: str, side: int) -> Tensor:
    """The cell visited at each step of a path over a `side`×`side` map.

    `sweep` is row-major, `scan` boustrophedon, `zorder` Morton order (even bits of the step give the column),
    `zigzag` walks anti-diagonals (even ones upwards), `hilbert` starts at the top left and ends at the top
    right.

    Returns:
        (side², ) int64, a permutation.

    Raises:
        ValueError: unknown path, side below 1, or a side that is no power of two for `hilbert` and `zorder`.
    """
    if path not in get_args(Path):
        raise ValueError(f"Unknown scan path {path!r}: choose one of {', '.join(get_args(Path))}.")
    if side < 1:
        raise ValueError(f"A map needs a side of at least 1, got {side}.")
    if path in _POWER_OF_TWO_PATHS and side & (side - 1):
        raise ValueError(
            f"The {path} path needs a map side that is a power of two, got {side}. "
            "Use input sides of 128, 256, 512 or 1024, or the sweep, scan or zigzag path."
        )
    return _order(path, side).clone()


@torch.inference_mode(False)  # callers remember the result, and may train with it later
def scan_directions(path: str, side: int, directions: int, direction_set: str = "reference") -> Tensor:
    """Stack the orders of `directions` scans: the views of the path, then the same views reversed in time.

    The first half views the map as it is, transposed, turned and mirrored (MambaAD's order, which its weights
    depend on). With Hilbert or boustrophedon paths two of those eight orders repeat others; `distinct`
    replaces views so that all eight differ.

    Returns:
        (K, L) int64; row `k` is the cell visited at each step of direction `k`.

    Raises:
        ValueError: `directions` not 2, 4 or 8, an unknown set, or what `scan_order` refuses.
    """
    if directions not in (2, 4, 8):
        raise ValueError(f"The number of scan directions is 2, 4 or 8, got {directions}.")
    if direction_set not in get_args(DirectionSet):
        raise ValueError(f"Unknown direction set {direction_set!r}: choose reference or distinct.")
    steps = scan_order(path, side)
    views = _DISTINCT_VIEWS.get(path, _REFERENCE_VIEWS) if direction_set == "distinct" else _REFERENCE_VIEWS
    grid = torch.arange(side * side, device="cpu").reshape(side, side)
    forward = torch.stack([_view(grid, view).flatten()[steps] for view in views[: directions // 2]])
    return torch.cat([forward, forward.flip(1)])


def _view(grid: Tensor, view: str) -> Tensor:
    """The grid of cell names, (S, S), as seen after turning or mirroring the map."""
    match view:
        case "transpose":
            return grid.T
        case "rot90":
            return torch.rot90(grid)  # out[i, j] = in[j, S-1-i]
        case "rot180":
            return torch.rot90(grid, 2)
        case "rot270":
            return torch.rot90(grid, 3)
        case "flip":
            return grid.flip(1)
        case _:
            return grid


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _order(path: str, side: int) -> Tensor:
    step = torch.arange(side * side, device="cpu")
    row, col = step // side, step % side
    match path:
        case "sweep":
            return step
        case "scan":
            return row * side + torch.where(row % 2 == 1, side - 1 - col, col)
        case "zorder":
            return _even_bits(step >> 1) * side + _even_bits(step)
        case "zigzag":
            diagonal = row + col
            along = torch.where(diagonal % 2 == 0, col, row)
            return torch.argsort(diagonal * side + along)
        case _:
            return _hilbert(side)


def _even_bits(number: Tensor) -> Tensor:
    """Pack bits 0, 2, 4, … of each number into bits 0, 1, 2, …"""
    return sum(((number >> (2 * bit)) & 1) << bit for bit in range(16))  # type: ignore[return-value]


def _hilbert(side: int) -> Tensor:
    """The textbook index-to-(x, y) map, all steps at once, read as row = y and col = x."""
    rest = torch.arange(side * side, device="cpu")
    x, y = torch.zeros_like(rest), torch.zeros_like(rest)
    block = 1
    while block < side:
        right = (rest >> 1) & 1
        up = (rest ^ right) & 1
        mirrored = (up == 0) & (right == 1)
        x, y = torch.where(mirrored, block - 1 - x, x), torch.where(mirrored, block - 1 - y, y)
        x, y = torch.where(up == 0, y, x), torch.where(up == 0, x, y)
        x, y = x + block * right, y + block * up
        rest >>= 2
        block *= 2
    return y * side + x
