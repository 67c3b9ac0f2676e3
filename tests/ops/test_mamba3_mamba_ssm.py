"""The adapter to mamba-ssm's Mamba-3: with a stand-in that does what its documented function does, step by
step."""

import math
import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor

from mambaad_demo.errors import KernelUnavailableError
from mambaad_demo.ops import mamba3, mamba3_mamba_ssm
from mambaad_demo.ops.mamba3 import mamba3_scan, resolve_backend
from tests.ops.test_mamba3 import relative_error


def mamba3_siso_combined(
    Q: Tensor,
    K: Tensor,
    V: Tensor,
    ADT: Tensor,
    DT: Tensor,
    Trap: Tensor,
    Q_bias: Tensor,
    K_bias: Tensor,
    Angles: Tensor,
    D: Tensor,
    chunk_size: int,
) -> Tensor:
    """Q, K (B, L, G, N); V (B, L, H, P); ADT, DT, Trap (B, H, L); biases (H, N); Angles (B, L, H, S)."""
    assert all(tensor.is_contiguous() for tensor in (Q, K, V, ADT, DT, Trap, Q_bias, K_bias, Angles, D))
    assert chunk_size & (chunk_size - 1) == 0
    pairs, states = Angles.shape[-1], Q.shape[-1]
    assert pairs % 2 == 0
    assert 0 < pairs <= states // 2
    heads = V.shape[2]
    Q, K = (x.repeat_interleave(heads // x.shape[2], dim=2) for x in (Q, K))
    share = torch.sigmoid(Trap)
    turned = torch.zeros(V.shape[0], heads, pairs, dtype=V.dtype)
    state = torch.zeros(V.shape[0], heads, V.shape[-1], states, dtype=V.dtype)
    before = torch.zeros_like(state)
    outputs = []
    for t in range(V.shape[1]):
        turned = turned + DT[:, :, t, None] * math.pi * torch.tanh(Angles[:, t])
        q, k = (rotated(x[:, t] + bias, turned) for x, bias in ((Q, Q_bias), (K, K_bias)))
        written = V[:, t, :, :, None] * k[:, :, None]
        alpha, step, lam = (x[:, :, t, None, None] for x in (torch.exp(ADT), DT, share))
        state = alpha * state + (1 - lam) * step * alpha * before + lam * step * written
        before = written
        outputs.append((state @ q[..., None])[..., 0] + D[:, None] * V[:, t])
    return torch.stack(outputs, dim=1)


def rotated(x: Tensor, angle: Tensor) -> Tensor:
    """Turn neighbouring pairs (a, b) to (a cos - b sin, a sin + b cos)."""
    x = x.clone()
    even, odd = x[..., 0 : 2 * angle.shape[-1] : 2].clone(), x[..., 1 : 2 * angle.shape[-1] : 2].clone()
    x[..., 0 : 2 * angle.shape[-1] : 2] = even * angle.cos() - odd * angle.sin()
    x[..., 1 : 2 * angle.shape[-1] : 2] = even * angle.sin() + odd * angle.cos()
    return x


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("mamba_ssm.ops.triton.mamba3.mamba3_siso_combined")
    module.mamba3_siso_combined = mamba3_siso_combined  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.fixture
def can_run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this CPU were the GPU that the package is for."""
    mamba3.trouble.cache_clear()
    monkeypatch.setattr(mamba3_mamba_ssm, "missing", lambda kind: None)
    yield
    mamba3.trouble.cache_clear()


def arguments(*, heads: int = 4, groups: int = 2, states: int = 8, pairs: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)

    def normal(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=generator, dtype=torch.float64)

    return [
        normal(2, groups, 13, states),
        normal(2, groups, 13, states),
        normal(2, heads, 13, 4),
        normal(2, heads, 13).exp(),
        -normal(2, heads, 13).exp(),
        torch.rand(2, heads, 13, generator=generator, dtype=torch.float64),
        normal(2, groups, 13, pairs),
        normal(heads),
        normal(heads, states),
        normal(heads, states),
    ]


@pytest.mark.parametrize("pairs", [0, 1, 2, 3, 4])
@pytest.mark.parametrize(("heads", "groups"), [(1, 1), (4, 1), (4, 2), (4, 4)])
def test_it_gives_what_the_recurrence_gives(
    stand_in: ModuleType, heads: int, groups: int, pairs: int
) -> None:
    inputs = arguments(heads=heads, groups=groups, pairs=pairs)
    expected = mamba3_scan(*inputs, backend="reference")
    assert relative_error(mamba3_mamba_ssm.scan(*inputs), expected) < 1e-12


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_without_a_logit_stays_finite(stand_in: ModuleType, share: float) -> None:
    inputs = arguments()
    inputs[5] = torch.full_like(inputs[5], share)
    expected = mamba3_scan(*inputs, backend="reference")
    assert relative_error(mamba3_mamba_ssm.scan(*inputs), expected) < 1e-5


def test_sizes_that_are_no_powers_of_two_are_refused(stand_in: ModuleType) -> None:
    with pytest.raises(ValueError, match="powers of two, got 6 states"):
        mamba3_mamba_ssm.scan(*arguments(states=6))


def test_a_kernel_that_agrees_runs_when_it_is_asked_for_and_never_by_itself(
    stand_in: ModuleType, can_run_here: None
) -> None:
    assert resolve_backend("mamba_ssm", "cpu") == "mamba_ssm"
    assert resolve_backend("auto", "cpu") != "mamba_ssm"
    inputs = arguments()
    calls = []
    stand_in.mamba3_siso_combined = lambda *args, **options: (  # type: ignore[attr-defined]
        calls.append(len(args)) or mamba3_siso_combined(*args, **options)
    )
    output = mamba3_scan(*inputs, backend="mamba_ssm")
    assert calls == [9]
    assert relative_error(output, mamba3_scan(*inputs, backend="reference")) < 1e-12


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (
            lambda *args, **options: 1.1 * mamba3_siso_combined(*args, **options),
            "differs from the torch form",
        ),
        (lambda *args, **options: mamba3_siso_combined(*args, **options)[:, :1], "differs|first use failed"),
        (lambda *args, **options: float("nan") * args[2], "differs from the torch form by nan"),
    ],
    ids=["a tenth too much", "another shape", "not a number"],
)
def test_a_kernel_that_does_not_agree_is_refused_with_the_reason(
    stand_in: ModuleType, can_run_here: None, broken: object, reason: str
) -> None:
    stand_in.mamba3_siso_combined = broken  # type: ignore[attr-defined]
    with pytest.warns(RuntimeWarning, match=reason), pytest.raises(KernelUnavailableError, match=reason):
        resolve_backend("mamba_ssm", "cpu")


def test_without_the_package_or_a_gpu_the_reason_is_said() -> None:
    with pytest.raises(KernelUnavailableError, match="written for CUDA"):
        resolve_backend("mamba_ssm", "cpu")
