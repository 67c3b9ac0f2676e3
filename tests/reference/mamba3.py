"""The Mamba-3 recurrence and the duality-enhanced scan block, one token at a time. Slow; for tests only.

Legend: `B` batch · `H` heads · `L = S·S` cells · `C` channels · `D = 2C` inner channels · `N` state size ·
`P` channels of a head · `K` scan directions · `S` rotated pairs.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Cells = NDArray[np.int64]

NORM_EPS = 1e-5


def rotated(x: Array, phases: Array) -> Array:
    """x (N,) with its first neighbours turned, pair by pair, by phases (S,)."""
    turned = x.copy()
    for pair, phase in enumerate(phases):
        a, b = x[2 * pair], x[2 * pair + 1]
        turned[2 * pair] = a * np.cos(phase) - b * np.sin(phase)
        turned[2 * pair + 1] = a * np.sin(phase) + b * np.cos(phase)
    return turned


def scan_sequence(
    q: Array, k: Array, v: Array, step: Array, rate: Array, share: Array, angle: Array, d: float
) -> Array:
    """One head of one sample: q, k (L, N), v (L, P), step, rate, share (L,), angle (L, S) → (L, P)."""
    state, y = np.zeros((v.shape[1], k.shape[1])), np.empty_like(v)
    phases = np.zeros(angle.shape[1])
    last = np.zeros_like(state)  # v_{t-1} k_{t-1}ᵀ, nothing before the first cell
    for t in range(len(v)):
        phases = (phases + step[t] * np.pi * np.tanh(angle[t])) % (2 * np.pi)
        decay = np.exp(step[t] * rate[t])
        this = np.outer(v[t], rotated(k[t], phases))
        state = decay * state + (1 - share[t]) * step[t] * decay * last + share[t] * step[t] * this
        y[t] = state @ rotated(q[t], phases) + d * v[t]
        last = this
    return y


def mamba3_scan(
    q: Array, k: Array, v: Array, step: Array, rate: Array, share: Array, angle: Array, d: Array
) -> Array:
    """q, k (B, H, L, N), v (B, H, L, P), step, rate, share (B, H, L), angle (B, H, L, S), d (H,) → like v."""
    y = np.empty_like(v)
    for b, h in np.ndindex(v.shape[:2]):
        sequences = (part[b, h] for part in (q, k, v, step, rate, share, angle))
        y[b, h] = scan_sequence(*sequences, d[h])
    return y


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def silu(x: Array) -> Array:
    return x * sigmoid(x)


def layer_norm(x: Array, weight: Array, bias: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + NORM_EPS) * weight + bias


def rms_norm(x: Array, weight: Array) -> Array:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + NORM_EPS) * weight


def decay_rate(logit: Array, decay: str) -> Array:
    """A: at most -1e-4."""
    with np.errstate(divide="ignore"):
        heavy = np.where(logit >= 0, 1 + logit, 1 / (1 - np.minimum(logit, 0)))
    size = heavy if decay == "heavy_tail" else np.logaddexp(0, logit)
    return np.minimum(-size, -1e-4)


def depthwise_conv(x: Array, weight: Array, bias: Array) -> Array:
    """3×3 with a border of zeros: x (S, S, D), weight (D, 1, 3, 3) → (S, S, D)."""
    side, padded = len(x), np.pad(x, ((1, 1), (1, 1), (0, 0)))
    return bias + sum(
        padded[i : i + side, j : j + side] * weight[:, 0, i, j] for i in range(3) for j in range(3)
    )


def duality_block(
    state: Mapping[str, Array],
    x: Array,
    order: Cells,
    *,
    head_dim: int,
    pairs: int,
    decay: str = "softplus",
    trapezoid: bool = True,
) -> Array:
    """One sample x (S, S, C) scanned along order (K, L); convolution and gate where the state has them."""
    side, channels = len(x), x.shape[2]
    (directions, length), size = order.shape, state["k_norm"].shape[1]
    heads = 2 * channels // head_dim
    u = layer_norm(x, state["norm.weight"], state["norm.bias"])
    z, values = np.split(u @ state["in_proj.weight"].T, 2, axis=-1)
    if "conv.weight" in state:
        values = silu(depthwise_conv(values, state["conv.weight"], state["conv.bias"]))
    values = values.reshape(length, heads, head_dim)
    projected = (u.reshape(length, channels) @ state["x_proj.weight"].T).reshape(length, directions, -1)
    widths = [size, size, heads, heads, heads, pairs]
    shares = np.ones(directions)
    if "gate" in state:
        logits = state["gate"] @ u.mean((0, 1))
        shares = directions * np.exp(logits) / np.exp(logits).sum()
    total = np.zeros((length, heads, head_dim))
    for one, cells in enumerate(order):
        parts = np.split(projected[cells, one], np.cumsum(widths), axis=-1)
        b, c, step, rate, trapezoids, angle, rest = parts
        assert rest.size == 0
        step = np.logaddexp(0, step + state["dt_bias"][one])
        rate = decay_rate(rate, decay)
        share = sigmoid(trapezoids) if trapezoid else np.ones_like(step)
        for head in range(heads):
            total[cells, head] += shares[one] * scan_sequence(
                rms_norm(c, state["q_norm"][one]) + state["q_bias"][one, head],
                rms_norm(b, state["k_norm"][one]) + state["k_bias"][one, head],
                values[cells, head],
                step[:, head],
                rate[:, head],
                share[:, head],
                angle,
                state["d"][one, head],
            )
    y = layer_norm(total.reshape(side, side, -1), state["out_norm.weight"], state["out_norm.bias"])
    return x + (y * silu(z)) @ state["out_proj.weight"].T
