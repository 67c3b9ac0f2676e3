"""The selective scan alone: the CPU kernel against the torch form, the GPU kernel against mamba-ssm.

On the CPU by process time on one thread, in turns, so that other load moves the ratio little.
"""

import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from benchmarks.timing import Row, in_turns, one_thread, ratio, spread
from mambaad_demo.ops.scan_order import scan_directions
from mambaad_demo.ops.selective_scan import selective_scan, trouble

SCAN_SHAPE = {"side": 32, "channels": 256, "directions": 8, "states": 16, "rank": 8}
"""The stage "128@32" of the published network, which takes two fifths of its scan time."""
STAGES = ((8, 1024, 3), (16, 512, 4), (32, 256, 6), (64, 128, 3))
"""Side, inner channels and number of blocks of each stage of the published network."""
BOUND_MS = 0.2
"""Arithmetic bound of the published network on one H200, per image."""
SEED = 0


def cpu_rows(repeats: int) -> list[Row]:
    """Scan forward, and forward with backward."""
    if (reason := trouble("numba", "cpu")) is not None:
        return [
            Row(name=name, target=target, note=f"not measured: {reason}")
            for name, target in (("CPU scan", ">= 5x"), ("CPU scan forward + backward", ">= 15x"))
        ]
    inputs = scan_inputs()
    rows = []
    for name, make, target in (
        ("CPU scan", forward, 5.0),
        ("CPU scan forward + backward", forward_backward, 15.0),
    ):
        with one_thread():
            times = in_turns(
                {backend: make(inputs, backend) for backend in ("numba", "torch")}, repeats, time.process_time
            )
        figures = {backend: spread(ms) for backend, ms in times.items()}
        value = ratio(figures["torch"], figures["numba"])
        rows.append(
            Row(
                name=name,
                target=f">= {target:g}x",
                value=value,
                met=value >= target,
                note="CPU time of torch / numba, one thread, stage 128@32, eight directions",
                spread=figures,
            )
        )
    return rows


def gpu_rows(repeats: int) -> list[Row]:
    """Triton against mamba-ssm at batch 16, and its share of the arithmetic bound at batch 64."""
    rows = [
        Row(name="GPU scan, Triton against mamba-ssm", target=">= 3x at batch 16"),
        Row(name="GPU scan, share of the arithmetic bound", target=">= 20 % at batch 64"),
    ]
    if (reason := trouble("triton", "cuda") if torch.cuda.is_available() else "there is no GPU.") is not None:
        return [Row(name=row.name, target=row.target, note=f"not measured: {reason}") for row in rows]
    bound = spread(in_turns({"triton": _all_stages("triton", batch=64)}, repeats)["triton"])
    share = 100 * BOUND_MS * 64 / bound["median"]
    rows[1] = Row(
        name=rows[1].name, target=rows[1].target, value=round(share, 1), met=share >= 20, spread=bound
    )
    if (reason := trouble("mamba_ssm", "cuda")) is not None:
        rows[0] = Row(name=rows[0].name, target=rows[0].target, note=f"not measured: {reason}")
    else:
        calls = {name: _all_stages(name, batch=16) for name in ("triton", "mamba_ssm")}
        figures = {name: spread(ms) for name, ms in in_turns(calls, repeats).items()}
        value = ratio(figures["mamba_ssm"], figures["triton"])
        rows[0] = Row(name=rows[0].name, target=rows[0].target, value=value, met=value >= 3, spread=figures)
    return rows


def scan_inputs(
    *, side: int = SCAN_SHAPE["side"], channels: int = SCAN_SHAPE["channels"], batch: int = 1
) -> dict[str, Tensor]:
    """Random float32 arguments of `selective_scan`, otherwise of `SCAN_SHAPE`."""
    k, n, r = (SCAN_SHAPE[name] for name in ("directions", "states", "rank"))
    generator = torch.Generator().manual_seed(SEED)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    return {
        "u": normal(batch, side * side, channels),
        "x": normal(batch, side * side, k, r + 2 * n),
        "dt_weight": normal(k, r, channels) * 0.1,
        "dt_bias": normal(k, channels) - 4.0,  # steps of a few hundredths, as after training
        "a": -torch.arange(1.0, n + 1).view(1, n, 1).expand(k, n, channels).contiguous(),
        "d": torch.ones(channels),
        "order": scan_directions("hilbert", side, k),
    }


def forward(inputs: Mapping[str, Tensor], backend: str) -> Callable[[], object]:
    """A scan without gradients."""

    def call() -> None:
        with torch.inference_mode():
            selective_scan(**inputs, backend=backend)

    return call


def forward_backward(inputs: Mapping[str, Tensor], backend: str) -> Callable[[], object]:
    """A scan with gradients in all its inputs."""

    def call() -> None:
        leaves = {
            name: tensor.detach().clone().requires_grad_(tensor.is_floating_point())
            for name, tensor in inputs.items()
        }
        selective_scan(**leaves, backend=backend).sum().backward()

    return call


def _all_stages(backend: str, *, batch: int) -> Callable[[], object]:
    """The scans of one pass of the published network on the GPU, waited for."""
    stages = [
        ({name: t.cuda() for name, t in scan_inputs(side=side, channels=d, batch=batch).items()}, blocks)
        for side, d, blocks in STAGES
    ]

    def call() -> None:
        with torch.inference_mode():
            for inputs, blocks in stages:
                for _ in range(blocks):
                    selective_scan(**inputs, backend=backend)
        torch.cuda.synchronize()

    return call
