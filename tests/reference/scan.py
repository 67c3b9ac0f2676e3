"""Scan orders and the selective scan, one cell, one direction, one step at a time. Slow; for tests only.

Legend: `B` batch · `L = S·S` cells · `D` channels · `N` state size · `K` scan directions · `R` rank of Δ.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Cells = NDArray[np.int64]

VIEWS: dict[str, Callable[[int, int, int], tuple[int, int]]] = {  # (row, column, side) → the cell seen there
    "id": lambda i, j, n: (i, j),
    "transpose": lambda i, j, n: (j, i),
    "rot90": lambda i, j, n: (j, n - 1 - i),
    "flip": lambda i, j, n: (i, n - 1 - j),
}


def path_cells(path: str, side: int) -> list[tuple[int, int]]:
    """The (row, column) visited at each step of a path."""
    steps = range(side * side)
    match path:
        case "sweep":
            return [divmod(t, side) for t in steps]
        case "scan":
            return [
                (r, c if r % 2 == 0 else side - 1 - c) for r, c in map(divmod, steps, [side] * len(steps))
            ]
        case "zorder":
            return [(every_second_bit(t >> 1), every_second_bit(t)) for t in steps]
        case "zigzag":
            diagonals = (
                [(row, s - row) for row in range(side) if 0 <= s - row < side] for s in range(2 * side - 1)
            )
            return [cell for s, down in enumerate(diagonals) for cell in (down if s % 2 else down[::-1])]
        case "hilbert":
            return [hilbert_cell(t, side) for t in steps]
    raise ValueError(path)


def every_second_bit(number: int) -> int:
    return sum(((number >> (2 * bit)) & 1) << bit for bit in range(number.bit_length()))


def hilbert_cell(step: int, side: int) -> tuple[int, int]:
    """The cell of one step of the textbook curve, quarter by quarter."""
    x = y = 0
    size = 1
    while size < side:
        right = (step >> 1) & 1
        up = (step ^ right) & 1
        if not up:
            if right:
                x, y = size - 1 - x, size - 1 - y
            x, y = y, x
        x, y, step, size = x + size * right, y + size * up, step >> 2, size * 2
    return y, x


def viewed_order(path: str, side: int, view: str) -> list[int]:
    """Walk a path over the turned or mirrored grid of cell names."""
    grid = [[0] * side for _ in range(side)]
    for i in range(side):
        for j in range(side):
            row, column = VIEWS[view](i, j, side)
            grid[i][j] = row * side + column
    return [grid[row][column] for row, column in path_cells(path, side)]


def scan_sequence(s: Array, delta: Array, a: Array, b: Array, c: Array) -> Array:
    """One direction of one sample, no skip connection: s, delta (D, L), a (D, N), b, c (N, L) → (D, L)."""
    state = np.zeros_like(a)
    y = np.empty_like(s)
    for t in range(s.shape[1]):
        state = np.exp(delta[:, t, None] * a) * state + (delta[:, t] * s[:, t])[:, None] * b[None, :, t]
        y[:, t] = state @ c[:, t]
    return y


def selective_scan(
    u: Array, x: Array, dt_weight: Array, dt_bias: Array, a: Array, d: Array, order: Cells
) -> Array:
    """Gather, scan, un-gather and sum the directions.

    u (B, L, D), x (B, L, K, R + 2N), dt_weight (K, R, D), dt_bias (K, D), a (K, N, D), d (D,), order (K, L)
    → (B, L, D).
    """
    rank, size = dt_weight.shape[1], a.shape[1]
    total = u * d
    for sample in range(u.shape[0]):
        for k, cells in enumerate(order):
            low, b, c = np.split(x[sample, cells, k].T, [rank, rank + size])
            delta = np.logaddexp(0, dt_weight[k].T @ low + dt_bias[k][:, None])
            y = scan_sequence(u[sample, cells].T, delta, a[k].T, b, c)
            total[sample] += y.T[np.argsort(cells)]
    return total
