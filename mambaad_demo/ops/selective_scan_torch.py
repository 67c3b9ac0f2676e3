"""The selective scan in torch operations: the textbook loop, and the form that runs anywhere.

Shapes and names as in `selective_scan`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_STEPS_PER_BLOCK = 8  # one exp call covers eight steps; more costs memory, fewer costs calls


def scan_reference(
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


def scan(
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
