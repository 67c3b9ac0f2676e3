"""The Mamba-3 scan: both forms against a slow derivation in float64, and what the maths makes of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import pytest
import torch
from torch import Tensor

from mambaad_demo.ops.mamba3 import CHUNK, mamba3_scan
from tests.reference import mamba3 as reference

BACKENDS = ("reference", "torch", "numba")
every_backend = pytest.mark.parametrize("backend", BACKENDS)

# Sums of up to two hundred float32 terms of mixed sign, cosines and exponentials of sums as long.
FLOAT32 = 1e-5
FLOAT64 = 1e-12


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes named as in the legend of the reference."""

    B: int = 2
    H: int = 3
    L: int
    N: int = 4
    P: int = 3
    S: int = 1

    def __str__(self) -> str:
        return f"B{self.B}-H{self.H}-L{self.L}-N{self.N}-P{self.P}-S{self.S}"


# One cell; less, just, little more than one chunk; several chunks, whole and not; no, some, all pairs turned.
SHAPES = (
    Shape(L=1),
    Shape(L=1, S=0),
    Shape(B=1, L=2, S=2),
    Shape(B=3, L=7, N=5, S=2),
    Shape(L=CHUNK - 1, P=1),
    Shape(L=CHUNK, N=1, S=0),
    Shape(L=CHUNK + 1, N=2),
    Shape(B=1, H=1, L=2 * CHUNK, P=8, S=2),
    Shape(B=1, H=8, L=3 * CHUNK + 5, N=6, P=2, S=2),
    Shape(B=1, H=2, L=7 * CHUNK - 3, N=16, P=8, S=4),
)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
SMALL = Shape(L=11, S=2)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The arguments of `mamba3_scan`, by its names and in their order."""

    q: Tensor
    k: Tensor
    v: Tensor
    step: Tensor
    rate: Tensor
    share: Tensor
    angle: Tensor
    d: Tensor

    @property
    def floats(self) -> tuple[Tensor, ...]:
        return tuple(getattr(self, name) for name in NAMES)

    def map(self, change: Callable[[Tensor], Tensor]) -> "Inputs":
        return Inputs(**{name: change(getattr(self, name)) for name in NAMES})

    def sequences(self, change: Callable[[Tensor], Tensor]) -> "Inputs":
        """Change everything but d, which belongs to no sample and no cell."""
        return Inputs(**{name: change(getattr(self, name)) for name in NAMES[:-1]}, d=self.d)

    def scan(self, backend: str, chunk: int = CHUNK) -> Tensor:
        return mamba3_scan(*self.floats, backend=backend, chunk=chunk)


NAMES = tuple(field.name for field in fields(Inputs))


def random_inputs(shape: Shape, *, seed: int = 0, dtype: torch.dtype = torch.float64) -> Inputs:
    """Steps from 1/1000 to 1/2, decay rates and angles of order one, any share of the trapezoid."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=generator, dtype=torch.float64)

    cells = (shape.B, shape.H, shape.L)
    return Inputs(
        q=1 + normal(*cells, shape.N),
        k=1 + normal(*cells, shape.N),
        v=normal(*cells, shape.P),
        step=(normal(*cells) - 3).exp().clamp(1e-3, 0.5),
        rate=-normal(*cells).exp(),
        share=torch.rand(cells, generator=generator, dtype=torch.float64),
        angle=normal(*cells, shape.S),
        d=normal(shape.H),
    ).map(lambda tensor: tensor.to(dtype))


def slow_scan(inputs: Inputs) -> Tensor:
    arrays = [tensor.detach().double().numpy() for tensor in inputs.floats]
    return torch.from_numpy(reference.mamba3_scan(*arrays))


def relative_error(value: Tensor, expected: Tensor) -> float:
    """The largest difference measured in units of the largest expected value; 0 where both are all zero."""
    return float((value.double() - expected.double()).abs().max() / expected.abs().max().clamp_min(1e-30))


def gradients(inputs: Inputs, backend: str, chunk: int = CHUNK) -> dict[str, Tensor]:
    """Gradients of a fixed random weighting of the output, in every argument that is not empty."""
    leaves = inputs.map(lambda tensor: tensor.clone().requires_grad_())
    output = leaves.scan(backend, chunk)
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output.dtype)
    wanted = {name: getattr(leaves, name) for name in NAMES if getattr(leaves, name).numel()}
    return dict(zip(wanted, torch.autograd.grad((output * weights).sum(), wanted.values()), strict=True))


def hand_made(*, share: float = 1.0, angle: float = 0.0, d: float = 0.0) -> Inputs:
    """Three cells of value 1, 2, 4; step 1, decay one half per step, q and k along the same axis of two."""
    axis = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(1, 1, 3, 2)
    cells = torch.ones(1, 1, 3, dtype=torch.float64)
    return Inputs(
        q=axis,
        k=axis,
        v=torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64).reshape(1, 1, 3, 1),
        step=cells,
        rate=-math.log(2) * cells,
        share=share * cells,
        angle=angle * cells[..., None],
        d=torch.tensor([d], dtype=torch.float64),
    )


@every_backend
@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (hand_made(), [1, 2.5, 5.25]),
        (hand_made(share=0), [0, 0.5, 1.25]),
        (hand_made(share=0.5), [0.5, 1.5, 3.25]),
        (hand_made(angle=math.atanh(0.5)), [1, 2, 3.75]),
        (hand_made(angle=40), [1, 1.5, 3.25]),
        (hand_made(share=0.5, angle=40), [0.5, 0.5, 1.25]),
        (hand_made(d=10), [11, 22.5, 45.25]),
    ],
    ids=["this cell", "the cell before", "trapezoid", "quarter turns", "half turns", "both", "skip"],
)
def test_three_cells_give_what_a_hand_computes(backend: str, inputs: Inputs, expected: list[float]) -> None:
    torch.testing.assert_close(
        inputs.scan(backend).flatten(),
        torch.tensor(expected, dtype=torch.float64),
        rtol=FLOAT64,
        atol=FLOAT64,
    )


@every_shape
@every_backend
def test_float64_equals_the_slow_derivation(backend: str, shape: Shape) -> None:
    inputs = random_inputs(shape)
    output = inputs.scan(backend)
    assert (output.dtype, output.shape) == (torch.float64, inputs.v.shape)
    assert relative_error(output, slow_scan(inputs)) <= FLOAT64


@every_shape
@every_backend
def test_float32_stays_within_rounding_of_the_slow_derivation(backend: str, shape: Shape) -> None:
    inputs = random_inputs(shape, dtype=torch.float32)
    output = inputs.scan(backend)
    assert output.dtype == torch.float32
    assert relative_error(output, slow_scan(inputs)) <= FLOAT32


@pytest.mark.parametrize("chunk", [1, 2, 7, 8, 64, 1000])
@pytest.mark.parametrize("length", [1, 2, 8, 21, 65])
def test_the_size_of_chunks_changes_neither_values_nor_gradients(length: int, chunk: int) -> None:
    inputs = random_inputs(Shape(B=1, H=2, L=length), seed=length)
    assert relative_error(inputs.scan("torch", chunk), inputs.scan("reference")) <= FLOAT64
    expected = gradients(inputs, "reference")
    for name, gradient in gradients(inputs, "torch", chunk).items():
        # Alone, a cell turns against nothing: its angle has a gradient of zero or of rounding.
        torch.testing.assert_close(gradient, expected[name], rtol=1e-11, atol=1e-12)


@every_shape
def test_gradients_of_the_two_forms_agree(shape: Shape) -> None:
    inputs = random_inputs(shape, seed=3)
    expected = gradients(inputs, "reference")
    for name, gradient in gradients(inputs, "torch").items():
        # The first cell has a rate and an angle of no effect: gradients of zero or of rounding.
        torch.testing.assert_close(gradient, expected[name], rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("shape", [Shape(B=1, H=2, L=5, N=3, P=2), Shape(L=2, H=1, N=2, P=1, S=0)], ids=str)
@pytest.mark.parametrize(("backend", "chunk"), [("reference", 2), ("torch", 2), ("torch", 8)])
def test_gradients_pass_a_finite_difference_check(backend: str, chunk: int, shape: Shape) -> None:
    leaves = random_inputs(shape).map(lambda tensor: tensor.requires_grad_(tensor.numel() > 0))
    assert torch.autograd.gradcheck(
        lambda *arguments: mamba3_scan(*arguments, backend=backend, chunk=chunk), leaves.floats
    )


@every_shape
@every_backend
def test_float32_gradients_stay_within_rounding_of_float64(backend: str, shape: Shape) -> None:
    inputs = random_inputs(shape, dtype=torch.float32)
    exact = gradients(inputs.map(lambda tensor: tensor.double()), "reference")
    for name, gradient in gradients(inputs, backend).items():
        assert gradient.dtype == torch.float32
        # A gradient passes the recurrence once forwards and once backwards; zeros as in the test above.
        error = (gradient.double() - exact[name]).abs().max()
        assert error <= 4 * FLOAT32 * exact[name].abs().max() + FLOAT32, name


@every_backend
def test_without_turns_and_trapezoid_it_is_a_state_space_dual_with_scalar_decay(backend: str) -> None:
    inputs = random_inputs(Shape(L=2 * CHUNK + 3, N=5, S=0))
    inputs = replace(inputs, share=torch.ones_like(inputs.share))
    decay = (inputs.step * inputs.rate).cumsum(-1)
    expected = inputs.d[:, None, None] * inputs.v
    for t in range(decay.shape[2]):
        past = slice(0, t + 1)
        weight = (decay[:, :, t : t + 1] - decay[:, :, past]).exp() * inputs.step[:, :, past]
        weight = weight * (inputs.k[:, :, past] * inputs.q[:, :, t : t + 1]).sum(-1)
        expected[:, :, t] += (weight[..., None] * inputs.v[:, :, past]).sum(2)
    assert relative_error(inputs.scan(backend), expected) <= FLOAT64


@every_backend
def test_angles_of_zero_turn_nothing(backend: str) -> None:
    inputs = random_inputs(SMALL)
    none, zero = inputs.angle[..., :0], torch.zeros_like(inputs.angle)
    expected = replace(inputs, angle=none).scan(backend)
    assert relative_error(replace(inputs, angle=zero).scan(backend), expected) <= FLOAT64
    assert relative_error(inputs.scan(backend), expected) > 0.01


@every_backend
def test_whole_turns_between_cells_are_no_turns(backend: str) -> None:
    # Step 2 and tanh = 1 make 2π; step 1 makes half a turn, to either side.
    inputs = random_inputs(SMALL)
    far = torch.full_like(inputs.angle, 40)
    double, single = (replace(inputs, step=torch.full_like(inputs.step, size)) for size in (2, 1))
    whole, none = (replace(double, angle=angle).scan(backend) for angle in (far, 0 * far))
    assert relative_error(whole, none) <= FLOAT64
    left, right = (replace(single, angle=angle).scan(backend) for angle in (far, -far))
    assert relative_error(left, right) <= FLOAT64


@every_backend
def test_the_axes_of_the_state_may_be_turned_together(backend: str) -> None:
    # A turn within each pair commutes with the turns of the scan; the untouched axes may be mixed at will.
    inputs = random_inputs(Shape(L=11, N=7, S=2))
    cos, sin = math.cos(0.7), math.sin(0.7)
    turn = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
    mixed = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(2)).double())[0]
    axes = torch.block_diag(turn, turn.T, mixed)
    turned = replace(inputs, q=inputs.q @ axes, k=inputs.k @ axes)
    assert relative_error(turned.scan(backend), inputs.scan(backend)) <= FLOAT64


@every_backend
def test_pairs_are_neighbours_and_turn_alike_when_they_change_places(backend: str) -> None:
    inputs = random_inputs(Shape(L=11, N=6, S=2))
    places = torch.tensor([2, 3, 0, 1, 4, 5])
    swapped = replace(inputs, q=inputs.q[..., places], k=inputs.k[..., places], angle=inputs.angle.flip(-1))
    assert relative_error(swapped.scan(backend), inputs.scan(backend)) <= FLOAT64
    split = torch.tensor([0, 2, 1, 3, 4, 5])
    torn = replace(inputs, q=inputs.q[..., split], k=inputs.k[..., split])
    assert relative_error(torn.scan(backend), inputs.scan(backend)) > 0.01


@every_backend
def test_mirrored_pairs_turn_the_other_way(backend: str) -> None:
    inputs = random_inputs(Shape(L=11, N=4, S=2))
    places = torch.tensor([1, 0, 3, 2])
    mirrored = replace(inputs, q=inputs.q[..., places], k=inputs.k[..., places], angle=-inputs.angle)
    assert relative_error(mirrored.scan(backend), inputs.scan(backend)) <= FLOAT64


@every_backend
@pytest.mark.parametrize("name", ["rate", "angle"])
def test_nothing_lies_before_the_first_cell_to_decay_or_to_turn(backend: str, name: str) -> None:
    inputs = random_inputs(SMALL)
    changed = getattr(inputs, name).clone()
    changed[:, :, 0] *= -3 if name == "angle" else 3
    assert relative_error(replace(inputs, **{name: changed}).scan(backend), inputs.scan(backend)) <= FLOAT64


@every_backend
def test_the_output_is_linear_in_the_values(backend: str) -> None:
    inputs, other = random_inputs(SMALL), random_inputs(SMALL, seed=1)
    mixed = replace(inputs, v=2 * inputs.v - 3 * other.v).scan(backend)
    expected = 2 * inputs.scan(backend) - 3 * replace(inputs, v=other.v).scan(backend)
    assert relative_error(mixed, expected) <= FLOAT64


@pytest.mark.parametrize("cell", [0, 3, 4, 7, 10])
@every_backend
def test_no_output_depends_on_a_later_cell(backend: str, cell: int) -> None:
    inputs, other = random_inputs(SMALL), random_inputs(SMALL, seed=1)
    here = torch.arange(SMALL.L) == cell
    changed = Inputs(
        **{
            name: torch.where(here if tensor.ndim == 3 else here[:, None], getattr(other, name), tensor)
            for name, tensor in zip(NAMES[:-1], inputs.floats[:-1], strict=True)
        },
        d=inputs.d,
    )
    before, after = inputs.scan(backend, 4), changed.scan(backend, 4)
    # Not bit for bit: a chunk multiplies its later cells by zero, and sums in blocks.
    torch.testing.assert_close(before[:, :, :cell], after[:, :, :cell], rtol=FLOAT64, atol=FLOAT64)
    assert (before[:, :, cell:] != after[:, :, cell:]).any(-1).all()


@every_backend
def test_a_sequence_cut_short_gives_the_beginning_of_the_whole(backend: str) -> None:
    inputs = random_inputs(Shape(L=2 * CHUNK + 7))
    whole = inputs.scan(backend)
    for length in (1, CHUNK, CHUNK + 5):
        beginning = inputs.sequences(lambda tensor, length=length: tensor[:, :, :length])
        assert relative_error(beginning.scan(backend), whole[:, :, :length]) <= FLOAT64


@every_backend
def test_samples_and_heads_are_scanned_on_their_own(backend: str) -> None:
    inputs = random_inputs(SMALL)
    together = inputs.scan(backend)
    for b in range(SMALL.B):
        alone = inputs.sequences(lambda tensor, b=b: tensor[b : b + 1])
        assert relative_error(alone.scan(backend)[0], together[b]) <= FLOAT64
    for h in range(SMALL.H):
        alone = inputs.sequences(lambda tensor, h=h: tensor[:, h : h + 1])
        alone = replace(alone, d=inputs.d[h : h + 1])
        assert relative_error(alone.scan(backend)[:, 0], together[:, h]) <= FLOAT64


@every_backend
@pytest.mark.parametrize(
    ("step", "rate"), [(1e3, -1.0), (1.0, -1e6), (1e3, -1e3), (1e-12, -1.0), (1e3, -1e-4)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_extreme_steps_and_decays_overflow_neither_forwards_nor_backwards(
    backend: str, step: float, rate: float, dtype: torch.dtype
) -> None:
    usual = random_inputs(Shape(L=2 * CHUNK + 3), dtype=dtype)
    inputs = replace(usual, step=torch.full_like(usual.step, step), rate=torch.full_like(usual.rate, rate))
    output = inputs.scan(backend)
    assert output.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients(inputs, backend).values())
    if dtype == torch.float64:
        # Phases of up to 2e5 turns in steps of 1e3·π keep ten digits.
        assert relative_error(output, slow_scan(inputs)) <= 1e-9


@every_backend
def test_a_cell_that_forgets_everything_leaves_the_cells_after_it_exact(backend: str) -> None:
    usual = random_inputs(Shape(L=CHUNK + 5))
    step = usual.step.clone()
    step[:, :, 9] = 1e4
    inputs = replace(usual, step=step, share=torch.ones_like(step), angle=usual.angle[..., :0])
    rest = inputs.sequences(lambda tensor: tensor[:, :, 9:])
    # What comes before decays by exp(-1e3) at least; its sum of exponents costs four digits of sixteen.
    assert relative_error(inputs.scan(backend)[:, :, 9:], rest.scan(backend)) <= 1e-11


@every_backend
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
def test_half_precision_is_scanned_in_single_precision_and_returned_as_it_came(
    backend: str, dtype: torch.dtype
) -> None:
    inputs = random_inputs(Shape(L=CHUNK + 3), dtype=torch.float32)
    half = inputs.map(lambda tensor: tensor.to(dtype))
    output = half.scan(backend)
    assert output.dtype == dtype
    # One rounding to the format, at the end: half a unit in the last place.
    exact = slow_scan(half)
    assert ((output.double() - exact).abs() <= 0.51 * torch.finfo(dtype).eps * exact.abs() + 1e-5).all()


@every_backend
def test_strided_inputs_change_nothing(backend: str) -> None:
    inputs = random_inputs(SMALL)
    strided = inputs.map(lambda tensor: tensor.movedim(0, -1).contiguous().movedim(-1, 0))
    assert relative_error(strided.scan(backend), inputs.scan(backend)) <= FLOAT64


@every_backend
def test_inference_mode_leaves_the_inputs_alone(backend: str) -> None:
    inputs = random_inputs(SMALL)
    copies = [tensor.clone() for tensor in inputs.floats]
    with torch.inference_mode():
        output = inputs.scan(backend)
    assert relative_error(output, slow_scan(inputs)) <= FLOAT64
    assert all(torch.equal(now, then) for now, then in zip(inputs.floats, copies, strict=True))


@every_backend
def test_scanning_twice_gives_the_same_bits(backend: str) -> None:
    inputs = random_inputs(SHAPES[-1], dtype=torch.float32)
    assert torch.equal(inputs.scan(backend), inputs.scan(backend))


def test_an_unknown_backend_is_named() -> None:
    with pytest.raises(ValueError, match="warp"):
        random_inputs(SMALL).scan("warp")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("k", (2, 3, 11, 5)),
        ("k", (2, 3, 10, 4)),
        ("k", (2, 11, 4)),
        ("step", (2, 3, 10)),
        ("step", (2, 3, 11, 1)),
        ("rate", (2, 3)),
        ("rate", (2, 1, 11)),
        ("share", (1, 3, 11)),
        ("angle", (2, 3, 11)),
        ("angle", (2, 1, 11, 2)),
        ("angle", (2, 3, 12, 2)),
        ("d", (2,)),
        ("d", (3, 1)),
        ("d", ()),
    ],
    ids=str,
)
@every_backend
def test_a_shape_that_does_not_fit_is_refused_by_name(backend: str, name: str, size: tuple[int, ...]) -> None:
    inputs = random_inputs(SMALL)
    with pytest.raises(ValueError, match=rf"\b{name}\b"):
        replace(inputs, **{name: torch.zeros(size, dtype=torch.float64)}).scan(backend)


@pytest.mark.parametrize("name", ["q", "v"])
@pytest.mark.parametrize("size", [(2, 3, 10, 4), (2, 2, 11, 4), (1, 3, 11, 4), (3, 11, 4)], ids=str)
@every_backend
def test_queries_and_values_of_other_cells_are_refused(
    backend: str, size: tuple[int, ...], name: str
) -> None:
    # Which of the two is wrong is a matter of view.
    with pytest.raises(ValueError, match=r"\b[qv]\b"):
        replace(random_inputs(SMALL), **{name: torch.zeros(size, dtype=torch.float64)}).scan(backend)


@every_backend
def test_more_axes_to_turn_than_the_state_has_are_refused(backend: str) -> None:
    with pytest.raises(ValueError, match=r"\b3\b.*\b4\b"):
        random_inputs(Shape(L=5, N=4, S=3)).scan(backend)
    assert random_inputs(Shape(L=5, N=6, S=3)).scan(backend).isfinite().all()


def shared_inputs(groups: int, *, channels: int = 2) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Arguments of four heads in groups that share directions and angles, and the two biases."""
    full = random_inputs(Shape(B=2, H=4, L=2 * CHUNK + 5, N=6, P=channels, S=2), seed=5)
    arguments = {name: getattr(full, name) for name in NAMES}
    for name in ("q", "k", "angle"):
        arguments[name] = arguments[name][:, :groups].contiguous()
    generator = torch.Generator().manual_seed(6)
    biases = torch.randn(2, 4, 6, generator=generator, dtype=torch.float64)
    return arguments, biases[0], biases[1]


@every_backend
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_heads_of_a_group_share_its_directions_and_add_their_own_bias(backend: str, groups: int) -> None:
    arguments, q_bias, k_bias = shared_inputs(groups)
    alone = dict(arguments)
    for name, bias in (("q", q_bias), ("k", k_bias)):
        alone[name] = arguments[name].repeat_interleave(4 // groups, dim=1) + bias[:, None]
    alone["angle"] = arguments["angle"].repeat_interleave(4 // groups, dim=1)
    together = mamba3_scan(**arguments, q_bias=q_bias, k_bias=k_bias, backend=backend)
    torch.testing.assert_close(together, mamba3_scan(**alone, backend="reference"), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", ["torch", "numba"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("channels", [32, 64, 96])
def test_gradients_of_groups_biases_and_wide_heads_are_the_recurrences(
    backend: str, groups: int, channels: int
) -> None:
    arguments, *biases = shared_inputs(groups, channels=channels)
    leaves = [tensor.requires_grad_() for tensor in (*arguments.values(), *biases)]

    def gradients_of(name: str) -> tuple[Tensor, ...]:
        y = mamba3_scan(*leaves, backend=name)
        return torch.autograd.grad((y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum(), leaves)

    for value, expected in zip(gradients_of(backend), gradients_of("reference"), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-11)


@every_backend
def test_heads_that_groups_cannot_share_are_refused(backend: str) -> None:
    arguments, q_bias, k_bias = shared_inputs(3)
    with pytest.raises(ValueError, match=r"\b4 heads\b.*\b3 groups\b"):
        mamba3_scan(**arguments, q_bias=q_bias, k_bias=k_bias, backend=backend)
