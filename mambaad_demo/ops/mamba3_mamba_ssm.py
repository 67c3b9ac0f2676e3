"""Mamba-3 by the Triton kernel of the `mamba-ssm` package, version 2.3.2 or later, where somebody installed
it: a choice, never a default.

The kernel computes in bfloat16 whatever it is given, so its results differ from the other forms by about a
hundredth of their largest value, more than checkpoints allow: decoders do not choose it. It wants λ before
the sigmoid and the decay as Δ A, adds the biases itself, and its axes have another order. It has not been
run by us on any GPU yet; the check before its first use decides.
"""

from importlib import import_module

import torch
import torch.nn.functional as F
from torch import Tensor

from mambaad_demo.ops.selective_scan_mamba_ssm import missing

__all__ = ["TOLERANCE", "missing", "scan"]

TOLERANCE = 3e-2
"""Largest accepted difference to the torch form, relative to its largest value."""

_CHUNK = 64
_SMALLEST_SHARE = 1e-6  # λ of 0 or 1 has no finite logit


def scan(
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
) -> Tensor:
    """`mamba3_scan` in float32; shapes as there, biases given.

    Raises:
        ValueError: sizes that the kernel does not take.
        ImportError: the package has no such kernel.
    """
    kernel = import_module("mamba_ssm.ops.triton.mamba3.mamba3_siso_combined").mamba3_siso_combined
    states, channels = q.shape[-1], v.shape[-1]
    if any(size & (size - 1) for size in (states, channels)):
        raise ValueError(f"mamba-ssm takes powers of two, got {states} states and {channels} channels.")
    heads_of_group = v.shape[1] // q.shape[1]
    angles = angle.repeat_interleave(heads_of_group, dim=1)
    if (pairs := angle.shape[-1]) % 2 or pairs == 0:
        angles = F.pad(angles, (0, 2 - pairs % 2))  # an angle of 0 turns nothing
    y: Tensor = kernel(
        q.transpose(1, 2).contiguous(),  # (B, L, G, N)
        k.transpose(1, 2).contiguous(),
        v.transpose(1, 2).contiguous(),  # (B, L, H, P)
        (step * rate).contiguous(),  # (B, H, L)
        step.contiguous(),
        torch.logit(share, eps=_SMALLEST_SHARE).contiguous(),
        q_bias.contiguous(),
        k_bias.contiguous(),
        angles.transpose(1, 2).contiguous(),  # (B, L, H, S)
        D=d.contiguous(),
        chunk_size=_CHUNK,
    )
    return y.transpose(1, 2).to(v.dtype)
