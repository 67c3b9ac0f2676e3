"""The selective scan over several directions of a map, channel-last: the readable reference, the plain
torch form, and the choice of backend. The compiled CPU kernel is in `selective_scan_numba`.

Legend: `B` batch · `L` cells of the map · `D` inner channels · `N` state size · `K` scan directions · `R`
rank of Δ. One call fuses what happens between the stacked projection and the output norm of a Hilbert-scan
block (MambaAD, arXiv 2404.06564, section 3.2; Mamba, Algorithm 2, with B̄ = ΔB):

    Δ_k = softplus(W_k δ_k + b_k)
    h_t = exp(Δ_k,t A_k) h_{t-1} + Δ_k,t B_k,t u_t        t runs along order[k]
    y_t = Σ_k C_k,t · h_k,t + d u_t                       written back to the cell it came from
"""

from collections.abc import Callable
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from mambaad_demo.errors import KernelUnavailableError
from mambaad_demo.ops import selective_scan_numba

Backend = Literal["auto", "reference", "torch", "numba", "triton", "mamba_ssm"]

_STEPS_PER_BLOCK = 8  # one exp call covers eight steps; more costs memory, fewer costs calls


def selective_scan(
    u: Tensor,
    x: Tensor,
    dt_weight: Tensor,
    dt_bias: Tensor,
    a: Tensor,
    d: Tensor,
    order: Tensor,
    backend: str = "auto",
) -> Tensor:
    """Scan a map along K orders and sum the directions; differentiable in every float argument.

    Args:
        u: (B, L, D) input in row-major cell order.
        x: (B, L, K, R + 2N) projections of the same cells, `[δ | B | C]` in the last axis.
        dt_weight: (K, R, D).
        dt_bias: (K, D), added inside the softplus.
        a: (K, N, D) decay rates, negative.
        d: (D,) skip connection, already summed over directions.
        order: (K, L) integers; row k is a permutation of the cells.
        backend: "auto" or one of the backends; see `resolve_backend`.

    Returns:
        (B, L, D) in the dtype of `u`, computed in float32 or wider.

    Raises:
        ValueError: shapes that do not fit together.
        KernelUnavailableError: the backend asked for by name cannot run here.
    """
    _check_shapes(u, x, dt_weight, dt_bias, a, d, order)
    name = resolve_backend(backend, u.device)
    wide = torch.promote_types(u.dtype, torch.float32)  # in half precision the state drifts
    arguments = [tensor.to(wide) for tensor in (u, x, dt_weight, dt_bias, a, d)]
    order = order.to(u.device)
    return _SCANS[name](*arguments, order).to(u.dtype)


def available_backends(device: torch.device | str = "cpu") -> tuple[str, ...]:
    """Backends that can run on the device, the preferred one first."""
    compiled = (
        ("numba",) if selective_scan_numba.is_available() and torch.device(device).type == "cpu" else ()
    )
    return (*compiled, "torch", "reference")


def resolve_backend(backend: str, device: torch.device | str) -> str:
    """The backend that will run: `auto` takes the fastest for the device, a name must be available or is
    refused."""
    if backend not in get_args(Backend):
        raise ValueError(f"Unknown scan backend {backend!r}: choose one of {', '.join(get_args(Backend))}.")
    available = available_backends(device)
    if backend == "auto":
        return available[0]
    if backend not in available:
        raise KernelUnavailableError(
            f"The scan backend {backend!r} cannot run on {torch.device(device).type} here. "
            f"Available: {', '.join(available)}; use 'auto' to take the first."
        )
    return backend


def _check_shapes(
    u: Tensor, x: Tensor, dt_weight: Tensor, dt_bias: Tensor, a: Tensor, d: Tensor, order: Tensor
) -> None:
    (batch, length, channels), (directions, rank, _), states = u.shape, dt_weight.shape, a.shape[1]
    expected = {
        "x": (x, (batch, length, directions, rank + 2 * states)),
        "dt_weight": (dt_weight, (directions, rank, channels)),
        "dt_bias": (dt_bias, (directions, channels)),
        "a": (a, (directions, states, channels)),
        "d": (d, (channels,)),
        "order": (order, (directions, length)),
    }
    for name, (tensor, shape) in expected.items():
        if tensor.shape != shape:
            raise ValueError(f"selective_scan: {name} has shape {tuple(tensor.shape)}, needs {shape}.")


def _scan_reference(
    u: Tensor, x: Tensor, dt_weight: Tensor, dt_bias: Tensor, a: Tensor, d: Tensor, order: Tensor
) -> Tensor:
    """The textbook recurrence, one direction and one step at a time; slow, meant for checking the others."""
    rank, states = dt_weight.shape[1], a.shape[1]
    y = u * d
    for k, path in enumerate(order):
        delta, b, c = x[:, path, k].split([rank, states, states], dim=-1)  # (B, L, R | N | N) in scan order
        delta = F.softplus(delta @ dt_weight[k] + dt_bias[k])  # (B, L, D)
        h = u.new_zeros(u.shape[0], states, u.shape[2])
        outputs = []
        for t, cell in enumerate(path):
            drive = (delta[:, t] * u[:, cell])[:, None, :] * b[:, t, :, None]
            h = torch.exp(delta[:, t, None, :] * a[k]) * h + drive  # (B, N, D)
            outputs.append((h * c[:, t, :, None]).sum(1))
        y = y.index_add(1, path, torch.stack(outputs, dim=1))
    return y


def _scan_torch(
    u: Tensor, x: Tensor, dt_weight: Tensor, dt_bias: Tensor, a: Tensor, d: Tensor, order: Tensor
) -> Tensor:
    """All directions at once with time in front, eight steps to a block; runs wherever torch runs."""
    rank, states = dt_weight.shape[1], a.shape[1]
    direction = torch.arange(order.shape[0], device=order.device)[:, None]
    ordered = x.permute(2, 1, 0, 3)[direction, order].transpose(0, 1)  # (L, K, B, R + 2N)
    delta, b, c = ordered.split([rank, states, states], dim=-1)
    delta = F.softplus(delta @ dt_weight + dt_bias[:, None])  # (L, K, B, D)
    drive = delta * u.transpose(0, 1)[order.T]
    decay_rate = a[:, None]  # (K, 1, N, D)
    h = u.new_zeros(*drive.shape[1:3], states, drive.shape[3])  # (K, B, N, D)
    outputs = []
    for start in range(0, len(drive), _STEPS_PER_BLOCK):
        block = slice(start, start + _STEPS_PER_BLOCK)
        decays = torch.exp(delta[block, ..., None, :] * decay_rate).unbind(0)
        drives = (drive[block, ..., None, :] * b[block, ..., None]).unbind(0)
        states_of_block = []
        for decay_t, drive_t in zip(decays, drives, strict=True):
            h = torch.addcmul(drive_t, decay_t, h)
            states_of_block.append(h)
        outputs.append(torch.einsum("tkbnd,tkbn->tkbd", torch.stack(states_of_block), c[block]))
    y = torch.cat(outputs).transpose(0, 1)  # (K, L, B, D) in scan order
    inverse = torch.argsort(order, dim=1)
    return y[direction, inverse].sum(0).transpose(0, 1) + u * d


_SCANS: dict[str, Callable[..., Tensor]] = {
    "reference": _scan_reference,
    "torch": _scan_torch,
    "numba": selective_scan_numba.scan,
}
