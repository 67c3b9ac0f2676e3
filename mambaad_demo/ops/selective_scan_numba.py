"""The fused CPU kernel of the selective scan, forward and backward, compiled by numba at first use and
cached on disk.

One pass gathers along the order, projects and softpluses Δ, advances the state and adds the output to its
cell, tile by tile of channels, so that states stay in the first-level cache. The backward pass recomputes
the states of a chunk from the state at its start, which the forward pass has saved. One source serves
float32 (relative error below 1e-6) and float64 (for gradient checks).

A tile is a vector value in the compiled code, so nothing is left to the compiler's vectoriser. Everything
compiled lives in this file, because numba's disk cache notices changes of the kernel's own file only.

Legend: `B` batch · `L` cells · `D` channels · `N` state size · `K` directions · `R` rank of Δ · `W`
channels of a tile. Local arrays hold tiles row by row, so row n begins at n W.
"""

import math
import operator
import threading
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

try:
    import numba
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic, models, overload, register_model
except ImportError:  # optional: `selective_scan` then takes the torch form
    numba = None

CHUNK = 64  # steps between saved states
_BLOCK = 16  # channels of the narrowest tile
_TILE_WIDTHS = (64, 32, 16)
_lock = threading.Lock()  # numba's workqueue layer allows one caller at a time; the others lose nothing


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
    channels = u.shape[2]
    floats = [u, x, dt_weight, dt_bias, a, d]
    if empty_lanes := -channels % _BLOCK:
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
        blocks = _blocks(channels)
        tiles = batch * channels // (_BLOCK * len(blocks))
        groups = _direction_groups(directions, tiles, torch.get_num_threads())
        y = u.new_empty(groups, batch, length, channels)
        with _lock:
            _match_torch_threads()
            _forward(_arrays(inputs), saved.numpy(), y.numpy(), blocks)
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
        gradients = _arrays((grad_u, grad_x, *parameters))
        with _lock:
            _match_torch_threads()
            _backward(_arrays(inputs), saved.numpy(), grad_y.numpy(), gradients, _blocks(channels))
        return (
            torch.addcmul(grad_u.sum(1), grad_y, d),
            grad_x,
            *(gradient.sum(0) for gradient in parameters),
            (grad_y * u).sum((0, 1)),
            None,
            None,
        )


def _arrays(tensors: Iterable[Tensor]) -> tuple[Any, ...]:
    return tuple(tensor.numpy() for tensor in tensors)


def _require_permutations(order: Tensor) -> None:
    length = order.shape[1]
    if order.numel() and order.min() >= 0 and order.max() < length:
        visited = torch.zeros(order.shape, dtype=torch.bool).scatter_(1, order.long(), True)
        if visited.all():
            return
    raise ValueError(f"Each row of order must visit every cell from 0 to {length - 1} exactly once.")


def _blocks(channels: int) -> tuple[int, ...]:
    """The widest tile that divides the channels, as a tuple with an entry for each block: its length is part
    of its type, so compiled code knows it."""
    return next((0,) * (width // _BLOCK) for width in _TILE_WIDTHS if channels % width == 0)


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
    _FUSED = ("contract",)  # a product and a sum may become one instruction; nothing else is rearranged
    _LOG2E, _LN2 = math.log2(math.e), math.log(2.0)
    # 2^x on [-1/2, 1/2], error 8e-8 and 1e-16; artanh(s) / s in powers of s² up to 1/9, error 1e-9 and 1e-17.
    _EXP2 = {
        types.float32: (1.0, 0.6931471825, 0.2402210683, 0.0555032715, 0.0096760364, 0.0013400433),
        types.float64: tuple(_LN2**k / math.factorial(k) for k in range(14)),
    }
    _ARTANH = {
        types.float32: tuple(1 / (2 * k + 1) for k in range(8)),
        types.float64: tuple(1 / (2 * k + 1) for k in range(17)),
    }

    def _jit(function: Any, **options: Any) -> Any:
        """Compile at first use, and keep the result on disk where there is a place to write to."""
        try:
            return numba.njit(nogil=True, error_model="numpy", cache=True, **options)(function)
        except RuntimeError:
            return numba.njit(nogil=True, error_model="numpy", **options)(function)

    _jit_parallel = partial(_jit, parallel=True)

    class _Lanes(types.Type):
        """Neighbouring channels in one vector, which the compiler maps onto registers of any width."""

        def __init__(self, scalar: Any, width: int) -> None:
            self.scalar, self.width = scalar, width
            super().__init__(name=f"Lanes({scalar}, {width})")

    @register_model(_Lanes)
    class _LanesModel(models.PrimitiveModel):
        def __init__(self, manager: Any, lanes: Any) -> None:
            scalar = ir.FloatType() if lanes.scalar == types.float32 else ir.DoubleType()
            super().__init__(manager, lanes, ir.VectorType(scalar, lanes.width))

    def _filled(vector: Any, value: float) -> Any:
        return ir.Constant(vector, [value] * vector.count)

    def _broadcast(builder: Any, value: Any, vector: Any) -> Any:
        """A scalar in every lane; a vector as it is."""
        if isinstance(value.type, ir.VectorType):
            return value
        undefined = ir.Constant(vector, ir.Undefined)
        single = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
        return builder.shuffle_vector(single, undefined, everywhere)

    def _address(context: Any, builder: Any, kind: Any, array: Any, offset: Any, vector: Any) -> Any:
        data = context.make_array(kind)(context, builder, array).data
        return builder.bitcast(builder.gep(data, [offset]), vector.as_pointer())

    def _polynomial(builder: Any, x: Any, coefficients: tuple[float, ...]) -> Any:
        value = _filled(x.type, coefficients[-1])
        for coefficient in coefficients[-2::-1]:
            product = builder.fmul(value, x, flags=_FUSED)
            value = builder.fadd(product, _filled(x.type, coefficient), flags=_FUSED)
        return value

    @intrinsic
    def _load(typingctx: Any, array: Any, offset: Any, blocks: Any) -> Any:
        """Neighbouring elements of a contiguous array, 16 for each entry of the tuple `blocks`."""
        lanes = _Lanes(array.dtype, _BLOCK * blocks.count)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            vector = context.get_value_type(lanes)
            address = _address(context, builder, array, args[0], args[1], vector)
            return builder.load(address, align=array.dtype.bitwidth // 8)

        return lanes(array, types.intp, blocks), codegen

    @intrinsic
    def _store(typingctx: Any, array: Any, offset: Any, value: Any) -> Any:
        """Write lanes to neighbouring elements of a contiguous array."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            address = _address(context, builder, array, args[0], args[1], args[2].type)
            builder.store(args[2], address, align=array.dtype.bitwidth // 8)
            return context.get_dummy_value()

        return types.void(array, types.intp, value), codegen

    def _pairwise(emit: Any) -> Any:
        """An intrinsic of two operands, one of which may be a scalar."""

        @intrinsic
        def compute(typingctx: Any, left: Any, right: Any) -> Any:
            lanes = left if isinstance(left, _Lanes) else right
            kinds = [kind if isinstance(kind, _Lanes) else lanes.scalar for kind in (left, right)]

            def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
                vector = context.get_value_type(lanes)
                return emit(builder, *(_broadcast(builder, arg, vector) for arg in args))

            return lanes(*kinds), codegen

        return compute

    def _define(operation: Any, instruction: str) -> None:
        """Give lanes one of Python's operators."""
        compute = _pairwise(
            lambda builder, left, right: getattr(builder, instruction)(left, right, flags=_FUSED)
        )

        def pair(left: Any, right: Any) -> Any:
            return compute(left, right)

        @overload(operation)
        def operate(left: Any, right: Any) -> Any:
            if isinstance(left, _Lanes) or isinstance(right, _Lanes):
                return pair
            return None

    _define(operator.add, "fadd")
    _define(operator.sub, "fsub")
    _define(operator.mul, "fmul")
    _maximum = _pairwise(lambda builder, a, b: builder.select(builder.fcmp_unordered(">", a, b), a, b))

    @intrinsic
    def _exp2(typingctx: Any, value: Any) -> Any:
        """2 to the power of each lane; below the smallest normal number nearly 0."""
        mantissa, floor = (23, -126.0) if value.scalar == types.float32 else (52, -1022.0)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            (x,) = args
            integers = ir.VectorType(ir.IntType(value.scalar.bitwidth), x.type.count)
            lowest = _filled(x.type, floor)
            x = builder.select(builder.fcmp_unordered(">", x, lowest), x, lowest)
            # This sum holds the nearest integer in its last bits. Rearranged, it would cancel with the next.
            magic = _filled(x.type, 1.5 * 2.0**mantissa)
            shifted = builder.fadd(x, magic)
            part = builder.fsub(x, builder.fsub(shifted, magic))
            power = builder.bitcast(_polynomial(builder, part, _EXP2[value.scalar]), integers)
            exponent = builder.shl(builder.bitcast(shifted, integers), _filled(integers, mantissa))
            return builder.bitcast(builder.add(power, exponent), x.type)

        return value(value), codegen

    @intrinsic
    def _log1p(typingctx: Any, value: Any) -> Any:
        """log(1 + t) = 2 artanh(t / (2 + t)) of each lane, for t in [0, 1]."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            (t,) = args
            two = _filled(t.type, 2.0)
            s = builder.fdiv(t, builder.fadd(t, two))
            series = _polynomial(builder, builder.fmul(s, s), _ARTANH[value.scalar])
            return builder.fmul(builder.fmul(two, s), series)

        return value(value), codegen

    @intrinsic
    def _sum(typingctx: Any, value: Any) -> Any:
        """Sum of the lanes, in the order that is quickest."""

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            scalar, vector = args[0].type.element, args[0].type
            kind = ir.FunctionType(scalar, [scalar, vector])
            name = f"llvm.vector.reduce.fadd.v{vector.count}f{value.scalar.bitwidth}"
            function = cgutils.get_or_insert_function(builder.module, kind, name)
            return builder.call(function, [ir.Constant(scalar, 0.0), args[0]], fastmath=("reassoc",))

        return value.scalar(value), codegen

    @_jit
    def _softplus(raw: Any) -> Any:
        return _maximum(raw, 0.0) + _log1p(_exp2(_maximum(raw, raw * -1.0) * -_LOG2E))

    @_jit
    def _aligned(count: int, like: Any) -> Any:
        """An uninitialised array whose first element begins a cache line."""
        memory = np.empty(count + _BLOCK, like.dtype)
        skip = -(memory.ctypes.data // memory.itemsize) % _BLOCK
        return memory[skip : skip + count]

    @_jit
    def _copy_tile(source: Any, start: int, stride: int, factor: Any, target: Any, blocks: Any) -> None:
        """Rows of a tile, `stride` elements apart, to neighbouring rows of `target`."""
        width = _BLOCK * len(blocks)
        for row in range(len(target) // width):
            _store(target, row * width, _load(source, start + row * stride, blocks) * factor)

    @_jit
    def _step_size(x: Any, image: int, cell: int, k: int, weight: Any, bias: Any, blocks: Any) -> Any:
        """Δ of a tile at one cell; weight (R W,), bias (W,)."""
        width = _BLOCK * len(blocks)
        raw = _load(bias, 0, blocks)
        for r in range(len(weight) // width):
            raw = raw + _load(weight, r * width, blocks) * x[image, cell, k, r]
        return _softplus(raw)

    @_jit
    def _forward_tile(
        inputs: Any, saved: Any, y: Any, group: int, image: int, start: int, blocks: Any
    ) -> None:
        """Scan one tile of one image, from channel `start`, along one group of directions; the first group
        adds the skip connection."""
        u, x, weight, bias, a, d, order = inputs
        (groups, batch, length, channels), (directions, states, _) = y.shape, a.shape
        rank, width, chunks = weight.shape[1], _BLOCK * len(blocks), saved.shape[2]
        rates, weights = _aligned(states * width, u), _aligned(rank * width, u)
        biases, h = _aligned(width, u), _aligned(states * width, u)
        skip = _load(d, start, blocks) * (1.0 if group == 0 else 0.0)
        per_group = directions // groups
        first = group * per_group
        for k in range(first, first + per_group):
            _copy_tile(a, k * states * channels + start, channels, _LOG2E, rates, blocks)
            _copy_tile(weight, k * rank * channels + start, channels, 1.0, weights, blocks)
            _copy_tile(bias, k * channels + start, channels, 1.0, biases, blocks)
            h[:] = 0
            for t in range(length):
                if chunks > 0 and t % CHUNK == 0:
                    to = ((image * directions + k) * chunks + t // CHUNK) * states * channels + start
                    for n in range(states):
                        _store(saved, to + n * channels, _load(h, n * width, blocks))
                cell = order[k, t]
                here = (image * length + cell) * channels + start
                there = ((group * batch + image) * length + cell) * channels + start
                delta = _step_size(x, image, cell, k, weights, biases, blocks)
                value = _load(u, here, blocks)
                drive = delta * value
                total = value * skip if k == first else _load(y, there, blocks)
                for n in range(states):
                    decay = _exp2(delta * _load(rates, n * width, blocks))
                    state = decay * _load(h, n * width, blocks) + drive * x[image, cell, k, rank + n]
                    _store(h, n * width, state)
                    total = total + state * x[image, cell, k, rank + states + n]
                _store(y, there, total)

    @_jit_parallel
    def _forward(inputs: Any, saved: Any, y: Any, blocks: Any) -> None:
        (groups, batch, _, channels), width = y.shape, _BLOCK * len(blocks)
        tiles = channels // width
        for task in numba.prange(groups * batch * tiles):
            group, image, tile = task // (batch * tiles), task // tiles % batch, task % tiles
            _forward_tile(inputs, saved, y, group, image, tile * width, blocks)

    @_jit
    def _backward_tile(
        inputs: Any, saved: Any, grad_y: Any, gradients: Any, image: int, k: int, start: int, blocks: Any
    ) -> None:
        """Gradients of one tile of one image along one direction, chunk by chunk from the last."""
        u, x, weight, bias, a, _, order = inputs
        grad_u, grad_x, grad_weight, grad_bias, grad_a = gradients
        (_, length, channels), (directions, states, _), rank = u.shape, a.shape, weight.shape[1]
        width, chunks, scan = _BLOCK * len(blocks), saved.shape[2], image * directions + k
        rates, weights = _aligned(states * width, u), _aligned(rank * width, u)
        biases, grad_h = _aligned(width, u), _aligned(states * width, u)
        _copy_tile(a, k * states * channels + start, channels, _LOG2E, rates, blocks)
        _copy_tile(weight, k * rank * channels + start, channels, 1.0, weights, blocks)
        _copy_tile(bias, k * channels + start, channels, 1.0, biases, blocks)
        sum_a, sum_weight = _aligned(states * width, u), _aligned(rank * width, u)
        sum_bias = _aligned(width, u)
        grad_h[:], sum_a[:], sum_weight[:], sum_bias[:] = 0, 0, 0, 0
        history = _aligned((CHUNK + 1) * states * width, u)  # states before the first step and after each
        decays, deltas = _aligned(CHUNK * states * width, u), _aligned(CHUNK * width, u)
        for chunk in range(chunks - 1, -1, -1):
            steps = min(length - chunk * CHUNK, CHUNK)
            _copy_tile(
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
                drive = delta * _load(u, (image * length + cell) * channels + start, blocks)
                _store(deltas, i * width, delta)
                for n in range(states):
                    at = (i * states + n) * width
                    decay = _exp2(delta * _load(rates, n * width, blocks))
                    state = decay * _load(history, at, blocks) + drive * x[image, cell, k, rank + n]
                    _store(decays, at, decay)
                    _store(history, at + states * width, state)
            for i in range(steps - 1, -1, -1):
                cell = order[k, chunk * CHUNK + i]
                here = (image * length + cell) * channels + start
                delta, value, out = (
                    _load(deltas, i * width, blocks),
                    _load(u, here, blocks),
                    _load(grad_y, here, blocks),
                )
                drive = delta * value
                grad_drive, grad_delta = delta * 0.0, delta * 0.0
                for n in range(states):
                    at = (i * states + n) * width
                    grad = _load(grad_h, n * width, blocks) + out * x[image, cell, k, rank + states + n]
                    after = _load(history, at + states * width, blocks)
                    grad_x[image, cell, k, rank + states + n] += _sum(after * out)
                    grad_x[image, cell, k, rank + n] += _sum(grad * drive)
                    grad_drive = grad_drive + grad * x[image, cell, k, rank + n]
                    through = grad * _load(decays, at, blocks)
                    exponent = through * _load(history, at, blocks)
                    grad_delta = grad_delta + exponent * _load(rates, n * width, blocks)
                    _store(sum_a, n * width, _load(sum_a, n * width, blocks) + delta * exponent)
                    _store(grad_h, n * width, through)
                _store(grad_u, (scan * length + cell) * channels + start, grad_drive * delta)
                slope = 1.0 - _exp2(delta * -_LOG2E)  # sigmoid, from softplus
                grad_raw = (grad_delta * _LN2 + grad_drive * value) * slope
                _store(sum_bias, 0, _load(sum_bias, 0, blocks) + grad_raw)
                for r in range(rank):
                    low = x[image, cell, k, r]
                    grad_x[image, cell, k, r] += _sum(_load(weights, r * width, blocks) * grad_raw)
                    _store(sum_weight, r * width, _load(sum_weight, r * width, blocks) + grad_raw * low)
        for n in range(states):
            _store(grad_a, (scan * states + n) * channels + start, _load(sum_a, n * width, blocks))
        for r in range(rank):
            _store(grad_weight, (scan * rank + r) * channels + start, _load(sum_weight, r * width, blocks))
        _store(grad_bias, scan * channels + start, _load(sum_bias, 0, blocks))

    @_jit_parallel
    def _backward(inputs: Any, saved: Any, grad_y: Any, gradients: Any, blocks: Any) -> None:
        u, order, width = inputs[0], inputs[6], _BLOCK * len(blocks)
        directions = len(order)
        for task in numba.prange(u.shape[0] * directions):
            image, k = task // directions, task % directions
            for tile in range(u.shape[2] // width):
                _backward_tile(inputs, saved, grad_y, gradients, image, k, tile * width, blocks)
