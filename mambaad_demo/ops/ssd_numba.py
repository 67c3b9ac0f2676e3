"""The state-space dual scan on a CPU: a recurrence with one decay per head and step, forward and backward,
compiled by numba.

    h_t = exp(l_t) h_{t-1} + v_t k_tᵀ,    y_t = h_t q_t        (Mamba-2, arXiv 2405.21060, section 3)

A task is one head of one sample; the rows of its state, one for each of the N states, are vectors over its P
channels. The backward pass recomputes the states of a chunk from the one at its start.

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


def scan(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor) -> Tensor:
    """q, k (B, H, L, N), v (B, H, L, P), log_decay (B, H, L) → (B, H, L, P), all of one float dtype."""
    channels = v.shape[-1]
    v = F.pad(v, (0, -channels % BLOCK))
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (q, k, v, log_decay))
    y: Tensor = _Scan.apply(q, k, v, torch.exp(log_decay), keep)  # type: ignore[no-untyped-call]
    return y[..., :channels]


class _Scan(torch.autograd.Function):
    """The scan with decays in place of their logarithms, for channels that fill whole blocks."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, decay: Tensor, keep: bool) -> Tensor:
        inputs = tuple(tensor.detach().contiguous() for tensor in (q, k, v, decay))
        (batch, heads, length, channels), states = v.shape, k.shape[-1]
        chunks = -(-length // CHUNK) if keep else 0
        saved = v.new_empty(batch * heads, chunks, states, channels)
        y = torch.empty_like(inputs[2])
        with compiled_threads():
            _forward(_flat(inputs), saved.numpy(), *_flat((y,)), blocks_of(channels))
        ctx.save_for_backward(*inputs, saved)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, saved = ctx.saved_tensors
        grad_y = grads[0].contiguous()
        gradients = tuple(torch.empty_like(tensor) for tensor in inputs)
        with compiled_threads():
            _backward(
                _flat(inputs), saved.numpy(), *_flat((grad_y,)), _flat(gradients), blocks_of(grad_y.shape[-1])
            )
        return (*gradients, None)


def _flat(tensors: Any) -> tuple[Any, ...]:
    """Samples and heads as one leading axis."""
    return arrays_of(tensor.flatten(0, 1) for tensor in tensors)


if numba_lanes is not None:

    @jit
    def _forward_head(inputs: Any, saved: Any, y: Any, head: int, blocks: Any) -> None:
        q, k, v, decay = inputs
        (_, length, states), width = k.shape, v.shape[2]
        chunks = saved.shape[1]
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
                total = value * 0.0
                for n in range(states):
                    state = load(h, n * width, blocks) * alpha + value * k[head, t, n]
                    store(h, n * width, state)
                    total = total + state * q[head, t, n]
                store(y, here, total)

    @jit_parallel
    def _forward(inputs: Any, saved: Any, y: Any, blocks: Any) -> None:
        for head in numba.prange(y.shape[0]):
            _forward_head(inputs, saved, y, head, blocks)

    @jit
    def _backward_head(inputs: Any, saved: Any, grad_y: Any, gradients: Any, head: int, blocks: Any) -> None:
        """Chunk by chunk from the last."""
        q, k, v, decay = inputs
        grad_q, grad_k, grad_v, grad_decay = gradients
        (_, length, states), width, chunks = k.shape, v.shape[2], saved.shape[1]
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
                for i in range(steps):
                    alpha = decay[head, first + i]
                    value = load(v, (head * length + first + i) * width + start, blocks)
                    for n in range(states):
                        at = (i * states + n) * width
                        state = load(history, at, blocks) * alpha + value * k[head, first + i, n]
                        store(history, at + states * width, state)
                for i in range(steps - 1, -1, -1):
                    t = first + i
                    here = (head * length + t) * width + start
                    value, out, alpha = load(v, here, blocks), load(grad_y, here, blocks), decay[head, t]
                    grad_value, through = value * 0.0, value * 0.0
                    for n in range(states):
                        at = (i * states + n) * width
                        grad = load(grad_h, n * width, blocks) + out * q[head, t, n]
                        to_q = sum_lanes(load(history, at + states * width, blocks) * out)
                        to_k = sum_lanes(grad * value)
                        if start == 0:
                            grad_q[head, t, n], grad_k[head, t, n] = to_q, to_k
                        else:
                            grad_q[head, t, n] += to_q
                            grad_k[head, t, n] += to_k
                        grad_value = grad_value + grad * k[head, t, n]
                        through = through + grad * load(history, at, blocks)
                        store(grad_h, n * width, grad * alpha)
                    store(grad_v, here, grad_value)
                    if start == 0:
                        grad_decay[head, t] = sum_lanes(through)
                    else:
                        grad_decay[head, t] += sum_lanes(through)

    @jit_parallel
    def _backward(inputs: Any, saved: Any, grad_y: Any, gradients: Any, blocks: Any) -> None:
        for head in numba.prange(grad_y.shape[0]):
            _backward_head(inputs, saved, grad_y, gradients, head, blocks)
