"""The Triton kernel against the torch form in float64: on the GPU where there is one, else interpreted.

The interpreter proves indexing and arithmetic, not races, registers or speed.
"""

import pytest
import torch
from torch import Tensor

from mambaad_demo.ops import selective_scan_triton as kernel
from tests.ops.test_selective_scan import FLOATS, Inputs, Shape, random_inputs, relative_error

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
pytestmark = pytest.mark.skipif(kernel.triton is None, reason="triton is not installed")

# Widths beside the block of 32 channels, lengths beside the chunk of 16 steps, no powers of two.
SHAPES = (
    Shape(B=1, L=1, D=4, N=1, R=1, K=2),
    Shape(B=2, L=7, D=20, N=3, R=2, K=2),
    Shape(B=1, L=33, D=40, N=3, R=3, K=2),
)
# Sums of some dozen float32 terms; bfloat16 inputs carry eight bits, and so do results and gradients.
TOLERANCES = {torch.float64: 1e-14, torch.float32: 2e-6, torch.bfloat16: 1e-2}


def outputs_and_gradients(inputs: Inputs, segments: int | None) -> list[Tensor]:
    """The torch form's where `segments` is None."""
    leaves = inputs.map(lambda tensor: tensor.to(DEVICE).clone().requires_grad_())
    order = inputs.order.to(DEVICE)
    y = leaves.scan("torch") if segments is None else kernel.scan(*leaves.floats, order, segments=segments)
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y)
    return [y.detach(), *torch.autograd.grad((y * weights).sum(), leaves.floats)]


@pytest.mark.parametrize("dtype", list(TOLERANCES), ids=str)
@pytest.mark.parametrize("segments", [1, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_results_and_all_gradients_equal_float64_autograd(
    shape: Shape, segments: int, dtype: torch.dtype
) -> None:
    inputs = random_inputs(shape).map(lambda tensor: tensor.to(dtype))
    expected = outputs_and_gradients(inputs.map(lambda tensor: tensor.double()), None)
    found = outputs_and_gradients(inputs, segments)
    for name, ours, theirs in zip(("y", *FLOATS), found, expected, strict=True):
        assert ours.dtype is dtype
        assert relative_error(ours, theirs) <= TOLERANCES[dtype], name


def test_scanning_twice_gives_the_same_bits() -> None:
    inputs = random_inputs(SHAPES[1], dtype=torch.float32)
    for one, other in zip(outputs_and_gradients(inputs, 1), outputs_and_gradients(inputs, 1), strict=True):
        assert torch.equal(one, other)


def test_a_sequence_is_cut_only_where_whole_chunks_allow_it() -> None:
    inputs = random_inputs(SHAPES[2])
    for asked, expected in ((1, 1), (2, 2), (3, 3), (99, 3)):
        plan = kernel._Plan(inputs.u, inputs.dt_weight, inputs.a, asked)
        assert plan.segments == expected
        assert plan.segment % kernel.CHUNK == 0


def test_the_kernel_is_chosen_by_name_and_gives_what_auto_gives() -> None:
    inputs = random_inputs(SHAPES[1], dtype=torch.float32).map(lambda tensor: tensor.to(DEVICE))
    inputs = Inputs(**{name: getattr(inputs, name) for name in FLOATS}, order=inputs.order.to(DEVICE))
    assert relative_error(inputs.scan("triton"), inputs.scan("torch")) <= TOLERANCES[torch.float32]
