"""The fused GPU kernel of the selective scan, forward and backward, in Triton.

One program scans one direction of one image for a block of channels, its states in registers; rows are loaded
through the order, one step ahead. Where batch and channels give too few programs, the sequence is cut into
segments: each is scanned from a zero state, the ends are carried over, and each is scanned again from its
true start. Every program writes to places of its own and torch sums them, so results are deterministic.

With `TRITON_INTERPRET=1` set before the first import the same source runs on the CPU, for tests.

Legend: `B` batch · `L` cells · `D` channels · `N` state size · `K` directions · `R` rank of Δ · `S` segments.
"""

import math
from contextlib import nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor

try:
    import triton
    import triton.language as tl
except ImportError:  # optional: `selective_scan` then takes the torch form
    triton = None

CHUNK = 16  # steps between states kept for the backward pass
_BLOCK = 32  # channels of a program
_PROGRAMS_PER_PROCESSOR = 8  # enough to hide the latency of a step
_WARPS = 1


def missing(kind: str) -> str | None:
    """What the kernel lacks on this kind of device, in a sentence; None where it can be tried."""
    if triton is None:
        return "triton is not installed."
    if kind != ("cpu" if triton.knobs.runtime.interpret else "cuda"):
        return "it is written for CUDA; on a CPU it runs interpreted only, with TRITON_INTERPRET=1."
    return None


def scan(
    u: Tensor,
    x: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    a: Tensor,
    d: Tensor,
    order: Tensor,
    *,
    segments: int | None = None,
) -> Tensor:
    """`selective_scan` in float32, bfloat16 or float64; shapes as there, states in float32 or wider.

    Args:
        segments: pieces the sequence is cut into; chosen from the number of processors by default.
    """
    floats = (u, x, dt_weight, dt_bias, a)
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in floats)
    y: Tensor = _SelectiveScan.apply(*floats, order, segments, keep)  # type: ignore[no-untyped-call]
    return y + u * d


class _SelectiveScan(torch.autograd.Function):
    """Sum over directions of the scan without the skip connection."""

    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,
        x: Tensor,
        dt_weight: Tensor,
        dt_bias: Tensor,
        a: Tensor,
        order: Tensor,
        segments: int | None,
        keep: bool,
    ) -> Tensor:
        u, x, dt_weight, dt_bias, a = (t.detach().contiguous() for t in (u, x, dt_weight, dt_bias, a))
        order = order.to(torch.int32).contiguous()
        plan = _Plan(u, dt_weight, a, segments)
        starts = plan.new_states(plan.segments)
        if plan.segments > 1:
            sums = plan.new(u.shape[0], plan.directions, plan.segments, plan.channels)
            plan.launch(_segment_ends, u, x, dt_weight, dt_bias, a, order, starts, sums)
            plan.launch_carry(a, starts, sums, reverse=False)
        else:
            starts.zero_()
        chunks = -(-plan.length // CHUNK) if keep else 0
        saved = plan.new_states(chunks)
        y = plan.new(u.shape[0], plan.directions, plan.length, plan.channels)
        plan.launch(_forward, u, x, dt_weight, dt_bias, a, order, starts, saved, y, SAVE=keep)
        ctx.save_for_backward(u, x, dt_weight, dt_bias, a, order, saved)
        ctx.segments = segments
        return y.sum(1).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        u, x, dt_weight, dt_bias, a, order, saved = ctx.saved_tensors
        plan = _Plan(u, dt_weight, a, ctx.segments)
        grad_y = grads[0].contiguous()
        ends = plan.new_states(plan.segments)
        if plan.segments > 1:
            sums = plan.new(u.shape[0], plan.directions, plan.segments, plan.channels)
            plan.launch(_segment_starts_backward, x, dt_weight, dt_bias, a, order, grad_y, ends, sums)
            plan.launch_carry(a, ends, sums, reverse=True)
        else:
            ends.zero_()
        batch, blocks = u.shape[0], plan.blocks
        pieces = (batch, plan.segments, plan.directions)
        grad_u = plan.new(batch, plan.directions, plan.length, plan.channels)
        grad_x = plan.new(blocks, *x.shape)
        grad_weight = plan.new(*pieces, plan.rank, plan.channels)
        grad_bias = plan.new(*pieces, plan.channels)
        grad_a = plan.new(*pieces, plan.states, plan.channels)
        history = plan.new(
            batch * plan.directions * plan.segments * blocks, CHUNK, plan.padded_states * _BLOCK
        )
        plan.launch(
            _backward,
            *(u, x, dt_weight, dt_bias, a, order, saved, ends, grad_y, history),
            *(grad_u, grad_x, grad_weight, grad_bias, grad_a),
        )
        return (
            grad_u.sum(1).to(u.dtype),
            grad_x.sum(0).to(x.dtype),
            grad_weight.sum((0, 1)).to(dt_weight.dtype),
            grad_bias.sum((0, 1)).to(dt_bias.dtype),
            grad_a.sum((0, 1)).to(a.dtype),
            None,
            None,
            None,
        )


class _Plan:
    """Sizes of one call, its grid and its scratch tensors."""

    def __init__(self, u: Tensor, dt_weight: Tensor, a: Tensor, segments: int | None) -> None:
        self.batch, self.length, self.channels = u.shape
        self.directions, self.rank, _ = dt_weight.shape
        self.states = a.shape[1]
        self.padded_states = triton.next_power_of_2(self.states)
        self.blocks = triton.cdiv(self.channels, _BLOCK)
        self._device = u.device
        self._dtype = torch.promote_types(u.dtype, torch.float32)
        chunks = triton.cdiv(self.length, CHUNK)
        if segments is None:
            wanted = _PROGRAMS_PER_PROCESSOR * _processors(u.device)
            segments = triton.cdiv(wanted, self.batch * self.directions * self.blocks)
        self.segment = CHUNK * triton.cdiv(chunks, min(max(segments, 1), chunks))
        self.segments = triton.cdiv(self.length, self.segment)

    def new(self, *shape: int) -> Tensor:
        """Uninitialised scratch in the dtype of the states."""
        return torch.empty(shape, dtype=self._dtype, device=self._device)

    def new_states(self, count: int) -> Tensor:
        """Scratch for `count` states of every image and direction, (B, K, count, N, D)."""
        return self.new(self.batch, self.directions, count, self.states, self.channels)

    def launch(self, kernel: Any, *tensors: Tensor, **flags: bool) -> None:
        """Run a kernel with one program per (image and direction, segment, block of channels)."""
        with _on(self._device):
            kernel[(self.batch * self.directions, self.segments, self.blocks)](
                *tensors,
                *(self.length, self.channels, self.segments),
                **self._constants(),
                SEGMENT=self.segment,
                R=self.rank,
                PADDED_R=triton.next_power_of_2(self.rank),
                CHUNK=CHUNK,
                **flags,
            )

    def launch_carry(self, a: Tensor, states: Tensor, sums: Tensor, *, reverse: bool) -> None:
        """Turn what each segment adds to a state into the state each segment begins with."""
        with _on(self._device):
            _carry[(self.batch * self.directions, self.blocks)](
                *(a, states, sums, self.channels),
                **self._constants(),
                SEGMENTS=self.segments,
                REVERSE=reverse,
            )

    def _constants(self) -> dict[str, Any]:
        return {
            "K": self.directions,
            "N": self.states,
            "PADDED_N": self.padded_states,
            "BLOCK": _BLOCK,
            "KIND": tl.float64 if self._dtype == torch.float64 else tl.float32,
            "num_warps": _WARPS,
        }


@cache
def _processors(device: torch.device) -> int:
    """Streaming multiprocessors of the device; 1 when interpreted."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def _on(device: torch.device) -> Any:
    """Triton launches on the current device, so make it the tensors'."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


if triton is not None:
    _LOG2E = tl.constexpr(math.log2(math.e))

    @triton.jit
    def _softplus(value):  # type: ignore[no-untyped-def]
        """max(v, 0) + log1p(exp(-|v|)); log1p by Kahan's quotient, exact where 1 + t rounds."""
        t = tl.exp(-tl.abs(value))
        w = 1.0 + t
        exact = t * tl.log(w) / tl.where(w == 1.0, 1.0, w - 1.0)
        return tl.maximum(value, 0.0) + tl.where(w == 1.0, t, exact)

    @triton.jit
    def _row(x, cells, cell, first, count, PADDED: tl.constexpr, KIND: tl.constexpr):  # type: ignore[no-untyped-def]
        """Part of the projections of one cell: (PADDED,), zero beyond count."""
        index = tl.arange(0, PADDED)
        return tl.load(x + cell * cells + first + index, mask=index < count, other=0.0).to(KIND)

    @triton.jit
    def _step_size(low, weight, bias):  # type: ignore[no-untyped-def]
        return _softplus(bias + tl.sum(low[:, None] * weight, axis=0))

    @triton.jit
    def _segment_ends(  # type: ignore[no-untyped-def]
        u, x, dt_weight, dt_bias, a, order, ends, sums,
        length, channels, segments,
        K: tl.constexpr, N: tl.constexpr, PADDED_N: tl.constexpr, BLOCK: tl.constexpr, KIND: tl.constexpr,
        R: tl.constexpr, PADDED_R: tl.constexpr, SEGMENT: tl.constexpr, CHUNK: tl.constexpr,
    ):  # fmt: skip
        """State after each segment when it starts from zero, and the sum of its step sizes."""
        image, k = (tl.program_id(0) // K).to(tl.int64), tl.program_id(0) % K
        part = tl.program_id(1)
        column = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
        n, r = tl.arange(0, PADDED_N), tl.arange(0, PADDED_R)
        inside = column < channels
        matrix = (n < N)[:, None] & inside[None, :]
        ranks = (r < R)[:, None] & inside[None, :]
        places = n[:, None] * channels + column[None, :]
        weight = tl.load(dt_weight + (k * R + r[:, None]) * channels + column[None, :], mask=ranks, other=0.0)
        weight = weight.to(KIND)
        bias = tl.load(dt_bias + k * channels + column, mask=inside, other=0.0).to(KIND)
        rates = tl.load(a + k * N * channels + places, mask=matrix, other=0.0).to(KIND) * _LOG2E
        row = R + 2 * N
        x += (image * length * K + k) * row
        u += image * length * channels
        h = tl.zeros((PADDED_N, BLOCK), KIND)
        total = tl.zeros((BLOCK,), KIND)
        first = part * SEGMENT
        cell = tl.load(order + k * length + first)
        for i in range(SEGMENT):
            following = tl.load(order + k * length + tl.minimum(first + i + 1, length - 1))
            low = _row(x, K * row, cell, 0, R, PADDED_R, KIND)
            b = _row(x, K * row, cell, R, N, PADDED_N, KIND)
            value = tl.load(u + cell * channels + column, mask=inside, other=0.0).to(KIND)
            delta = _step_size(low, weight, bias) * (first + i < length)
            h = tl.exp2(delta[None, :] * rates) * h + b[:, None] * (delta * value)[None, :]
            total += delta
            cell = following
        slot = (image * K + k) * segments + part
        tl.store(ends + slot * N * channels + places, h, mask=matrix)
        tl.store(sums + slot * channels + column, total, mask=inside)

    @triton.jit
    def _carry(  # type: ignore[no-untyped-def]
        a, states, sums, channels,
        K: tl.constexpr, N: tl.constexpr, PADDED_N: tl.constexpr, BLOCK: tl.constexpr, KIND: tl.constexpr,
        SEGMENTS: tl.constexpr, REVERSE: tl.constexpr,
    ):  # fmt: skip
        """Replace what each segment adds by the state it starts from, in scan order or against it."""
        sequence = tl.program_id(0).to(tl.int64)
        column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
        n = tl.arange(0, PADDED_N)
        inside = column < channels
        matrix = (n < N)[:, None] & inside[None, :]
        places = n[:, None] * channels + column[None, :]
        rates = tl.load(a + (sequence % K) * N * channels + places, mask=matrix, other=0.0).to(KIND) * _LOG2E
        h = tl.zeros((PADDED_N, BLOCK), KIND)
        for i in range(SEGMENTS):
            slot = sequence * SEGMENTS + (SEGMENTS - 1 - i if REVERSE else i)
            added = tl.load(states + slot * N * channels + places, mask=matrix, other=0.0)
            total = tl.load(sums + slot * channels + column, mask=inside, other=0.0)
            tl.store(states + slot * N * channels + places, h, mask=matrix)
            h = tl.exp2(total[None, :] * rates) * h + added

    @triton.jit
    def _forward(  # type: ignore[no-untyped-def]
        u, x, dt_weight, dt_bias, a, order, starts, saved, y,
        length, channels, segments,
        K: tl.constexpr, N: tl.constexpr, PADDED_N: tl.constexpr, BLOCK: tl.constexpr, KIND: tl.constexpr,
        R: tl.constexpr, PADDED_R: tl.constexpr, SEGMENT: tl.constexpr, CHUNK: tl.constexpr,
        SAVE: tl.constexpr,
    ):  # fmt: skip
        """y (B, K, L, D) of each direction; with SAVE the state before every chunk, (B, K, chunks, N, D)."""
        image, k = (tl.program_id(0) // K).to(tl.int64), tl.program_id(0) % K
        part = tl.program_id(1)
        column = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
        n, r = tl.arange(0, PADDED_N), tl.arange(0, PADDED_R)
        inside = column < channels
        matrix = (n < N)[:, None] & inside[None, :]
        ranks = (r < R)[:, None] & inside[None, :]
        places = n[:, None] * channels + column[None, :]
        weight = tl.load(dt_weight + (k * R + r[:, None]) * channels + column[None, :], mask=ranks, other=0.0)
        weight = weight.to(KIND)
        bias = tl.load(dt_bias + k * channels + column, mask=inside, other=0.0).to(KIND)
        rates = tl.load(a + k * N * channels + places, mask=matrix, other=0.0).to(KIND) * _LOG2E
        row = R + 2 * N
        sequence = image * K + k
        x += (image * length * K + k) * row
        u += image * length * channels
        y += sequence * length * channels
        saved += sequence * tl.cdiv(length, CHUNK) * N * channels
        slot = sequence * segments + part
        h = tl.load(starts + slot * N * channels + places, mask=matrix, other=0.0)
        first = part * SEGMENT
        # Everything a step needs is loaded while the step before it is computed.
        cell = tl.load(order + k * length + first)
        following = tl.load(order + k * length + tl.minimum(first + 1, length - 1))
        low = _row(x, K * row, cell, 0, R, PADDED_R, KIND)
        b = _row(x, K * row, cell, R, N, PADDED_N, KIND)
        c = _row(x, K * row, cell, R + N, N, PADDED_N, KIND)
        value = tl.load(u + cell * channels + column, mask=inside, other=0.0).to(KIND)
        for i in range(SEGMENT):
            t = first + i
            after_following = tl.load(order + k * length + tl.minimum(t + 2, length - 1))
            next_low = _row(x, K * row, following, 0, R, PADDED_R, KIND)
            next_b = _row(x, K * row, following, R, N, PADDED_N, KIND)
            next_c = _row(x, K * row, following, R + N, N, PADDED_N, KIND)
            next_value = tl.load(u + following * channels + column, mask=inside, other=0.0).to(KIND)
            if SAVE:
                begins = (t % CHUNK == 0) & (t < length)
                tl.store(saved + (t // CHUNK) * N * channels + places, h, mask=matrix & begins)
            delta = _step_size(low, weight, bias)
            h = tl.exp2(delta[None, :] * rates) * h + b[:, None] * (delta * value)[None, :]
            tl.store(y + cell * channels + column, tl.sum(h * c[:, None], axis=0), mask=inside & (t < length))
            cell, following = following, after_following
            low, b, c, value = next_low, next_b, next_c, next_value

    @triton.jit
    def _segment_starts_backward(  # type: ignore[no-untyped-def]
        x, dt_weight, dt_bias, a, order, grad_y, grads, sums,
        length, channels, segments,
        K: tl.constexpr, N: tl.constexpr, PADDED_N: tl.constexpr, BLOCK: tl.constexpr, KIND: tl.constexpr,
        R: tl.constexpr, PADDED_R: tl.constexpr, SEGMENT: tl.constexpr, CHUNK: tl.constexpr,
    ):  # fmt: skip
        """Gradient of the state before each segment through the outputs of that segment alone."""
        image, k = (tl.program_id(0) // K).to(tl.int64), tl.program_id(0) % K
        part = tl.program_id(1)
        column = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
        n, r = tl.arange(0, PADDED_N), tl.arange(0, PADDED_R)
        inside = column < channels
        matrix = (n < N)[:, None] & inside[None, :]
        ranks = (r < R)[:, None] & inside[None, :]
        places = n[:, None] * channels + column[None, :]
        weight = tl.load(dt_weight + (k * R + r[:, None]) * channels + column[None, :], mask=ranks, other=0.0)
        weight = weight.to(KIND)
        bias = tl.load(dt_bias + k * channels + column, mask=inside, other=0.0).to(KIND)
        rates = tl.load(a + k * N * channels + places, mask=matrix, other=0.0).to(KIND) * _LOG2E
        row = R + 2 * N
        x += (image * length * K + k) * row
        grad_y += image * length * channels
        grad_h = tl.zeros((PADDED_N, BLOCK), KIND)
        total = tl.zeros((BLOCK,), KIND)
        for i in range(SEGMENT):
            t = part * SEGMENT + SEGMENT - 1 - i
            cell = tl.load(order + k * length + tl.minimum(t, length - 1))
            low = _row(x, K * row, cell, 0, R, PADDED_R, KIND)
            c = _row(x, K * row, cell, R + N, N, PADDED_N, KIND)
            out = tl.load(grad_y + cell * channels + column, mask=inside, other=0.0).to(KIND)
            delta = _step_size(low, weight, bias) * (t < length)
            grad_h = tl.exp2(delta[None, :] * rates) * (grad_h + c[:, None] * (out * (t < length))[None, :])
            total += delta
        slot = (image * K + k) * segments + part
        tl.store(grads + slot * N * channels + places, grad_h, mask=matrix)
        tl.store(sums + slot * channels + column, total, mask=inside)

    @triton.jit
    def _backward(  # type: ignore[no-untyped-def]
        u, x, dt_weight, dt_bias, a, order, saved, ends, grad_y, history,
        grad_u, grad_x, grad_weight, grad_bias, grad_a,
        length, channels, segments,
        K: tl.constexpr, N: tl.constexpr, PADDED_N: tl.constexpr, BLOCK: tl.constexpr, KIND: tl.constexpr,
        R: tl.constexpr, PADDED_R: tl.constexpr, SEGMENT: tl.constexpr, CHUNK: tl.constexpr,
    ):  # fmt: skip
        """All gradients of one segment, chunk by chunk from its last: recompute a chunk's states into
        `history`, then walk them backwards."""
        image, k = (tl.program_id(0) // K).to(tl.int64), tl.program_id(0) % K
        part, block = tl.program_id(1), tl.program_id(2)
        column = block * BLOCK + tl.arange(0, BLOCK)
        n, r = tl.arange(0, PADDED_N), tl.arange(0, PADDED_R)
        inside = column < channels
        matrix = (n < N)[:, None] & inside[None, :]
        ranks = (r < R)[:, None] & inside[None, :]
        places = n[:, None] * channels + column[None, :]
        rank_places = r[:, None] * channels + column[None, :]
        weight = tl.load(dt_weight + k * R * channels + rank_places, mask=ranks, other=0.0).to(KIND)
        bias = tl.load(dt_bias + k * channels + column, mask=inside, other=0.0).to(KIND)
        natural = tl.load(a + k * N * channels + places, mask=matrix, other=0.0).to(KIND)
        rates = natural * _LOG2E
        row = R + 2 * N
        sequence = image * K + k
        chunks = tl.cdiv(length, CHUNK)
        batch = tl.num_programs(0) // K
        x += (image * length * K + k) * row
        grad_x += ((block * batch + image) * length * K + k) * row
        u += image * length * channels
        grad_y += image * length * channels
        grad_u += sequence * length * channels
        saved += sequence * chunks * N * channels
        scratch = (sequence * segments + part) * tl.num_programs(2) + block
        history += scratch * CHUNK * PADDED_N * BLOCK
        spot = n[:, None] * BLOCK + tl.arange(0, BLOCK)[None, :]
        slot = sequence * segments + part
        grad_h = tl.load(ends + slot * N * channels + places, mask=matrix, other=0.0)
        sum_a = tl.zeros((PADDED_N, BLOCK), KIND)
        sum_weight = tl.zeros((PADDED_R, BLOCK), KIND)
        sum_bias = tl.zeros((BLOCK,), KIND)
        for j in range(SEGMENT // CHUNK):
            start = part * SEGMENT + SEGMENT - (j + 1) * CHUNK
            within = start < length  # a short last segment has chunks beyond its end
            h = tl.load(saved + (start // CHUNK) * N * channels + places, mask=matrix & within, other=0.0)
            for i in range(CHUNK):
                tl.store(history + i * PADDED_N * BLOCK + spot, h)
                cell = tl.load(order + k * length + tl.minimum(start + i, length - 1))
                low = _row(x, K * row, cell, 0, R, PADDED_R, KIND)
                b = _row(x, K * row, cell, R, N, PADDED_N, KIND)
                value = tl.load(u + cell * channels + column, mask=inside, other=0.0).to(KIND)
                delta = _step_size(low, weight, bias) * (start + i < length)
                h = tl.exp2(delta[None, :] * rates) * h + b[:, None] * (delta * value)[None, :]
            tl.debug_barrier()
            for i in range(CHUNK):
                step = CHUNK - 1 - i
                real = start + step < length
                cell = tl.load(order + k * length + tl.minimum(start + step, length - 1))
                low = _row(x, K * row, cell, 0, R, PADDED_R, KIND)
                b = _row(x, K * row, cell, R, N, PADDED_N, KIND)
                c = _row(x, K * row, cell, R + N, N, PADDED_N, KIND)
                value = tl.load(u + cell * channels + column, mask=inside, other=0.0).to(KIND)
                out = tl.load(grad_y + cell * channels + column, mask=inside, other=0.0).to(KIND)
                before = tl.load(history + step * PADDED_N * BLOCK + spot)
                delta = _step_size(low, weight, bias) * real
                out = out * real
                grad = grad_h + c[:, None] * out[None, :]
                grad_c = tl.sum(h * out[None, :], axis=1)
                grad_b = tl.sum(grad * (delta * value)[None, :], axis=1)
                grad_drive = tl.sum(grad * b[:, None], axis=0)
                grad_h = grad * tl.exp2(delta[None, :] * rates)
                exponent = grad_h * before
                sum_a += exponent * delta[None, :]
                grad_delta = tl.sum(natural * exponent, axis=0) + grad_drive * value
                raw = grad_delta * (1.0 - tl.exp(-delta))  # the softplus' slope, from its value
                sum_bias += raw
                sum_weight += low[:, None] * raw[None, :]
                grad_low = tl.sum(weight * raw[None, :], axis=1)
                tl.store(grad_u + cell * channels + column, grad_drive * delta, mask=inside & real)
                grad_row = grad_x + cell * K * row
                tl.store(grad_row + r, grad_low, mask=(r < R) & real)
                tl.store(grad_row + R + n, grad_b, mask=(n < N) & real)
                tl.store(grad_row + R + N + n, grad_c, mask=(n < N) & real)
                h = before
            tl.debug_barrier()
        piece = (image * segments + part) * K + k
        tl.store(grad_weight + piece * R * channels + rank_places, sum_weight, mask=ranks)
        tl.store(grad_bias + piece * channels + column, sum_bias, mask=inside)
        tl.store(grad_a + piece * N * channels + places, sum_a, mask=matrix)
