"""The state-space core of Mamba-3 with one input and output per head: a recurrence, and the same as a matrix.

Legend: `B` batch · `L` steps · `H` heads · `G` groups of heads · `N` state size · `P` channels of a head ·
`S` rotated pairs. With Δ the step, A the decay rate, λ the share of the current input and
Φ_t = Σ_{s≤t} Δ_s π tanh(ω_s):

    k̂_t = Rot(Φ_t) k_t,  q̂_t = Rot(Φ_t) q_t
    h_t = α_t h_{t-1} + (1 - λ_t) Δ_t α_t v_{t-1} k̂_{t-1}ᵀ + λ_t Δ_t v_t k̂_tᵀ,    α_t = exp(Δ_t A_t)
    y_t = h_t q̂_t + d v_t

λ = 1 is the exponential Euler step of Mamba-2. In the matrix form the input of step s reaches every later
step t with weight λ_s Δ_s + (1 - λ_{s+1}) Δ_{s+1}, decayed over the steps between, and its own with λ_s Δ_s.
"""

import math
import warnings
from functools import cache
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from mambaad_demo.errors import KernelUnavailableError
from mambaad_demo.ops import mamba3_mamba_ssm, ssd_numba

Backend = Literal["auto", "reference", "torch", "numba", "mamba_ssm"]

CHUNK = 32
"""Steps whose interactions are one matrix product; states are carried from chunk to chunk. On a CPU, 64
takes a quarter longer."""
_TOLERANCE = 1e-4  # float32 sums in another order; wrong kernels are off by far more


def mamba3_scan(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    step: Tensor,
    rate: Tensor,
    share: Tensor,
    angle: Tensor,
    d: Tensor,
    q_bias: Tensor | None = None,
    k_bias: Tensor | None = None,
    *,
    backend: str = "auto",
    chunk: int = CHUNK,
) -> Tensor:
    """Scan along L; differentiable in every argument.

    Args:
        q, k: (B, G, L, N) reading and writing directions, normalised; each is shared by H / G heads that
            follow one another.
        v: (B, H, L, P) input.
        step: (B, H, L) Δ, positive.
        rate: (B, H, L) A, negative.
        share: (B, H, L) λ in [0, 1].
        angle: (B, G, L, S) ω, any size; 2 S at most N. S = 0 rotates nothing.
        d: (H,) skip connection.
        q_bias, k_bias: (H, N) what each head adds to its directions before they are turned; None for 0.
        backend: "torch" (the matrix form, chunk by chunk), "reference" (the recurrence, step by step),
            "numba" (the recurrence, compiled for CPUs), "mamba_ssm" (that package's kernel for GPUs, in
            bfloat16) or "auto"; see `resolve_backend`.
        chunk: steps of a chunk of the matrix form.

    Returns:
        (B, H, L, P) in the dtype of `v`, computed in float32 or wider.

    Raises:
        ValueError: an unknown backend, or shapes that do not fit together.
        KernelUnavailableError: the backend asked for by name cannot run here.
    """
    name = resolve_backend(backend, v.device)
    if chunk < 1:
        raise ValueError(f"mamba3_scan: chunk must be at least 1, got {chunk}.")
    none = v.new_zeros(v.shape[1], k.shape[-1])
    q_bias, k_bias = (none if bias is None else bias for bias in (q_bias, k_bias))
    _check_shapes(q, k, v, step, rate, share, angle, d, q_bias, k_bias)
    kind = v.dtype
    wide = torch.promote_types(kind, torch.float32)
    q, k, v, step, rate, share, angle, d, q_bias, k_bias = (
        t.to(wide) for t in (q, k, v, step, rate, share, angle, d, q_bias, k_bias)
    )
    if name == "mamba_ssm":
        return mamba3_mamba_ssm.scan(q, k, v, step, rate, share, angle, d, q_bias, k_bias).to(kind)
    phase = _phases(step, angle)
    turn = ssd_numba.turn if name == "numba" else _turned
    q, k = (turn(x, bias, phase.cos(), phase.sin()) for x, bias in ((q, q_bias), (k, k_bias)))
    later = F.pad(((1 - share) * step)[..., 1:], (0, 1))  # what step s + 1 adds of input s
    inputs = (q, k, v, step * rate, share * step, later, d)
    if name == "numba":
        return ssd_numba.scan(*inputs).to(kind)
    return (_recurrent(*inputs) if name == "reference" else _ssd(*inputs, chunk=chunk)).to(kind)


def resolve_backend(backend: str, device: torch.device | str) -> str:
    """The backend that will run on the device; `auto` means numba on a CPU where it works, torch elsewhere.

    Raises:
        ValueError: an unknown name.
        KernelUnavailableError: one was asked for by name and cannot run there; says why.
    """
    if backend not in get_args(Backend):
        raise ValueError(f"Unknown backend {backend!r}: choose one of {', '.join(get_args(Backend))}.")
    kind = torch.device(device).type
    if backend in ("torch", "reference"):
        return backend
    if backend == "auto":
        return "numba" if kind == "cpu" and trouble("numba", kind) is None else "torch"
    if (reason := trouble(backend, kind)) is not None:
        raise KernelUnavailableError(f"The {backend} form of Mamba-3 cannot run on {kind} here: {reason}")
    return backend


def available_backends(device: torch.device | str = "cpu") -> tuple[str, ...]:
    """Forms that can run on this kind of device, the one that `auto` takes first."""
    chosen, missing = resolve_backend("auto", device), unavailable_backends(device)
    names = (name for name in get_args(Backend) if name != "auto" and name not in missing)
    return tuple(sorted(names, key=lambda name: (name != chosen, name == "reference")))


def unavailable_backends(device: torch.device | str = "cpu") -> dict[str, str]:
    """Why the other forms cannot run there."""
    kind = torch.device(device).type
    reasons = {name: trouble(name, kind) for name in _COMPILED}
    return {name: reason for name, reason in reasons.items() if reason is not None}


@cache
def trouble(backend: str, kind: str) -> str | None:
    """Why a compiled form cannot be used on a kind of device, in a sentence; None where it can.

    Like every compiled kernel it first has to give what the torch form gives.
    """
    module, check, tolerance = _COMPILED[backend]
    if (reason := module.missing(kind)) is not None:
        return reason
    try:
        with torch.inference_mode():
            difference = check(kind)
    except Exception as error:  # whatever a foreign compiler throws
        first_line = str(error).partition("\n")[0]
        reason = f"its first use failed ({type(error).__name__}: {first_line})."
    else:
        if difference <= tolerance:
            return None
        reason = f"it differs from the torch form by {difference:.1e} (relative), more than {tolerance:.0e}."
    warnings.warn(f"Mamba-3 cannot run in {backend!r} on {kind}: {reason}", RuntimeWarning, stacklevel=4)
    return reason


def _numba_difference(kind: str) -> float:
    """Largest relative difference of the compiled parts to the torch form."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, 70, size, generator=generator) for size in (32, 32, 32))
    decay, now, later = (torch.rand(1, 2, 70, generator=generator) for _ in range(3))
    arguments = (q, k, v, -decay, now, later, torch.ones(2))
    turns = (k[:, :1], k[0, :, 0], q[..., :8], v[..., :8])  # any numbers do in place of cosines and sines
    return max(
        _relative_difference(ssd_numba.scan(*arguments), _ssd(*arguments)),
        _relative_difference(ssd_numba.turn(*turns), _turned(*turns)),
    )


def _mamba_ssm_difference(kind: str) -> float:
    """Largest relative difference of the whole scan to the torch form."""
    generator = torch.Generator().manual_seed(0)
    q, k = (F.normalize(torch.randn(2, 2, 150, 32, generator=generator), dim=-1) for _ in range(2))
    v = torch.randn(2, 4, 150, 32, generator=generator)
    step, rate, share = (torch.rand(2, 4, 150, generator=generator) for _ in range(3))
    angle = torch.randn(2, 2, 150, 8, generator=generator)
    bias = torch.rand(4, 32, generator=generator)
    arguments = (q, k, v, 0.1 + step, -rate, share, angle, torch.ones(4), bias, bias)
    on_device = [argument.to(kind) for argument in arguments]
    return _relative_difference(mamba3_scan(*on_device, backend="torch"), mamba3_mamba_ssm.scan(*on_device))


def _relative_difference(got: Tensor, true: Tensor) -> float:
    return float((got - true).abs().max() / true.abs().max())


_COMPILED = {
    "numba": (ssd_numba, _numba_difference, _TOLERANCE),
    "mamba_ssm": (mamba3_mamba_ssm, _mamba_ssm_difference, mamba3_mamba_ssm.TOLERANCE),
}
"""Module, check and tolerance of each."""


def _phases(step: Tensor, angle: Tensor) -> Tensor:
    """(B, H, L, S) accumulated angles; summed in float64, since some thousand steps pile up."""
    per_group = math.pi * torch.tanh(angle)[:, :, None]
    increments = (step.unflatten(1, (angle.shape[1], -1))[..., None] * per_group).flatten(1, 2)
    return torch.remainder(increments.cumsum(2, dtype=torch.float64), 2 * math.pi).to(step.dtype)


def _turned(x: Tensor, bias: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Give each head of a group its bias and turn its first S neighbouring pairs.

    x (B, G, L, N), bias (H, N), cos and sin (B, H, L, S) → (B, H, L, N).
    """
    x = (x[:, :, None] + bias.unflatten(0, (x.shape[1], -1))[:, :, None]).flatten(1, 2)
    turned = 2 * cos.shape[-1]
    if turned == 0:
        return x
    even, odd = x[..., :turned:2], x[..., 1:turned:2]
    pairs = torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1)
    return torch.cat([pairs.flatten(-2), x[..., turned:]], dim=-1)


def _recurrent(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, now: Tensor, later: Tensor, d: Tensor
) -> Tensor:
    """The definition, step by step; q and k already turned."""
    decay, before = torch.exp(log_decay), F.pad(later, (1, -1))
    state = v.new_zeros(*v.shape[:2], v.shape[-1], k.shape[-1])  # (B, H, P, N)
    last = torch.zeros_like(state)
    outputs = [v[:, :, :0]]
    for t in range(v.shape[2]):
        write = v[:, :, t, :, None] * k[:, :, t, None, :]
        alpha, new, old = (weight[:, :, t, None, None] for weight in (decay, now, before))
        state = alpha * (state + old * last) + new * write
        last = write
        outputs.append((state @ q[:, :, t, :, None]).mT)
    return torch.addcmul(torch.cat(outputs, dim=2), d[:, None, None], v)


def _ssd(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    now: Tensor,
    later: Tensor,
    d: Tensor,
    *,
    chunk: int = CHUNK,
) -> Tensor:
    """The same as matrix products, one for each chunk, and a state between chunks."""
    skip = d[:, None] - (q * k).sum(-1) * later  # a step does not see what the next adds of its input
    y = _decayed_products(q, k * (now + later)[..., None], v, log_decay, chunk)
    return torch.addcmul(y, skip[..., None], v)


def _decayed_products(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, chunk: int) -> Tensor:
    """y_t = Σ_{s≤t} exp(l_{s+1} + … + l_t) (q_t·k_s) v_s."""
    length = v.shape[2]
    chunk = min(chunk, max(length, 1))
    queries, keys, values, logs = (
        _in_chunks(tensor, chunk) for tensor in (q, k, v, log_decay[..., None])
    )  # (B, H, M, Q, ·)
    sums = logs[..., 0].cumsum(-1)  # log decay from the start of the chunk
    future = torch.full((chunk, chunk), -math.inf, dtype=v.dtype, device=v.device).triu(1)
    weights = torch.exp((sums[..., :, None] - sums[..., None, :]) + future)
    y = ((queries @ keys.mT) * weights) @ values
    to_end = torch.exp(sums[..., -1:] - sums)[..., None]
    ends = (keys * to_end).mT @ values  # (B, H, M, N, P) what each chunk adds to the state
    whole = torch.exp(sums[..., -1])[..., None, None]
    state, starts = torch.zeros_like(ends[:, :, :1]), []
    for added, decay in zip(ends.split(1, dim=2), whole.split(1, dim=2), strict=True):
        starts.append(state)
        state = torch.addcmul(added, decay, state)
    y = y + (queries * torch.exp(sums)[..., None]) @ torch.cat(starts, dim=2)
    return y.flatten(2, 3)[:, :, :length]


def _in_chunks(x: Tensor, chunk: int) -> Tensor:
    """(B, H, L, F) → (B, H, M, Q, F), zeros behind the end: a step of length 0 changes nothing."""
    missing = -x.shape[2] % chunk
    return (F.pad(x, (0, 0, 0, missing)) if missing else x).unflatten(2, (-1, chunk))


def _check_shapes(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    step: Tensor,
    rate: Tensor,
    share: Tensor,
    angle: Tensor,
    d: Tensor,
    q_bias: Tensor,
    k_bias: Tensor,
) -> None:
    if v.ndim != 4 or q.ndim != 4:
        raise ValueError(
            f"mamba3_scan: v has shape {tuple(v.shape)} and q {tuple(q.shape)}, both need four axes."
        )
    if q.shape != k.shape:
        raise ValueError(
            f"mamba3_scan: q has shape {tuple(q.shape)} and k {tuple(k.shape)}, they must agree."
        )
    (batch, heads, length, _), (groups, states), pairs = v.shape, q.shape[1::2], angle.shape[-1]
    if groups == 0 or heads % groups:
        raise ValueError(
            f"mamba3_scan: the {heads} heads of v cannot be shared out among {groups} groups of q."
        )
    expected = {
        "q": (q, (batch, groups, length, states)),
        "k": (k, (batch, groups, length, states)),
        "step": (step, (batch, heads, length)),
        "rate": (rate, (batch, heads, length)),
        "share": (share, (batch, heads, length)),
        "angle": (angle, (batch, groups, length, pairs)),
        "d": (d, (heads,)),
        "q_bias": (q_bias, (heads, states)),
        "k_bias": (k_bias, (heads, states)),
    }
    for name, (tensor, shape) in expected.items():
        if tensor.shape != shape:
            raise ValueError(f"mamba3_scan: {name} has shape {tuple(tensor.shape)}, needs {shape}.")
    if 2 * pairs > states:
        raise ValueError(f"mamba3_scan: {pairs} pairs cannot be turned among {states} states.")
