"""The fused CPU kernel of the selective scan, forward and backward, compiled by numba at first use and
cached on disk.

One pass gathers along the order, projects and softpluses Δ, advances the state and adds the output to its
cell, tile by tile of channels, so that states stay in the first-level cache. The backward pass recomputes
the states of a chunk from the state at its start, which the forward pass has saved. One source serves
float32 (relative error below 1e-6) and float64 (for gradient checks).

A tile is one vector of `numba_lanes`.

Legend: `B` batch · `L` cells · `D` channels · `N` state size · `K` directions · `R` rank of Δ · `W`
channels of a tile. Local arrays hold tiles row by row, so row n begins at n W.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

try:
    import numba

    from mambaad_demo.ops import numba_lanes
    from mambaad_demo.ops.numba_lanes import (
        BLOCK,
        LN2,
        LOG2E,
        aligned,
        arrays_of,
        blocks_of,
        compiled_threads,
        copy_tile,
        exp2,
        jit,
        jit_parallel,
        load,
        softplus,
        store,
        sum_lanes,
    )
except ImportError:  # numba is optional: `selective_scan` then takes the torch form
    numba_lanes = None  # type: ignore[assignment]

LANES = "f3e9c96bc3bd"  # of numba_lanes.py; a change of this line renews the disk cache
CHUNK = 64  # steps between saved states


def missing(kind: str) -> str | None:
    """What the kernel lacks on this kind of device, in a sentence; None where it can be tried."""
    if kind != "cpu":
        return "it is written for CPUs."
    return None if numba_lanes is not None else "numba is not installed."


def scan(
    u: Tensor, x: Tensor, dt_weight: Tensor, dt_bias: Tensor, a: Tensor, d: Tensor, order: Tensor
) -> Tensor:
    """`selective_scan` on CPU tensors of one float dtype; shapes as there.

    Raises:
        ValueError: a row of `order` is no permutation; compiled code would read and write outside its arrays.
    """
    _require_permutations(order)
    channels = u.shape[2]
    floats = [u, x, dt_weight, dt_bias, a, d]
    if empty_lanes := -channels % BLOCK:
        floats = [t if t is x else F.pad(t, (0, empty_lanes)) for t in floats]
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in floats)
    y: Tensor = _SelectiveScan.apply(*floats, order, keep)  # type: ignore[no-untyped-call]
    return y[..., :channels]


class _SelectiveScan(torch.autograd.Function):
    """The scan of channels that fill whole blocks."""

    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,
        x: Tensor,
        dt_weight: Tensor,
        dt_bias: Tensor,
        a: Tensor,
        d: Tensor,
        order: Tensor,
        keep: bool,
    ) -> Tensor:
        floats = (tensor.detach().contiguous() for tensor in (u, x, dt_weight, dt_bias, a, d))
        inputs = (*floats, order.to(torch.int32).contiguous())
        (batch, length, channels), (directions, states, _) = u.shape, a.shape
        chunks = -(-length // CHUNK) if keep else 0
        saved = u.new_empty(batch, directions, chunks, states, channels)
        blocks = blocks_of(channels)
        tiles = batch * channels // (BLOCK * len(blocks))
        groups = _direction_groups(directions, tiles, torch.get_num_threads())
        y = u.new_empty(groups, batch, length, channels)
        with compiled_threads():
            _forward(arrays_of(inputs), saved.numpy(), y.numpy(), blocks)
        ctx.save_for_backward(*inputs, saved)
        return y[0] if groups == 1 else y.sum(0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, saved = ctx.saved_tensors
        u, x, dt_weight, dt_bias, a, d, _ = inputs
        (batch, length, channels), directions = u.shape, len(a)
        grad_y = grads[0].contiguous()
        grad_u = u.new_empty(batch, directions, length, channels)
        grad_x = torch.zeros_like(x)
        parameters = [tensor.new_empty(batch, *tensor.shape) for tensor in (dt_weight, dt_bias, a)]
        gradients = arrays_of((grad_u, grad_x, *parameters))
        with compiled_threads():
            _backward(arrays_of(inputs), saved.numpy(), grad_y.numpy(), gradients, blocks_of(channels))
        return (
            torch.addcmul(grad_u.sum(1), grad_y, d),
            grad_x,
            *(gradient.sum(0) for gradient in parameters),
            (grad_y * u).sum((0, 1)),
            None,
            None,
        )


def _require_permutations(order: Tensor) -> None:
    length = order.shape[1]
    if order.numel() and order.min() >= 0 and order.max() < length:
        visited = torch.zeros(order.shape, dtype=torch.bool).scatter_(1, order.long(), True)
        if visited.all():
            return
    raise ValueError(f"Each row of order must visit every cell from 0 to {length - 1} exactly once.")


def _direction_groups(directions: int, tiles: int, threads: int) -> int:
    """How many groups of directions are scanned apart, each into a sum of its own, so that no thread is idle
    while there are fewer tiles than two per thread; divides the directions."""
    wanted = min(directions, -(-2 * threads // max(tiles, 1))) if threads > 1 else 1
    return next(groups for groups in range(wanted, directions + 1) if directions % groups == 0)


if numba_lanes is not None:

    @jit
    def _step_size(x: Any, image: int, cell: int, k: int, weight: Any, bias: Any, blocks: Any) -> Any:
        """Δ of a tile at one cell; weight (R W,), bias (W,)."""
        width = BLOCK * len(blocks)
        raw = load(bias, 0, blocks)
        for r in range(len(weight) // width):
            raw = raw + load(weight, r * width, blocks) * x[image, cell, k, r]
        return softplus(raw)

    @jit
    def _forward_tile(
        inputs: Any, saved: Any, y: Any, group: int, image: int, start: int, blocks: Any
    ) -> None:
        """Scan one tile of one image, from channel `start`, along one group of directions; the first group
        adds the skip connection."""
        u, x, weight, bias, a, d, order = inputs
        (groups, batch, length, channels), (directions, states, _) = y.shape, a.shape
        rank, width, chunks = weight.shape[1], BLOCK * len(blocks), saved.shape[2]
        rates, weights = aligned(states * width, u), aligned(rank * width, u)
        biases, h = aligned(width, u), aligned(states * width, u)
        skip = load(d, start, blocks) * (1.0 if group == 0 else 0.0)
        per_group = directions // groups
        first = group * per_group
        for k in range(first, first + per_group):
            copy_tile(a, k * states * channels + start, channels, LOG2E, rates, blocks)
            copy_tile(weight, k * rank * channels + start, channels, 1.0, weights, blocks)
            copy_tile(bias, k * channels + start, channels, 1.0, biases, blocks)
            h[:] = 0
            for t in range(length):
                if chunks > 0 and t % CHUNK == 0:
                    to = ((image * directions + k) * chunks + t // CHUNK) * states * channels + start
                    for n in range(states):
                        store(saved, to + n * channels, load(h, n * width, blocks))
                cell = order[k, t]
                here = (image * length + cell) * channels + start
                there = ((group * batch + image) * length + cell) * channels + start
                delta = _step_size(x, image, cell, k, weights, biases, blocks)
                value = load(u, here, blocks)
                drive = delta * value
                total = value * skip if k == first else load(y, there, blocks)
                for n in range(states):
                    decay = exp2(delta * load(rates, n * width, blocks))
                    state = decay * load(h, n * width, blocks) + drive * x[image, cell, k, rank + n]
                    store(h, n * width, state)
                    total = total + state * x[image, cell, k, rank + states + n]
                store(y, there, total)

    @jit_parallel
    def _forward(inputs: Any, saved: Any, y: Any, blocks: Any) -> None:
        (groups, batch, _, channels), width = y.shape, BLOCK * len(blocks)
        tiles = channels // width
        for task in numba.prange(groups * batch * tiles):
            group, image, tile = task // (batch * tiles), task // tiles % batch, task % tiles
            _forward_tile(inputs, saved, y, group, image, tile * width, blocks)

    @jit
    def _backward_tile(
        inputs: Any, saved: Any, grad_y: Any, gradients: Any, image: int, k: int, start: int, blocks: Any
    ) -> None:
        """Gradients of one tile of one image along one direction, chunk by chunk from the last."""
        u, x, weight, bias, a, _, order = inputs
        grad_u, grad_x, grad_weight, grad_bias, grad_a = gradients
        (_, length, channels), (directions, states, _), rank = u.shape, a.shape, weight.shape[1]
        width, chunks, scan = BLOCK * len(blocks), saved.shape[2], image * directions + k
        rates, weights = aligned(states * width, u), aligned(rank * width, u)
        biases, grad_h = aligned(width, u), aligned(states * width, u)
        copy_tile(a, k * states * channels + start, channels, LOG2E, rates, blocks)
        copy_tile(weight, k * rank * channels + start, channels, 1.0, weights, blocks)
        copy_tile(bias, k * channels + start, channels, 1.0, biases, blocks)
        sum_a, sum_weight = aligned(states * width, u), aligned(rank * width, u)
        sum_bias = aligned(width, u)
        grad_h[:], sum_a[:], sum_weight[:], sum_bias[:] = 0, 0, 0, 0
        history = aligned((CHUNK + 1) * states * width, u)  # states before the first step and after each
        decays, deltas = aligned(CHUNK * states * width, u), aligned(CHUNK * width, u)
        for chunk in range(chunks - 1, -1, -1):
            steps = min(length - chunk * CHUNK, CHUNK)
            copy_tile(
                saved,
                (scan * chunks + chunk) * states * channels + start,
                channels,
                1.0,
                history[: states * width],
                blocks,
            )
            for i in range(steps):
                cell = order[k, chunk * CHUNK + i]
                delta = _step_size(x, image, cell, k, weights, biases, blocks)
                drive = delta * load(u, (image * length + cell) * channels + start, blocks)
                store(deltas, i * width, delta)
                for n in range(states):
                    at = (i * states + n) * width
                    decay = exp2(delta * load(rates, n * width, blocks))
                    state = decay * load(history, at, blocks) + drive * x[image, cell, k, rank + n]
                    store(decays, at, decay)
                    store(history, at + states * width, state)
            for i in range(steps - 1, -1, -1):
                cell = order[k, chunk * CHUNK + i]
                here = (image * length + cell) * channels + start
                delta, value, out = (
                    load(deltas, i * width, blocks),
                    load(u, here, blocks),
                    load(grad_y, here, blocks),
                )
                drive = delta * value
                grad_drive, grad_delta = delta * 0.0, delta * 0.0
                for n in range(states):
                    at = (i * states + n) * width
                    grad = load(grad_h, n * width, blocks) + out * x[image, cell, k, rank + states + n]
                    after = load(history, at + states * width, blocks)
                    grad_x[image, cell, k, rank + states + n] += sum_lanes(after * out)
                    grad_x[image, cell, k, rank + n] += sum_lanes(grad * drive)
                    grad_drive = grad_drive + grad * x[image, cell, k, rank + n]
                    through = grad * load(decays, at, blocks)
                    exponent = through * load(history, at, blocks)
                    grad_delta = grad_delta + exponent * load(rates, n * width, blocks)
                    store(sum_a, n * width, load(sum_a, n * width, blocks) + delta * exponent)
                    store(grad_h, n * width, through)
                store(grad_u, (scan * length + cell) * channels + start, grad_drive * delta)
                slope = 1.0 - exp2(delta * -LOG2E)  # sigmoid, from softplus
                grad_raw = (grad_delta * LN2 + grad_drive * value) * slope
                store(sum_bias, 0, load(sum_bias, 0, blocks) + grad_raw)
                for r in range(rank):
                    low = x[image, cell, k, r]
                    grad_x[image, cell, k, r] += sum_lanes(load(weights, r * width, blocks) * grad_raw)
                    store(sum_weight, r * width, load(sum_weight, r * width, blocks) + grad_raw * low)
        for n in range(states):
            store(grad_a, (scan * states + n) * channels + start, load(sum_a, n * width, blocks))
        for r in range(rank):
            store(grad_weight, (scan * rank + r) * channels + start, load(sum_weight, r * width, blocks))
        store(grad_bias, scan * channels + start, load(sum_bias, 0, blocks))

    @jit_parallel
    def _backward(inputs: Any, saved: Any, grad_y: Any, gradients: Any, blocks: Any) -> None:
        u, order, width = inputs[0], inputs[6], BLOCK * len(blocks)
        directions = len(order)
        for task in numba.prange(u.shape[0] * directions):
            image, k = task // directions, task % directions
            for tile in range(u.shape[2] // width):
                _backward_tile(inputs, saved, grad_y, gradients, image, k, tile * width, blocks)
