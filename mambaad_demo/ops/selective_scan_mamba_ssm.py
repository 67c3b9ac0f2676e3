"""The selective scan by the CUDA kernel of the `mamba-ssm` package, where somebody has built it: an oracle
for ours, and a choice.

Directions become channel groups of one causal scan, so inputs are copied into scan order and back. The last
release (2.3) raises at import without its compiled extension; the main branch imports, and raises at the
first call. Either way the reason reaches the user, and nothing of the package is imported before it is asked
for.
"""

from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

_LARGEST_STATE = 256


def missing(kind: str) -> str | None:
    """What the kernel lacks on this kind of device, in a sentence; None where it can be tried."""
    if kind != "cuda":
        return "it is written for CUDA."
    return None if find_spec("mamba_ssm") is not None else "mamba-ssm is not installed."


def scan(
    u: Tensor, x: Tensor, dt_weight: Tensor, dt_bias: Tensor, a: Tensor, d: Tensor, order: Tensor
) -> Tensor:
    """`selective_scan` in float32; shapes as there.

    Raises:
        ValueError: more states than the kernel has room for.
        ImportError, RuntimeError: the package is not built for this machine.
    """
    kernel = import_module("mamba_ssm.ops.selective_scan_interface").selective_scan_fn
    (directions, rank, channels), states = dt_weight.shape, a.shape[1]
    if states > _LARGEST_STATE:
        raise ValueError(f"mamba-ssm scans at most {_LARGEST_STATE} states, got {states}.")
    direction = torch.arange(directions, device=order.device)[:, None]
    low, b, c = x.transpose(1, 2)[:, direction, order].split([rank, states, states], dim=-1)  # (B, K, L, ·)
    y = kernel(
        u[:, order].transpose(2, 3).flatten(1, 2).contiguous(),  # (B, KD, L)
        (low @ dt_weight).transpose(2, 3).flatten(1, 2).contiguous(),
        a.transpose(1, 2).flatten(0, 1).contiguous(),  # (KD, N)
        b.transpose(2, 3).contiguous(),  # (B, K, N, L): one group of channels per direction
        c.transpose(2, 3).contiguous(),
        delta_bias=dt_bias.flatten(),
        delta_softplus=True,
    )
    ordered = y.unflatten(1, (directions, channels)).transpose(2, 3)  # (B, K, L, D)
    return ordered[:, direction, torch.argsort(order, dim=1)].sum(1) + u * d
