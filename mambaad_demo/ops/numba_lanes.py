"""Vectors of neighbouring channels as values of compiled code, and what every CPU kernel needs besides.

A vector holds 16, 32 or 64 lanes, which LLVM maps onto registers of any width, so nothing is left to the
vectoriser. Importing this module needs numba. numba's disk cache notices changes of a kernel's own file only:
whoever changes this file renews `LANES` in each kernel's file, which a test demands.
"""

import math
import operator
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numba
import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model
from torch import Tensor

BLOCK = 16
"""Lanes of the narrowest vector."""
TILE_WIDTHS = (64, 32, 16)

_lock = threading.Lock()  # numba's workqueue layer allows one caller at a time; the others lose nothing


@contextmanager
def compiled_threads() -> Iterator[None]:
    """Call compiled code inside: one caller at a time, on as many threads as torch uses."""
    with _lock:
        threads = torch.get_num_threads()
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        if torch.get_num_threads() != threads:  # starting numba's pool resets it
            torch.set_num_threads(threads)
        yield


def arrays_of(tensors: Iterable[Tensor]) -> tuple[Any, ...]:
    """The memory of contiguous CPU tensors as NumPy arrays."""
    return tuple(tensor.numpy() for tensor in tensors)


def blocks_of(channels: int) -> tuple[int, ...]:
    """The widest tile that divides the channels, as a tuple with an entry for each block: its length is part
    of its type, so compiled code knows it."""
    return next((0,) * (width // BLOCK) for width in TILE_WIDTHS if channels % width == 0)


_FUSED = ("contract",)  # a product and a sum may become one instruction; nothing else is rearranged
LOG2E, LN2 = math.log2(math.e), math.log(2.0)
# 2^x on [-1/2, 1/2], error 8e-8 and 1e-16; artanh(s) / s in powers of s² up to 1/9, error 1e-9 and 1e-17.
_EXP2 = {
    types.float32: (1.0, 0.6931471825, 0.2402210683, 0.0555032715, 0.0096760364, 0.0013400433),
    types.float64: tuple(LN2**k / math.factorial(k) for k in range(14)),
}
_ARTANH = {
    types.float32: tuple(1 / (2 * k + 1) for k in range(8)),
    types.float64: tuple(1 / (2 * k + 1) for k in range(17)),
}


def jit(function: Any, **options: Any) -> Any:
    """Compile at first use, and keep the result on disk where there is a place to write to."""
    try:
        return numba.njit(nogil=True, error_model="numpy", cache=True, **options)(function)
    except RuntimeError:
        return numba.njit(nogil=True, error_model="numpy", **options)(function)


jit_parallel = partial(jit, parallel=True)


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
def load(typingctx: Any, array: Any, offset: Any, blocks: Any) -> Any:
    """Neighbouring elements of a contiguous array, 16 for each entry of the tuple `blocks`."""
    lanes = _Lanes(array.dtype, BLOCK * blocks.count)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = context.get_value_type(lanes)
        address = _address(context, builder, array, args[0], args[1], vector)
        return builder.load(address, align=array.dtype.bitwidth // 8)

    return lanes(array, types.intp, blocks), codegen


@intrinsic
def store(typingctx: Any, array: Any, offset: Any, value: Any) -> Any:
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
    compute = _pairwise(lambda builder, left, right: getattr(builder, instruction)(left, right, flags=_FUSED))

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
maximum = _pairwise(lambda builder, a, b: builder.select(builder.fcmp_unordered(">", a, b), a, b))


@intrinsic
def exp2(typingctx: Any, value: Any) -> Any:
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
def log1p(typingctx: Any, value: Any) -> Any:
    """log(1 + t) = 2 artanh(t / (2 + t)) of each lane, for t in [0, 1]."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (t,) = args
        two = _filled(t.type, 2.0)
        s = builder.fdiv(t, builder.fadd(t, two))
        series = _polynomial(builder, builder.fmul(s, s), _ARTANH[value.scalar])
        return builder.fmul(builder.fmul(two, s), series)

    return value(value), codegen


@intrinsic
def sum_lanes(typingctx: Any, value: Any) -> Any:
    """Sum of the lanes, in the order that is quickest."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        scalar, vector = args[0].type.element, args[0].type
        kind = ir.FunctionType(scalar, [scalar, vector])
        name = f"llvm.vector.reduce.fadd.v{vector.count}f{value.scalar.bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        return builder.call(function, [ir.Constant(scalar, 0.0), args[0]], fastmath=("reassoc",))

    return value.scalar(value), codegen


@jit
def softplus(raw: Any) -> Any:
    return maximum(raw, 0.0) + log1p(exp2(maximum(raw, raw * -1.0) * -LOG2E))


@jit
def aligned(count: int, like: Any) -> Any:
    """An uninitialised array whose first element begins a cache line."""
    memory = np.empty(count + BLOCK, like.dtype)
    skip = -(memory.ctypes.data // memory.itemsize) % BLOCK
    return memory[skip : skip + count]


@jit
def copy_tile(source: Any, start: int, stride: int, factor: Any, target: Any, blocks: Any) -> None:
    """Rows of a tile, `stride` elements apart, to neighbouring rows of `target`."""
    width = BLOCK * len(blocks)
    for row in range(len(target) // width):
        store(target, row * width, load(source, start + row * stride, blocks) * factor)
