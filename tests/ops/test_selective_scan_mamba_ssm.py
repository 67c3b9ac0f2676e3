"""The adapter to mamba-ssm: with a stand-in that does what its documented function does, step by step."""

import sys
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mambaad_demo.ops import selective_scan_mamba_ssm as adapter
from tests.ops.test_selective_scan import Shape, random_inputs, relative_error


def selective_scan_fn(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, *, delta_bias: Tensor, delta_softplus: bool
) -> Tensor:
    """u, delta (B, dim, L); A (dim, N); B, C (B, G, N, L), each group for dim / G channels in turn."""
    assert delta_softplus
    assert all(tensor.is_contiguous() for tensor in (u, delta, A, B, C))
    delta = F.softplus(delta + delta_bias[:, None])
    B, C = (tensor.repeat_interleave(u.shape[1] // tensor.shape[1], dim=1) for tensor in (B, C))
    h, outputs = torch.zeros(*u.shape[:2], A.shape[1], dtype=u.dtype), []
    for t in range(u.shape[2]):
        h = torch.exp(delta[..., t, None] * A) * h + (delta * u)[..., t, None] * B[..., t]
        outputs.append((h * C[..., t]).sum(-1))
    return torch.stack(outputs, dim=-1)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("mamba_ssm.ops.selective_scan_interface")
    module.selective_scan_fn = selective_scan_fn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_directions_become_channel_groups_and_back(stand_in: None) -> None:
    inputs = random_inputs(Shape(B=2, L=9, D=5, N=3, R=2, K=4))
    y = adapter.scan(*inputs.floats, inputs.order)
    assert relative_error(y, inputs.scan("torch")) < 1e-12


def test_more_states_than_the_kernel_holds_are_refused(stand_in: None) -> None:
    inputs = random_inputs(Shape(B=1, L=1, D=1, N=257, R=1, K=2))
    with pytest.raises(ValueError, match="256"):
        adapter.scan(*inputs.floats, inputs.order)


def test_what_is_missing_is_said() -> None:
    assert adapter.missing("cpu") == "it is written for CUDA."
