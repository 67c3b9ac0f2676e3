"""The fused CPU kernel of the selective scan, forward and backward, compiled by numba at first use and
cached on disk.

One pass gathers along the order, projects and softpluses Δ, advances the state and adds the output to its
cell, tile by tile of channels, so that states stay in the first-level cache. The backward pass recomputes
the states of a chunk from the state at its start, which the forward pass has saved. One source serves
float32 (polynomial exp2 and softplus, relative error below 1e-6) and float64 (library functions, for
gradient checks).

Legend: `B` batch · `L` cells · `D` channels · `N` state size · `K` directions · `R` rank of Δ · `W`
channels of a tile.
"""

import math
import threading
from typing import Any

import numpy as np
import torch
from torch import Tensor

try:
    import numba
    from llvmlite import binding, ir
    from numba import types
    from numba.extending import intrinsic, overload
except ImportError:  # optional: `selective_scan` then takes the torch form
    numba = None

CHUNK = 32  # steps between saved states
_TILE_WIDTHS = (64, 32, 16)
_lock = (
    threading.Lock()
)  # numba's workqueue layer allows one caller at a time; the others lose nothing by waiting


def missing(kind: str) -> str | None:
    """What the kernel lacks on this kind of device, in a sentence; None where it can be tried."""
    if kind != "cpu":
        return "it is written for CPUs."
    return None if numba is not None else "numba is not installed."


def scan(
    u: Tensor, x: Tensor, dt_weight: Tensor, dt_bias: Tensor, a: Tensor, d: Tensor, order: Tensor
) -> Tensor:
    """`selective_scan` on CPU tensors of one float dtype; shapes as there.

    Raises:
        ValueError: a row of `order` is no permutation; compiled code would read and write outside its arrays.
    """
    _require_permutations(order)
    y: Tensor = _SelectiveScan.apply(u, x, dt_weight, dt_bias, a, order)  # type: ignore[no-untyped-call]
    return y + u * d


class _SelectiveScan(torch.autograd.Function):
    """Sum over directions of the scan without the skip connection."""

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, x: Tensor, dt_weight: Tensor, dt_bias: Tensor, a: Tensor, order: Tensor
    ) -> Tensor:
        tensors = [t.detach().contiguous() for t in (u, x, dt_weight, dt_bias, a)]
        path = order.to(torch.int32).contiguous()
        needs_grad = any(ctx.needs_input_grad)
        (batch, length, channels), (directions, states, _) = u.shape, a.shape
        chunks = -(-length // CHUNK) if needs_grad else 0
        saved = u.new_empty(batch, directions, chunks, states, channels)
        width = _tile_width(channels)
        groups = _direction_groups(directions, batch * (channels // width), torch.get_num_threads())
        y = u.new_zeros(groups, batch, length, channels)
        arrays = [t.numpy() for t in tensors]
        with _lock:
            _match_torch_threads()
            _forward(*arrays, path.numpy(), width, y.numpy(), saved.numpy())
        ctx.save_for_backward(*tensors, path, saved)
        return y[0] if groups == 1 else y.sum(0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        u, x, dt_weight, dt_bias, a, path, saved = ctx.saved_tensors
        (batch, length, channels), directions = u.shape, a.shape[0]
        grad_y = grads[0].contiguous()
        grad_u = u.new_empty(batch, directions, length, channels)
        grad_x = torch.zeros_like(x)
        grad_weight, grad_bias, grad_a = (t.new_zeros(batch, *t.shape) for t in (dt_weight, dt_bias, a))
        inputs = (t.numpy() for t in (u, x, dt_weight, dt_bias, a, path, saved, grad_y))
        outputs = (t.numpy() for t in (grad_u, grad_x, grad_weight, grad_bias, grad_a))
        with _lock:
            _match_torch_threads()
            _backward(*inputs, _tile_width(channels), *outputs)
        return grad_u.sum(1), grad_x, grad_weight.sum(0), grad_bias.sum(0), grad_a.sum(0), None


def _require_permutations(order: Tensor) -> None:
    length = order.shape[1]
    if order.numel() and order.min() >= 0 and order.max() < length:
        visited = torch.zeros(order.shape, dtype=torch.bool).scatter_(1, order.long(), True)
        if visited.all():
            return
    raise ValueError(f"Each row of order must visit every cell from 0 to {length - 1} exactly once.")


def _tile_width(channels: int) -> int:
    """The widest tile that divides the channels; small or odd widths run as one tile."""
    return next((width for width in _TILE_WIDTHS if channels % width == 0), channels)


def _direction_groups(directions: int, tiles: int, threads: int) -> int:
    """How many groups of directions are scanned apart, each into a sum of its own, so that no thread is idle
    while there are fewer tiles than two per thread; divides the directions."""
    wanted = min(directions, -(-2 * threads // max(tiles, 1))) if threads > 1 else 1
    return next(groups for groups in range(wanted, directions + 1) if directions % groups == 0)


def _match_torch_threads() -> None:
    """Use as many threads as torch does; starting numba's pool resets torch's number, so put it back."""
    threads = torch.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


if numba is not None:
    # LLVM prefers half-wide vectors on CPUs with 512-bit ones, for fear of lower clock rates. Wide ones saved
    # a tenth forwards where measured, nothing backwards; Skylake-class CPUs do slow down and are left alone.
    if "+avx512f" in (_features := binding.get_host_cpu_features().flatten()) and (
        binding.get_host_cpu_name() not in ("skylake-avx512", "cascadelake")
    ):
        numba.config.CPU_FEATURES = numba.config.CPU_FEATURES or f"{_features},-prefer-256-bit"

    # Not "reassoc": it would cancel the rounding below; sums over a tile allow it for themselves.
    _FAST = {"contract", "nsz", "arcp", "nnan", "ninf"}
    _FAST_SUMS = _FAST | {"reassoc"}
    _LOG2E, _LOG2E_32 = math.log2(math.e), np.float32(math.log2(math.e))
    _ONE, _FLOOR = np.float32(1.0), np.float32(-126.0)
    # exp2 on [-1/2, 1/2], error 8e-8, and log1p(t)/t on [0, 1], error 3e-8; coefficients in ascending order.
    _E1, _E2, _E3, _E4, _E5 = map(
        np.float32, (0.6931471825, 0.2402210683, 0.0555032715, 0.0096760364, 0.0013400433)
    )
    _P0, _P1, _P2, _P3, _P4, _P5, _P6, _P7, _P8 = map(
        np.float32,
        (
            1.0,
            -0.4999950230,
            0.3331927061,
            -0.2484436929,
            0.1911143065,
            -0.1367477030,
            0.0783616617,
            -0.0295885075,
            0.0052534579,
        ),
    )
    _SHIFT = np.int32(23)

    @intrinsic
    def _nearest(typingctx: Any, value: Any) -> Any:
        """Round to the nearest integer as one instruction, which fast-math cannot cancel."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            function = builder.module.declare_intrinsic("llvm.nearbyint", [args[0].type])
            return builder.call(function, args)

        return types.float32(types.float32), codegen

    @intrinsic
    def _scale_by_power_of_two(typingctx: Any, value: Any, exponent: Any) -> Any:
        """value · 2^exponent by adding to the exponent bits of a float32."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            int32 = ir.IntType(32)
            whole = builder.fptosi(args[1], int32)
            bits = builder.add(builder.bitcast(args[0], int32), builder.shl(whole, ir.Constant(int32, 23)))
            return builder.bitcast(bits, ir.FloatType())

        return types.float32(types.float32, types.float32), codegen

    def _exp2(value: Any) -> Any:
        raise NotImplementedError

    def _softplus(value: Any) -> Any:
        raise NotImplementedError

    @overload(_exp2, jit_options={"fastmath": _FAST})
    def _overload_exp2(value: Any) -> Any:
        def polynomial(value: Any) -> Any:
            clamped = max(value, _FLOOR)
            whole = _nearest(clamped)
            f = clamped - whole
            power = _ONE + f * (_E1 + f * (_E2 + f * (_E3 + f * (_E4 + f * _E5))))
            return _scale_by_power_of_two(power, whole)

        def library(value: Any) -> Any:
            return np.exp2(value)

        return polynomial if value == types.float32 else library

    @overload(_softplus, jit_options={"fastmath": _FAST})
    def _overload_softplus(value: Any) -> Any:
        def polynomial(value: Any) -> Any:
            t = _exp2(-abs(value) * _LOG2E_32)
            tail = _P4 + t * (_P5 + t * (_P6 + t * (_P7 + t * _P8)))
            return max(value, np.float32(0.0)) + t * (_P0 + t * (_P1 + t * (_P2 + t * (_P3 + t * tail))))

        def library(value: Any) -> Any:
            return max(value, 0.0) + math.log1p(math.exp(-abs(value)))

        return polynomial if value == types.float32 else library

    _jit = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST)
    _jit_sums = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST_SUMS)
    _jit_parallel = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=_FAST, parallel=True)

    @_jit
    def _step_sizes(low: Any, weight: Any, bias: Any, delta: Any) -> None:
        """delta = softplus(bias + low · weight) for one cell and one tile; low (R,), weight (R, W)."""
        for j in range(delta.shape[0]):
            delta[j] = bias[j]
        for r in range(weight.shape[0]):
            factor = low[r]
            for j in range(delta.shape[0]):
                delta[j] += factor * weight[r, j]
        for j in range(delta.shape[0]):
            delta[j] = _softplus(delta[j])

    @_jit
    def _advance(delta: Any, drive: Any, rates: Any, b: Any, c: Any, h: Any, total: Any) -> None:
        """One step of the recurrence for a tile: h (N, W) moves on, its reading is added to total (W,)."""
        for n in range(h.shape[0]):
            b_n, c_n = b[n], c[n]
            for j in range(h.shape[1]):
                h[n, j] = _exp2(delta[j] * rates[n, j]) * h[n, j] + drive[j] * b_n
                total[j] += h[n, j] * c_n

    @_jit
    def _forward_tile(
        u: Any, x: Any, weight: Any, bias: Any, a: Any, order: Any, first: int, end: int, y: Any, saved: Any
    ) -> None:
        """Scan one tile of one image along directions first to end - 1; u, y (L, W), x (L, K, R + 2N), saved
        (K, chunks, N, W)."""
        states, width, rank = a.shape[1], u.shape[1], weight.shape[1]
        rates, weight_k = np.empty((states, width), u.dtype), np.empty((rank, width), u.dtype)
        h, delta, drive = (
            np.empty((states, width), u.dtype),
            np.empty(width, u.dtype),
            np.empty(width, u.dtype),
        )
        total = np.empty(width, u.dtype)
        log2e = u.dtype.type(_LOG2E)
        for k in range(first, end):
            rates[:] = a[k] * log2e
            weight_k[:] = weight[k]
            h[:] = 0
            for t in range(order.shape[1]):
                if saved.shape[1] > 0 and t % CHUNK == 0:
                    saved[k, t // CHUNK] = h
                cell = order[k, t]
                row = x[cell, k]
                _step_sizes(row[:rank], weight_k, bias[k], delta)
                for j in range(width):
                    drive[j] = delta[j] * u[cell, j]
                    total[j] = y[cell, j]
                _advance(delta, drive, rates, row[rank : rank + states], row[rank + states :], h, total)
                for j in range(width):
                    y[cell, j] = total[j]

    @_jit_parallel
    def _forward(
        u: Any, x: Any, weight: Any, bias: Any, a: Any, order: Any, width: int, y: Any, saved: Any
    ) -> None:
        groups, batch, tiles = y.shape[0], u.shape[0], u.shape[2] // width
        directions = order.shape[0] // groups
        for task in numba.prange(groups * batch * tiles):
            group, image, start = task // (batch * tiles), task // tiles % batch, (task % tiles) * width
            stop = start + width
            _forward_tile(
                u[image, :, start:stop],
                x[image],
                weight[:, :, start:stop],
                bias[:, start:stop],
                a[:, :, start:stop],
                order,
                group * directions,
                (group + 1) * directions,
                y[group, image, :, start:stop],
                saved[image, :, :, :, start:stop],
            )

    @_jit_sums
    def _retreat(
        decay: Any,
        before: Any,
        after: Any,
        delta: Any,
        drive: Any,
        rates: Any,
        b: Any,
        c: Any,
        grad_y: Any,
        grad_h: Any,
        grad_a: Any,
        grad_drive: Any,
        grad_delta: Any,
        grad_b: Any,
        grad_c: Any,
    ) -> None:
        """One step of the recurrence backwards for a tile.

        `grad_h` (N, W) comes in as the gradient of the state after this step through later steps and leaves
        as that of the state before it.
        """
        for n in range(grad_h.shape[0]):
            b_n, c_n = b[n], c[n]
            sum_b, sum_c = grad_b[n] * 0, grad_c[n] * 0
            for j in range(grad_h.shape[1]):
                g = grad_h[n, j] + c_n * grad_y[j]
                sum_c += after[n, j] * grad_y[j]
                sum_b += g * drive[j]
                grad_drive[j] += g * b_n
                through = g * decay[n, j]
                exponent = through * before[n, j]
                grad_delta[j] += rates[n, j] * exponent
                grad_a[n, j] += delta[j] * exponent
                grad_h[n, j] = through
            grad_b[n] += sum_b
            grad_c[n] += sum_c

    @_jit_sums
    def _retreat_step_size(low: Any, weight: Any, grad_raw: Any, grad_low: Any, grad_weight: Any) -> None:
        """Gradients of the projection behind Δ; grad_raw (W,) is that of its result before the softplus."""
        for r in range(weight.shape[0]):
            factor, total = low[r], low[r] * 0
            for j in range(grad_raw.shape[0]):
                total += weight[r, j] * grad_raw[j]
                grad_weight[r, j] += factor * grad_raw[j]
            grad_low[r] += total

    @_jit
    def _advance_recording(
        delta: Any, drive: Any, rates: Any, b: Any, before: Any, after: Any, decay: Any
    ) -> None:
        for n in range(before.shape[0]):
            b_n = b[n]
            for j in range(before.shape[1]):
                decay[n, j] = _exp2(delta[j] * rates[n, j])
                after[n, j] = decay[n, j] * before[n, j] + drive[j] * b_n

    @_jit
    def _backward_tile(
        u: Any,
        x: Any,
        weight: Any,
        bias: Any,
        a: Any,
        order: Any,
        saved: Any,
        grad_y: Any,
        grad_u: Any,
        grad_x: Any,
        grad_weight: Any,
        grad_bias: Any,
        grad_a: Any,
    ) -> None:
        """Gradients of one tile along one direction, chunk by chunk from the last; u, grad_y (L, W)."""
        length, width = u.shape
        states, rank = a.shape[0], weight.shape[0]
        kind = u.dtype
        log2e, one = kind.type(_LOG2E), kind.type(1)
        rates, natural_rates = np.empty((states, width), kind), np.empty((states, width), kind)
        weight_k, sum_weight = np.empty((rank, width), kind), np.zeros((rank, width), kind)
        natural_rates[:] = a
        rates[:] = natural_rates * log2e
        weight_k[:] = weight
        sum_a, grad_h = np.zeros((states, width), kind), np.zeros((states, width), kind)
        history, decay = np.empty((CHUNK + 1, states, width), kind), np.empty((CHUNK, states, width), kind)
        delta, drive = np.empty((CHUNK, width), kind), np.empty((CHUNK, width), kind)
        grad_drive, grad_delta, grad_out = np.empty(width, kind), np.empty(width, kind), np.empty(width, kind)
        for chunk in range(saved.shape[0] - 1, -1, -1):
            start, stop = chunk * CHUNK, min(length, (chunk + 1) * CHUNK)
            history[0] = saved[chunk]
            for i in range(stop - start):
                cell = order[start + i]
                _step_sizes(x[cell, :rank], weight_k, bias, delta[i])
                for j in range(width):
                    drive[i, j] = delta[i, j] * u[cell, j]
                b = x[cell, rank : rank + states]
                _advance_recording(delta[i], drive[i], rates, b, history[i], history[i + 1], decay[i])
            for i in range(stop - start - 1, -1, -1):
                cell = order[start + i]
                row, grad_row = x[cell], grad_x[cell]
                for j in range(width):
                    grad_drive[j] = 0
                    grad_delta[j] = 0
                    grad_out[j] = grad_y[cell, j]
                _retreat(
                    decay[i],
                    history[i],
                    history[i + 1],
                    delta[i],
                    drive[i],
                    natural_rates,
                    row[rank : rank + states],
                    row[rank + states :],
                    grad_out,
                    grad_h,
                    sum_a,
                    grad_drive,
                    grad_delta,
                    grad_row[rank : rank + states],
                    grad_row[rank + states :],
                )
                for j in range(width):
                    grad_u[cell, j] = grad_drive[j] * delta[i, j]
                    slope = one - _exp2(-delta[i, j] * log2e)  # sigmoid, from softplus
                    grad_delta[j] = (grad_delta[j] + grad_drive[j] * u[cell, j]) * slope
                    grad_bias[j] += grad_delta[j]
                _retreat_step_size(row[:rank], weight_k, grad_delta, grad_row[:rank], sum_weight)
        grad_weight[:] = sum_weight
        grad_a[:] = sum_a

    @_jit_parallel
    def _backward(
        u: Any,
        x: Any,
        weight: Any,
        bias: Any,
        a: Any,
        order: Any,
        saved: Any,
        grad_y: Any,
        width: int,
        grad_u: Any,
        grad_x: Any,
        grad_weight: Any,
        grad_bias: Any,
        grad_a: Any,
    ) -> None:
        directions, tiles = order.shape[0], u.shape[2] // width
        for task in numba.prange(u.shape[0] * directions):
            image, k = task // directions, task % directions
            for tile in range(tiles):
                start = tile * width
                stop = start + width
                _backward_tile(
                    u[image, :, start:stop],
                    x[image, :, k],
                    weight[k, :, start:stop],
                    bias[k, start:stop],
                    a[k, :, start:stop],
                    order[k],
                    saved[image, k, :, :, start:stop],
                    grad_y[image, :, start:stop],
                    grad_u[image, k, :, start:stop],
                    grad_x[image, :, k],
                    grad_weight[image, k, :, start:stop],
                    grad_bias[image, k, start:stop],
                    grad_a[image, k, :, start:stop],
                )
