"""The scan of Mamba-3 on a CPU: one decay per head and step, forward and backward, compiled by numba.

    y_t = (α_t h_{t-1} + a_t v_t k_tᵀ) q_t + d v_t,    h_t = α_t h_{t-1} + (a_t + b_t) v_t k_tᵀ

Here a is the weight of the current input and b what the next step adds of it. A task is one head of one
sample; the rows of its state, one for each of the N states, are vectors over its P channels. The backward
pass recomputes the states of a chunk from the one at its start.

Legend: as in `mamba3`; local arrays hold rows of P channels, so row n begins at n P.
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
        aligned,
        arrays_of,
        blocks_of,
        compiled_threads,
        jit,
        jit_parallel,
        load,
        store,
        sum_lanes,
    )
except ImportError:  # numba is optional: `mamba3` then takes the matrix form
    numba_lanes = None  # type: ignore[assignment]

LANES = "f3e9c96bc3bd"  # of numba_lanes.py; a change of this line renews the disk cache
CHUNK = 64  # steps between saved states


def missing(kind: str) -> str | None:
    """What the kernel lacks on this kind of device, in a sentence; None where it can be tried."""
    if kind != "cpu":
        return "it is written for CPUs."
    return None if numba_lanes is not None else "numba is not installed."


def scan(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, now: Tensor, later: Tensor, d: Tensor) -> Tensor:
    """q, k (B, H, L, N), v (B, H, L, P), log α, a and b (B, H, L), d (H,) → (B, H, L, P), all of one float
    dtype."""
    channels = v.shape[-1]
    v = F.pad(v, (0, -channels % BLOCK))
    inputs = (q, k, v, torch.exp(log_decay), now, later, d)
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    y: Tensor = _Scan.apply(*inputs, keep)  # type: ignore[no-untyped-call]
    return y[..., :channels]


def turn(x: Tensor, bias: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Give each head of a group its bias and turn its first pairs: x (B, G, L, N), bias (H, N), cos and sin
    (B, H, L, S) → (B, H, L, N), all of one float dtype."""
    result: Tensor = _Turn.apply(x, bias, cos, sin)  # type: ignore[no-untyped-call]
    return result


class _Turn(torch.autograd.Function):
    """One pass over the memory each way, where elementary operations take ten."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        inputs = tuple(tensor.detach().contiguous() for tensor in (x, bias, cos, sin))
        result = x.new_empty(*cos.shape[:3], x.shape[-1])
        with compiled_threads():
            _turn(*arrays_of(inputs), *arrays_of((result,)))
        ctx.save_for_backward(*inputs)
        return result

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        x, bias, cos, sin = ctx.saved_tensors
        grad_x, grad_cos, grad_sin = (torch.empty_like(tensor) for tensor in (x, cos, sin))
        grad_bias = bias.new_zeros(len(x), *bias.shape)
        with compiled_threads():
            _turn_backward(
                *arrays_of((x, bias, cos, sin, grads[0].contiguous())),
                *arrays_of((grad_x, grad_bias, grad_cos, grad_sin)),
            )
        return grad_x, grad_bias.sum(0), grad_cos, grad_sin


class _Scan(torch.autograd.Function):
    """The scan with decays in place of their logarithms, for channels that fill whole blocks."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        *tensors, keep = arguments
        inputs = tuple(tensor.detach().contiguous() for tensor in tensors)
        (batch, heads, length, channels), states = inputs[2].shape, inputs[1].shape[-1]
        chunks = -(-length // CHUNK) if keep else 0
        saved = inputs[2].new_empty(batch * heads, chunks, states, channels)
        y = torch.empty_like(inputs[2])
        with compiled_threads():
            _forward(_flat(inputs), saved.numpy(), *_flat((y,)), blocks_of(channels))
        ctx.save_for_backward(*inputs, saved)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, saved = ctx.saved_tensors
        grad_y = grads[0].contiguous()
        d = inputs[-1]
        gradients = (
            *(torch.empty_like(tensor) for tensor in inputs[:-1]),
            d.new_empty(len(grad_y), len(d), 1),
        )
        with compiled_threads():
            _backward(
                _flat(inputs), saved.numpy(), *_flat((grad_y,)), _flat(gradients), blocks_of(grad_y.shape[-1])
            )
        return (*gradients[:-1], gradients[-1].sum((0, 2)), None)


def _flat(tensors: Any) -> tuple[Any, ...]:
    """Samples and heads as one leading axis."""
    return arrays_of(tensor if tensor.ndim == 1 else tensor.flatten(0, 1) for tensor in tensors)


if numba_lanes is not None:

    @jit
    def _forward_head(inputs: Any, saved: Any, y: Any, head: int, blocks: Any) -> None:
        q, k, v, decay, now, later, d = inputs
        (_, length, states), width = k.shape, v.shape[2]
        chunks, skip = saved.shape[1], d[head % len(d)]
        h = aligned(states * width, v)
        for start in range(0, width, BLOCK * len(blocks)):
            h[:] = 0
            for t in range(length):
                if chunks > 0 and t % CHUNK == 0:
                    to = (head * chunks + t // CHUNK) * states * width + start
                    for n in range(states):
                        store(saved, to + n * width, load(h, n * width, blocks))
                here = (head * length + t) * width + start
                value, alpha = load(v, here, blocks), decay[head, t]
                at_once, kept = value * now[head, t], value * (now[head, t] + later[head, t])
                total = value * skip
                for n in range(states):
                    state = load(h, n * width, blocks) * alpha
                    total = total + (state + at_once * k[head, t, n]) * q[head, t, n]
                    store(h, n * width, state + kept * k[head, t, n])
                store(y, here, total)

    @jit_parallel
    def _forward(inputs: Any, saved: Any, y: Any, blocks: Any) -> None:
        for head in numba.prange(y.shape[0]):
            _forward_head(inputs, saved, y, head, blocks)

    @jit
    def _backward_head(inputs: Any, saved: Any, grad_y: Any, gradients: Any, head: int, blocks: Any) -> None:
        """Chunk by chunk from the last."""
        q, k, v, decay, now, later, d = inputs
        grad_q, grad_k, grad_v, grad_decay, grad_now, grad_later, grad_d = gradients
        (_, length, states), width, chunks = k.shape, v.shape[2], saved.shape[1]
        skip = d[head % len(d)]
        grad_q[head], grad_k[head], grad_decay[head], grad_now[head], grad_later[head] = 0, 0, 0, 0, 0
        grad_d[head] = 0
        grad_h = aligned(states * width, v)
        history = aligned((CHUNK + 1) * states * width, v)  # states before the first step and after each
        for start in range(0, width, BLOCK * len(blocks)):
            grad_h[:] = 0
            for chunk in range(chunks - 1, -1, -1):
                first = chunk * CHUNK
                steps = min(length - first, CHUNK)
                of = (head * chunks + chunk) * states * width + start
                for n in range(states):
                    store(history, n * width, load(saved, of + n * width, blocks))
                for i in range(steps - 1):
                    t = first + i
                    alpha = decay[head, t]
                    kept = load(v, (head * length + t) * width + start, blocks) * (
                        now[head, t] + later[head, t]
                    )
                    for n in range(states):
                        at = (i * states + n) * width
                        store(
                            history,
                            at + states * width,
                            load(history, at, blocks) * alpha + kept * k[head, t, n],
                        )
                for i in range(steps - 1, -1, -1):
                    t = first + i
                    here = (head * length + t) * width + start
                    value, out, alpha = load(v, here, blocks), load(grad_y, here, blocks), decay[head, t]
                    a, both = now[head, t], now[head, t] + later[head, t]
                    alike = sum_lanes(out * value)
                    from_state, through = value * 0.0, value * 0.0
                    to_kept, match = alike * 0.0, alike * 0.0
                    for n in range(states):
                        key, query = k[head, t, n], q[head, t, n]
                        before, grad = (
                            load(history, (i * states + n) * width, blocks),
                            load(grad_h, n * width, blocks),
                        )
                        grad_q[head, t, n] += alpha * sum_lanes(out * before) + a * key * alike
                        reached = sum_lanes(grad * value)
                        grad_k[head, t, n] += both * reached + a * query * alike
                        to_kept += key * reached
                        match += key * query
                        from_state = from_state + grad * key
                        grad = grad + out * query
                        through = through + grad * before
                        store(grad_h, n * width, grad * alpha)
                    store(grad_v, here, from_state * both + out * (a * match + skip))
                    grad_decay[head, t] += sum_lanes(through)
                    grad_now[head, t] += to_kept + match * alike
                    grad_later[head, t] += to_kept
                    grad_d[head, 0] += alike

    @jit_parallel
    def _backward(inputs: Any, saved: Any, grad_y: Any, gradients: Any, blocks: Any) -> None:
        for head in numba.prange(grad_y.shape[0]):
            _backward_head(inputs, saved, grad_y, gradients, head, blocks)

    @jit_parallel
    def _turn(x: Any, bias: Any, cos: Any, sin: Any, result: Any) -> None:
        (batch, groups, length, states), (_, heads, _, pairs) = x.shape, cos.shape
        for row in numba.prange(batch * heads):
            b, head = row // heads, row % heads
            group = head * groups // heads
            for t in range(length):
                for s in range(pairs):
                    even = x[b, group, t, 2 * s] + bias[head, 2 * s]
                    odd = x[b, group, t, 2 * s + 1] + bias[head, 2 * s + 1]
                    c, d = cos[b, head, t, s], sin[b, head, t, s]
                    result[b, head, t, 2 * s] = even * c - odd * d
                    result[b, head, t, 2 * s + 1] = even * d + odd * c
                for n in range(2 * pairs, states):
                    result[b, head, t, n] = x[b, group, t, n] + bias[head, n]

    @jit_parallel
    def _turn_backward(
        x: Any,
        bias: Any,
        cos: Any,
        sin: Any,
        grad: Any,
        grad_x: Any,
        grad_bias: Any,
        grad_cos: Any,
        grad_sin: Any,
    ) -> None:
        (batch, groups, length, states), (_, heads, _, pairs) = x.shape, cos.shape
        each = heads // groups
        for row in numba.prange(batch * groups):
            b, group = row // groups, row % groups
            grad_x[b, group] = 0
            for head in range(group * each, (group + 1) * each):
                for t in range(length):
                    for s in range(pairs):
                        even = x[b, group, t, 2 * s] + bias[head, 2 * s]
                        odd = x[b, group, t, 2 * s + 1] + bias[head, 2 * s + 1]
                        c, d = cos[b, head, t, s], sin[b, head, t, s]
                        first, second = grad[b, head, t, 2 * s], grad[b, head, t, 2 * s + 1]
                        grad_cos[b, head, t, s] = first * even + second * odd
                        grad_sin[b, head, t, s] = second * even - first * odd
                        to_even, to_odd = first * c + second * d, second * c - first * d
                        grad_x[b, group, t, 2 * s] += to_even
                        grad_x[b, group, t, 2 * s + 1] += to_odd
                        grad_bias[b, head, 2 * s] += to_even
                        grad_bias[b, head, 2 * s + 1] += to_odd
                    for n in range(2 * pairs, states):
                        grad_x[b, group, t, n] += grad[b, head, t, n]
                        grad_bias[b, head, n] += grad[b, head, t, n]
