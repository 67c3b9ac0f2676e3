"""The selective scan over several directions of a map, channel-last, and the choice of what computes it.

Each backend is a module beside this one with the same `scan`. A compiled one is compared with the torch form
on the live device before its first use, and left out with the reason when it differs or does not run.

Legend: `B` batch · `L` cells of the map · `D` inner channels · `N` state size · `K` scan directions · `R`
rank of Δ. One call fuses what happens between the stacked projection and the output norm of a Hilbert-scan
block (MambaAD, arXiv 2404.06564, section 3.2; Mamba, Algorithm 2, with B̄ = ΔB):

    Δ_k = softplus(W_k δ_k + b_k)
    h_t = exp(Δ_k,t A_k) h_{t-1} + Δ_k,t B_k,t u_t        t runs along order[k]
    y_t = Σ_k C_k,t · h_k,t + d u_t                       written back to the cell it came from
"""

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from mambaad_demo.errors import KernelUnavailableError
from mambaad_demo.ops import (
    selective_scan_mamba_ssm,
    selective_scan_numba,
    selective_scan_torch,
    selective_scan_triton,
)

Backend = Literal["auto", "reference", "torch", "numba", "triton", "mamba_ssm"]

_MODULES: dict[str, Any] = {
    "torch": selective_scan_torch,
    "numba": selective_scan_numba,
    "triton": selective_scan_triton,
    "mamba_ssm": selective_scan_mamba_ssm,
}
_FASTEST_FIRST = {"cpu": ("numba",), "cuda": ("triton", "mamba_ssm")}
_BY_NAME_ONLY = ("triton",)  # on a CPU it is interpreted, for tests
_WIDENS_BY_ITSELF = ("triton",)  # reads half precision, computes in single
_CHECKED = {"numba": (2, 70, 128)}  # batch, cells, channels: the tile width of real networks, compiled once
_CHECKED_OTHERWISE = (2, 37, 48)  # no power of two anywhere
_TOLERANCE = 1e-4  # float32 sums of some dozen steps in another order; wrong kernels are off by far more


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
    return _run(name, (u, x, dt_weight, dt_bias, a, d), order.to(u.device))


def available_backends(device: torch.device | str = "cpu") -> tuple[str, ...]:
    """Backends that can run on this kind of device, the preferred one first."""
    kind = torch.device(device).type
    return tuple(name for name in (*_preferred(kind), *_BY_NAME_ONLY) if trouble(name, kind) is None)


def unavailable_backends(device: torch.device | str = "cpu") -> dict[str, str]:
    """Why the other backends cannot run there."""
    kind = torch.device(device).type
    reasons = {name: trouble(name, kind) for name in _MODULES}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def resolve_backend(backend: str, device: torch.device | str) -> str:
    """The backend that will run on the device.

    `auto` takes the first of the device's list that works and warns once for each that does not; a name must
    work or is refused.

    Raises:
        ValueError: an unknown name.
        KernelUnavailableError: the backend asked for by name cannot run there; says why.
    """
    if backend not in get_args(Backend):
        raise ValueError(f"Unknown scan backend {backend!r}: choose one of {', '.join(get_args(Backend))}.")
    kind = torch.device(device).type
    if backend == "auto":
        chosen = next(name for name in _preferred(kind) if trouble(name, kind) is None)
        for name in _preferred(kind)[: _preferred(kind).index(chosen)]:
            _warn_once(name, kind, chosen)
        return chosen
    if (reason := trouble(backend, kind)) is not None:
        raise KernelUnavailableError(
            f"The scan backend {backend!r} cannot run on {kind} here: {reason} "
            f"Available: {', '.join(available_backends(device))}; use 'auto' to take the first."
        )
    return backend


@cache
def trouble(backend: str, kind: str) -> str | None:
    """Why a backend cannot be used on a kind of device, in a sentence; None where it can.

    A compiled backend is run once on a few random cells and compared with the torch form, on an accelerator
    with its gradients too, so that neither a broken installation nor a wrong kernel ever reaches a result.
    """
    if backend in ("torch", "reference"):
        return None
    try:
        if (reason := _MODULES[backend].missing(kind)) is not None:
            return reason
        difference = _difference_to_torch(backend, kind)
    except Exception as error:  # whatever a foreign compiler or driver throws
        first_line = str(error).partition("\n")[0]
        return f"its first use failed ({type(error).__name__}: {first_line})."
    if not difference <= _TOLERANCE:
        return f"it differs from the torch form by {difference:.1e} (relative), more than {_TOLERANCE:.0e}."
    return None


def _preferred(kind: str) -> tuple[str, ...]:
    """What `auto` tries on a kind of device, the fastest first."""
    return (*_FASTEST_FIRST.get(kind, ()), "torch", "reference")


@cache
def _warn_once(backend: str, kind: str, instead: str) -> None:
    warnings.warn(
        f"The scan runs in {instead!r}, since {backend!r} cannot run on {kind}: {trouble(backend, kind)}",
        RuntimeWarning,
        stacklevel=4,
    )


def _difference_to_torch(backend: str, kind: str) -> float:
    """Largest relative difference on random cells: of outputs, and on an accelerator of gradients, since
    compiling a backward pass on a CPU delays the first result by seconds."""
    generator = torch.Generator().manual_seed(0)
    batch, length, channels = _CHECKED.get(backend, _CHECKED_OTHERWISE)
    directions, states, rank = 2, 16, 3
    sizes = (
        *((batch, length, channels), (batch, length, directions, rank + 2 * states)),
        *((directions, rank, channels), (directions, channels), (directions, states, channels), (channels,)),
    )
    results = []
    with torch.inference_mode(False), torch.enable_grad():  # whatever the caller is in the middle of
        order = torch.stack([torch.randperm(length, generator=generator) for _ in range(directions)]).to(kind)
        values = [torch.randn(size, generator=generator).to(kind) for size in sizes]
        values[4] = -values[4].exp()  # decay rates
        for name in (backend, "torch"):
            leaves = [value.clone().requires_grad_() for value in values]
            y = _run(name, leaves, order)
            gradients = () if kind == "cpu" else torch.autograd.grad(y.square().sum(), leaves)
            results.append([y.detach(), *gradients])
    return max(
        float((ours - theirs).abs().max() / theirs.abs().max()) for ours, theirs in zip(*results, strict=True)
    )


def _run(name: str, floats: Sequence[Tensor], order: Tensor) -> Tensor:
    """Scan with float arguments in the order of `selective_scan`."""
    kind = floats[0].dtype
    if name not in _WIDENS_BY_ITSELF:
        wide = torch.promote_types(kind, torch.float32)  # in half precision the state drifts
        floats = [tensor.to(wide) for tensor in floats]
    scan: Callable[..., Tensor] = (
        selective_scan_torch.scan_reference if name == "reference" else _MODULES[name].scan
    )
    return scan(*floats, order).to(kind)


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
