"""The optimiser: Muon for matrices and convolutions and AdamW for everything else, or AdamW alone as
published."""

import warnings
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

OptimizerKind = Literal["muon", "adamw"]

_BETAS: dict[str, tuple[float, float]] = {"muon": (0.9, 0.95), "adamw": (0.9, 0.999)}
"""Of AdamW: beside Muon as measured in decision 0006, alone as in the code of MambaAD and Pyramid-Mamba."""
_SCAN = ("a_log", "_bias", ".d", "_norm", ".gate")


class Optimizer:
    """Muon (Jordan et al. 2024) on every weight that multiplies, AdamW on biases, norms, depthwise kernels
    and the scan's own decay, step, skip, biases and norms.

    Muon orthogonalises each update, so all directions of a matrix learn equally fast; what that brings is in
    decision 0006. A convolution (out, in, kh, kw) counts as the matrix (out, in * kh * kw), projections of
    K directions (K, P, D) as (K * P, D). `torch.optim.Muon` came with torch 2.9; before, AdamW takes all.

    Args:
        model: its parameters that require a gradient are fitted.
        weight_decay: on matrices and convolutions only. (MambaAD's code decays the scan's decay and step bias
            too, though it marks them as exempt.)
        kind: `muon` as above, or `adamw` for all parameters, as published.

    Raises:
        ValueError: an unknown kind.
    """

    def __init__(self, model: nn.Module, *, weight_decay: float, kind: OptimizerKind = "muon") -> None:
        if kind not in get_args(OptimizerKind):
            raise ValueError(
                f"Unknown optimiser {kind!r}: choose one of {', '.join(get_args(OptimizerKind))}."
            )
        muon = kind == "muon" and hasattr(torch.optim, "Muon")
        if kind == "muon" and not muon:
            warnings.warn("AdamW alone needs more steps: Muon came with torch 2.9.", stacklevel=2)
        decayed: list[nn.Parameter] = []
        exempt: list[nn.Parameter] = []
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                scalar = parameter.ndim < 2 or name.endswith(_SCAN)
                (exempt if scalar else decayed).append(parameter)
        self._convolved = [p for p in decayed if muon and (p.ndim == 2 or p.shape[1] > 1)]
        chosen = {id(p) for p in self._convolved}
        self._adamw = torch.optim.AdamW(
            [
                {"params": [p for p in decayed if id(p) not in chosen], "weight_decay": weight_decay},
                {"params": exempt, "weight_decay": 0.0},
            ],
            betas=_BETAS[kind],
        )
        self._matrices: list[Tensor] = [_as_matrix(p.detach()) for p in self._convolved]
        self._muon = (
            torch.optim.Muon(self._matrices, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
            if self._matrices
            else None
        )

    def step(self, *, adamw_rate: float, muon_rate: float) -> None:
        """Update all parameters from their gradients with these learning rates; `muon_rate` goes unused where
        AdamW is alone."""
        for group in self._adamw.param_groups:
            group["lr"] = adamw_rate
        self._adamw.step()
        if self._muon is None:
            return
        for group in self._muon.param_groups:
            group["lr"] = muon_rate
        for matrix, parameter in zip(self._matrices, self._convolved, strict=True):
            matrix.grad = None if parameter.grad is None else parameter.grad.reshape(matrix.shape)
        self._muon.step()

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self._adamw.zero_grad()
        for parameter in self._convolved:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Moments of both optimisers."""
        return {"adamw": self._adamw.state_dict(), "muon": self._muon.state_dict() if self._muon else None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the moments of `state_dict`."""
        self._adamw.load_state_dict(state["adamw"])
        if self._muon is not None:
            self._muon.load_state_dict(state["muon"])


def _as_matrix(weight: Tensor) -> Tensor:
    """A view with as many rows as the weight has outputs."""
    return weight.flatten(0, 1) if weight.ndim == 3 else weight.flatten(1)
