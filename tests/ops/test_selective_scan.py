"""The selective scan: every backend against a slow derivation in float64, and what a scan must obey."""

import math
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mambaad_demo.errors import KernelUnavailableError
from mambaad_demo.ops import selective_scan as selective_scan_module
from mambaad_demo.ops import selective_scan_numba
from mambaad_demo.ops.scan_order import scan_directions
from mambaad_demo.ops.selective_scan import available_backends, resolve_backend, selective_scan
from tests.reference import scan as reference

FAST = ("torch", "numba")
BACKENDS = ("reference", *FAST)
every_backend = pytest.mark.parametrize("backend", BACKENDS)
fast_backends = pytest.mark.parametrize("backend", FAST)

# Sums of a few hundred float32 terms of mixed sign, and an exponential good to a few parts in ten million.
FLOAT32 = 2e-6
FLOAT64 = 1e-12


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes named as in the legend of the reference."""

    B: int = 2
    L: int
    D: int
    N: int
    R: int
    K: int

    def __str__(self) -> str:
        return f"B{self.B}-L{self.L}-D{self.D}-N{self.N}-R{self.R}-K{self.K}"


# Widths that fill one tile of channels, several or none; lengths around blocks of 8 steps. Chunks of 64 steps
# are crossed further down.
SHAPES = (
    Shape(L=1, D=16, N=4, R=2, K=4),
    Shape(B=1, L=7, D=20, N=3, R=2, K=2),
    Shape(B=3, L=33, D=5, N=2, R=1, K=8),
    Shape(L=32, D=64, N=16, R=4, K=2),
    Shape(L=81, D=80, N=16, R=5, K=4),
    Shape(B=1, L=64, D=128, N=16, R=4, K=8),
)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
SMALL = Shape(L=35, D=6, N=3, R=2, K=4)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The arguments of `selective_scan`, by its names."""

    u: Tensor
    x: Tensor
    dt_weight: Tensor
    dt_bias: Tensor
    a: Tensor
    d: Tensor
    order: Tensor

    @property
    def floats(self) -> tuple[Tensor, ...]:
        return self.u, self.x, self.dt_weight, self.dt_bias, self.a, self.d

    def map(self, change: Callable[[Tensor], Tensor]) -> "Inputs":
        return Inputs(**dict(zip(FLOATS, map(change, self.floats), strict=True)), order=self.order)

    def scan(self, backend: str) -> Tensor:
        return selective_scan(
            self.u, self.x, self.dt_weight, self.dt_bias, self.a, self.d, self.order, backend=backend
        )


FLOATS = ("u", "x", "dt_weight", "dt_bias", "a", "d")


def random_inputs(shape: Shape, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> Inputs:
    """Steps and decay rates as in a fresh decoder, everything else of order one, any permutations."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=generator, dtype=torch.float64)

    b, length, d, n, r, k = shape.B, shape.L, shape.D, shape.N, shape.R, shape.K
    return Inputs(
        u=normal(b, length, d),
        x=normal(b, length, k, r + 2 * n),
        dt_weight=normal(k, r, d) / math.sqrt(r),
        dt_bias=normal(k, d) - 3,
        a=-torch.arange(1.0, n + 1, dtype=torch.float64)[:, None].expand(k, n, d) * normal(k, n, d).exp(),
        d=normal(d),
        order=torch.stack([torch.randperm(length, generator=generator) for _ in range(k)]),
    ).map(lambda tensor: tensor.to(dtype))


def slow_scan(inputs: Inputs) -> Tensor:
    u, x, dt_weight, dt_bias, a, d = (tensor.detach().double().numpy() for tensor in inputs.floats)
    return torch.from_numpy(reference.selective_scan(u, x, dt_weight, dt_bias, a, d, inputs.order.numpy()))


def relative_error(value: Tensor, expected: Tensor) -> float:
    """The largest difference measured in units of the largest expected value; 0 where both are all zero."""
    return float((value.double() - expected.double()).abs().max() / expected.abs().max().clamp_min(1e-30))


def gradients(inputs: Inputs, backend: str) -> list[Tensor]:
    """Gradients of a fixed random weighting of the output, in every float argument."""
    leaves = inputs.map(lambda tensor: tensor.clone().requires_grad_())
    output = leaves.scan(backend)
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output.dtype)
    return list(torch.autograd.grad((output * weights).sum(), leaves.floats))


def hand_made(order: list[list[int]], d: float = 0.0) -> Inputs:
    """Three cells of input 1, 2, 4; step 1, decay one half per step, B = C = 1."""
    k = len(order)
    return Inputs(
        u=torch.tensor([[[1.0], [2.0], [4.0]]]),
        x=torch.tensor([0.0, 1.0, 1.0]).expand(1, 3, k, 3),
        dt_weight=torch.zeros(k, 1, 1),
        dt_bias=torch.full((k, 1), math.log(math.e - 1)),  # softplus → 1
        a=torch.full((k, 1, 1), -math.log(2)),
        d=torch.tensor([d]),
        order=torch.tensor(order),
    )


@every_backend
@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (hand_made([[0, 1, 2]]), [1, 2.5, 5.25]),
        (hand_made([[2, 1, 0]]), [3, 4, 4]),
        (hand_made([[1, 0, 2]]), [2, 2, 5]),
        (hand_made([[0, 1, 2], [2, 1, 0]]), [4, 6.5, 9.25]),
        (hand_made([[0, 1, 2], [2, 1, 0]], d=10), [14, 26.5, 49.25]),
    ],
    ids=["forwards", "backwards", "any order", "both ways summed", "with skip"],
)
def test_three_cells_give_what_a_hand_computes(backend: str, inputs: Inputs, expected: list[float]) -> None:
    torch.testing.assert_close(
        inputs.scan(backend)[0, :, 0], torch.tensor(expected, dtype=torch.float32), rtol=FLOAT32, atol=0
    )


@every_shape
@every_backend
def test_float64_equals_the_slow_derivation(backend: str, shape: Shape) -> None:
    inputs = random_inputs(shape)
    output = inputs.scan(backend)
    assert (output.dtype, output.shape) == (torch.float64, inputs.u.shape)
    assert relative_error(output, slow_scan(inputs)) <= FLOAT64


@every_shape
@every_backend
def test_float32_stays_within_rounding_of_the_slow_derivation(backend: str, shape: Shape) -> None:
    inputs = random_inputs(shape, dtype=torch.float32)
    output = inputs.scan(backend)
    assert output.dtype == torch.float32
    assert relative_error(output, slow_scan(inputs)) <= FLOAT32


@pytest.mark.parametrize("path", ["hilbert", "zigzag"])
@fast_backends
def test_the_directions_of_a_real_path_are_scanned_as_any_other_permutation(backend: str, path: str) -> None:
    inputs = replace(random_inputs(Shape(L=64, D=16, N=4, R=1, K=8)), order=scan_directions(path, 8, 8))
    assert relative_error(inputs.scan(backend), slow_scan(inputs)) <= FLOAT64


@every_backend
@pytest.mark.parametrize(
    ("bias", "rate"), [(80.0, -16.0), (30.0, -1e-3), (-40.0, -16.0), (-120.0, -1.0), (0.0, -1e6)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_extreme_steps_and_decays_neither_overflow_nor_lose_precision(
    backend: str, bias: float, rate: float, dtype: torch.dtype
) -> None:
    usual = random_inputs(SMALL, dtype=dtype)
    inputs = replace(usual, dt_bias=usual.dt_bias + bias, a=torch.full_like(usual.a, rate))
    output = inputs.scan(backend)
    tolerance = FLOAT64 if dtype == torch.float64 else FLOAT32
    assert relative_error(output, slow_scan(inputs)) <= tolerance


@every_backend
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
def test_half_precision_inputs_are_scanned_in_single_precision_and_returned_as_they_came(
    backend: str, dtype: torch.dtype
) -> None:
    inputs = random_inputs(SMALL, dtype=torch.float32)
    half = replace(inputs, u=inputs.u.to(dtype), x=inputs.x.to(dtype))
    output = half.scan(backend)
    assert output.dtype == dtype
    # One rounding to the format, at the end: half a unit in the last place.
    exact = slow_scan(half)
    assert ((output.double() - exact).abs() <= 0.51 * torch.finfo(dtype).eps * exact.abs() + 1e-5).all()


@every_backend
def test_32_bit_orders_and_strided_inputs_change_nothing(backend: str) -> None:
    inputs = random_inputs(SMALL)
    strided = inputs.map(lambda tensor: tensor.movedim(0, -1).contiguous().movedim(-1, 0))
    strided = replace(strided, order=inputs.order.int())
    torch.testing.assert_close(strided.scan(backend), inputs.scan(backend), rtol=FLOAT64, atol=FLOAT64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("step", [0, 7, 8, 31, 32, 34])
@every_backend
def test_no_output_depends_on_a_cell_visited_later(backend: str, step: int, dtype: torch.dtype) -> None:
    inputs = random_inputs(replace(SMALL, K=1), dtype=dtype)
    cells = inputs.order[0]
    u, x = inputs.u.clone(), inputs.x.clone()
    u[:, cells[step]] += 1
    x[:, cells[step]] -= 1
    before, after = inputs.scan(backend), replace(inputs, u=u, x=x).scan(backend)
    assert torch.equal(before[:, cells[:step]], after[:, cells[:step]])
    assert (before[:, cells[step:]] != after[:, cells[step:]]).any(-1).any(0)[0]


@every_backend
def test_the_output_is_linear_in_u_while_the_projections_stay(backend: str) -> None:
    inputs, other = random_inputs(SMALL), random_inputs(SMALL, seed=1)
    mixed = replace(inputs, u=2 * inputs.u - 3 * other.u).scan(backend)
    expected = 2 * inputs.scan(backend) - 3 * replace(inputs, u=other.u).scan(backend)
    assert relative_error(mixed, expected) <= FLOAT64


@every_backend
def test_each_sample_of_a_batch_is_scanned_on_its_own(backend: str) -> None:
    inputs = random_inputs(replace(SMALL, B=3))
    together = inputs.scan(backend)
    for index in range(3):
        alone = replace(inputs, u=inputs.u[index : index + 1], x=inputs.x[index : index + 1])
        torch.testing.assert_close(alone.scan(backend)[0], together[index], rtol=FLOAT64, atol=FLOAT64)


@every_backend
def test_the_sequence_of_directions_does_not_matter(backend: str) -> None:
    inputs = random_inputs(SMALL)
    back = torch.arange(SMALL.K - 1, -1, -1)
    reordered = replace(
        inputs,
        x=inputs.x[:, :, back],
        dt_weight=inputs.dt_weight[back],
        dt_bias=inputs.dt_bias[back],
        a=inputs.a[back],
        order=inputs.order[back],
    )
    assert relative_error(reordered.scan(backend), inputs.scan(backend)) <= FLOAT64


@pytest.mark.parametrize(
    "shape", [Shape(B=2, L=3, D=3, N=2, R=2, K=2), Shape(B=1, L=9, D=2, N=2, R=1, K=4)], ids=str
)
@fast_backends
def test_gradients_pass_a_finite_difference_check(backend: str, shape: Shape) -> None:
    leaves = random_inputs(shape).map(lambda tensor: tensor.requires_grad_())

    def scan(*floats: Tensor) -> Tensor:
        return Inputs(**dict(zip(FLOATS, floats, strict=True)), order=leaves.order).scan(backend)

    assert torch.autograd.gradcheck(scan, leaves.floats)


@pytest.mark.parametrize("length", [63, 64, 65, 128, 129])
def test_compiled_gradients_are_right_across_the_chunks_of_recomputed_states(length: int) -> None:
    inputs = random_inputs(Shape(L=length, D=20, N=4, R=2, K=4))
    for compiled, plain in zip(gradients(inputs, "numba"), gradients(inputs, "reference"), strict=True):
        assert relative_error(compiled, plain) <= FLOAT64


def test_chunk_states_are_kept_for_a_backward_pass_only(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    forward = selective_scan_numba._forward

    def spied(inputs: Any, saved: np.ndarray, *rest: Any) -> None:
        kept.append(saved.shape[2])
        forward(inputs, saved, *rest)

    monkeypatch.setattr(selective_scan_numba, "_forward", spied)
    inputs = random_inputs(Shape(L=70, D=16, N=4, R=2, K=2)).map(lambda tensor: tensor.requires_grad_())
    inputs.scan("numba")
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            inputs.scan("numba")
    assert kept == [2, 0, 0]


@every_shape
@fast_backends
def test_float32_gradients_stay_within_rounding_of_float64_autograd(backend: str, shape: Shape) -> None:
    inputs = random_inputs(shape, dtype=torch.float32)
    exact = gradients(inputs.map(lambda tensor: tensor.double()), "reference")
    for name, gradient, expected in zip(FLOATS, gradients(inputs, backend), exact, strict=True):
        assert gradient.dtype == torch.float32
        # Twice the forward bound: a gradient passes the recurrence once forwards and once backwards.
        assert relative_error(gradient, expected) <= 2 * FLOAT32, name


@pytest.mark.parametrize("name", FLOATS)
@fast_backends
def test_a_gradient_asked_for_alone_equals_the_one_asked_for_with_all(backend: str, name: str) -> None:
    inputs = random_inputs(SMALL)
    leaf = getattr(inputs, name).clone().requires_grad_()
    replace(inputs, **{name: leaf}).scan(backend).sum().backward()
    everything = inputs.map(lambda tensor: tensor.clone().requires_grad_())
    everything.scan(backend).sum().backward()
    torch.testing.assert_close(leaf.grad, getattr(everything, name).grad, rtol=FLOAT64, atol=FLOAT64)


@every_backend
def test_scanning_twice_gives_the_same_bits(backend: str) -> None:
    inputs = random_inputs(SHAPES[4], dtype=torch.float32)
    assert torch.equal(inputs.scan(backend), inputs.scan(backend))


def test_compiled_gradients_are_the_same_bits_each_time() -> None:
    inputs = random_inputs(SHAPES[4], dtype=torch.float32)
    first = gradients(inputs, "numba")
    for _ in range(5):
        assert all(torch.equal(*pair) for pair in zip(gradients(inputs, "numba"), first, strict=True))


@fast_backends
def test_two_callers_at_once_get_what_they_get_one_after_the_other(backend: str) -> None:
    jobs = [random_inputs(SHAPES[4], seed=seed, dtype=torch.float32) for seed in range(2)] * 4

    def work(job: Inputs) -> tuple[Tensor, list[Tensor]]:
        return job.scan(backend), gradients(job, backend)

    alone = list(map(work, jobs))
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(work, jobs))
    for (output, grads), (expected, expected_grads) in zip(together, alone, strict=True):
        assert torch.equal(output, expected)
        # Torch adds up the gradient of a gathered cell in the order its threads arrive.
        torch.testing.assert_close(
            grads,
            expected_grads,
            rtol=0 if backend == "numba" else FLOAT32,
            atol=0 if backend == "numba" else 1e-5,
        )


def test_the_compiled_kernel_leaves_the_number_of_threads_of_torch_alone() -> None:
    # In a process of its own: the first call starts the kernel's threads.
    script = """
import torch
from mambaad_demo.ops.selective_scan import selective_scan
torch.set_num_threads(1)
ones = torch.ones
selective_scan(ones(1, 4, 16), ones(1, 4, 2, 3), ones(2, 1, 16), ones(2, 16), -ones(2, 1, 16), ones(16),
               torch.arange(4).expand(2, 4), backend="numba")
print(torch.get_num_threads())
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "1"


@pytest.mark.parametrize("backend", ["auto", *BACKENDS])
def test_scanning_works_in_inference_mode_and_leaves_its_inputs_alone(backend: str) -> None:
    inputs = random_inputs(SMALL, dtype=torch.float32)
    copies = [tensor.clone() for tensor in (*inputs.floats, inputs.order)]
    with torch.inference_mode():
        output = inputs.scan(backend)
    assert relative_error(output, slow_scan(inputs)) <= FLOAT32
    assert all(
        torch.equal(now, then) for now, then in zip((*inputs.floats, inputs.order), copies, strict=True)
    )


def test_the_compiled_kernel_comes_first_on_a_processor() -> None:
    assert available_backends("cpu")[:3] == ("numba", "torch", "reference")
    assert resolve_backend("auto", "cpu") == "numba"


def test_without_an_accelerator_its_kernels_are_missing_with_a_reason_and_auto_says_so_once(
    monkeypatch: pytest.MonkeyPatch, forgetful: None
) -> None:
    for name in ("triton", "mamba_ssm"):
        monkeypatch.setattr(
            f"mambaad_demo.ops.selective_scan_{name}.missing", lambda kind: "it is not built."
        )
    with pytest.warns(RuntimeWarning) as caught:
        assert resolve_backend("auto", "cuda") == "torch"
    assert [str(w.message).split("since ")[1] for w in caught] == [
        "'triton' cannot run on cuda: it is not built.",
        "'mamba_ssm' cannot run on cuda: it is not built.",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve_backend("auto", "cuda") == "torch"
    assert resolve_backend("torch", "cuda") == "torch"
    assert "numba" not in available_backends("cuda")


@pytest.fixture
def forgetful() -> Iterator[None]:
    """Backends are examined anew, before the test and after it."""
    for remembered in (selective_scan_module.trouble, selective_scan_module._warn_once):
        remembered.cache_clear()
    yield
    for remembered in (selective_scan_module.trouble, selective_scan_module._warn_once):
        remembered.cache_clear()


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_a_kernel_may_be_examined_amid_anything(mode: Callable[..., Any], forgetful: None) -> None:
    with mode():
        assert resolve_backend("auto", "cpu") == "numba"


def test_a_kernel_that_computes_something_else_is_never_used(
    monkeypatch: pytest.MonkeyPatch, forgetful: None
) -> None:
    right = selective_scan_numba.scan
    monkeypatch.setattr(selective_scan_numba, "scan", lambda *arguments: right(*arguments) * 1.001)
    with pytest.raises(KernelUnavailableError, match=r"differs from the torch form by 1\.0e-03"):
        resolve_backend("numba", "cpu")
    with pytest.warns(RuntimeWarning, match="differs"):
        assert resolve_backend("auto", "cpu") == "torch"


def test_a_kernel_that_breaks_at_its_first_use_is_left_out_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, forgetful: None
) -> None:
    def broken(*_: Tensor) -> Tensor:
        raise OSError("no such instruction\nat address 0")

    monkeypatch.setattr(selective_scan_numba, "scan", broken)
    with pytest.raises(KernelUnavailableError, match=r"OSError: no such instruction\)"):
        resolve_backend("numba", "cpu")


def test_an_unknown_backend_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"warp.*torch.*numba"):
        random_inputs(SMALL).scan("warp")


def test_a_backend_that_cannot_run_on_this_device_is_refused_and_not_replaced() -> None:
    with pytest.raises(KernelUnavailableError, match=r"mamba_ssm.*cpu.*written for CUDA"):
        random_inputs(SMALL).scan("mamba_ssm")


def test_without_numba_auto_falls_back_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch, forgetful: None
) -> None:
    inputs = random_inputs(SMALL)
    monkeypatch.setattr(selective_scan_numba, "numba_lanes", None)
    with pytest.warns(RuntimeWarning, match="numba is not installed"):
        output = inputs.scan("auto")
    assert resolve_backend("auto", "cpu") == "torch"
    assert torch.equal(output, inputs.scan("torch"))
    with pytest.raises(KernelUnavailableError, match="numba"):
        inputs.scan("numba")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("u", (2, 34, 6)),
        ("u", (1, 35, 6)),
        ("u", (2, 35, 7)),
        ("u", (35, 6)),
        ("x", (2, 35, 4, 7)),
        ("x", (2, 35, 3, 8)),
        ("dt_weight", (4, 3, 6)),
        ("dt_weight", (4, 2, 5)),
        ("dt_bias", (4, 1)),
        ("a", (4, 2, 6)),
        ("a", (4, 6, 3)),
        ("d", (4, 6)),
        ("order", (4, 34)),
        ("order", (2, 35)),
    ],
    ids=str,
)
@every_backend
def test_shapes_that_do_not_fit_are_refused(backend: str, name: str, size: tuple[int, ...]) -> None:
    inputs = random_inputs(SMALL)
    wrong = torch.zeros(size, dtype=getattr(inputs, name).dtype)
    with pytest.raises(ValueError, match=r"selective_scan: |expected 3"):
        replace(inputs, **{name: wrong}).scan(backend)


def test_a_batch_of_no_samples_is_an_empty_result() -> None:
    inputs = random_inputs(SMALL)
    empty = replace(inputs, u=inputs.u[:0], x=inputs.x[:0])
    for backend in BACKENDS:
        np.testing.assert_equal(empty.scan(backend).shape, (0, SMALL.L, SMALL.D))


@pytest.mark.parametrize("row", [[0, 1, 1], [0, 1, 3], [-1, 0, 1]], ids=["repeated", "beyond", "negative"])
def test_the_compiled_kernel_refuses_an_order_that_would_leave_its_arrays(row: list[int]) -> None:
    inputs = {"u": torch.zeros(1, 3, 4), "x": torch.zeros(1, 3, 1, 3), "dt_weight": torch.zeros(1, 1, 4)}
    with pytest.raises(ValueError, match="exactly once"):
        selective_scan(
            **inputs,
            dt_bias=torch.zeros(1, 4),
            a=-torch.ones(1, 1, 4),
            d=torch.zeros(4),
            order=torch.tensor([row]),
            backend="numba",
        )


@pytest.mark.parametrize(
    ("directions", "tiles", "threads", "groups"),
    [
        (8, 1, 1, 1),
        (8, 4, 2, 1),
        (8, 2, 2, 2),
        (8, 1, 2, 4),
        (8, 1, 16, 8),
        (2, 1, 4, 2),
        (8, 1, 3, 8),
        (8, 0, 2, 4),
    ],
)
def test_directions_are_scanned_apart_only_while_threads_would_be_idle(
    directions: int, tiles: int, threads: int, groups: int
) -> None:
    assert selective_scan_numba._direction_groups(directions, tiles, threads) == groups


def test_directions_scanned_apart_give_the_same_sum() -> None:
    inputs = random_inputs(Shape(B=1, L=40, D=16, N=4, R=2, K=4), dtype=torch.float32)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append([inputs.scan("numba"), *gradients(inputs, "numba")])
    finally:
        torch.set_num_threads(threads)
    for together, apart in zip(*results, strict=True):
        assert relative_error(apart, together) <= FLOAT32
