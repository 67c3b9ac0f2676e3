"""Measure the selective scan and the embedded detector on this machine and write the figures as JSON.

Scan backends are compared by process CPU time on one thread, in turns, so that other load moves the ratio
little; the detector is timed by the wall clock on all its threads. Upload, decoding and page are left out.

Run with `make bench` or `python -m benchmarks.run`.
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numba
import torch
import typer
from torch import Tensor

from mambaad_demo import load_checkpoint
from mambaad_demo.ops.scan_order import scan_directions
from mambaad_demo.ops.selective_scan import selective_scan

DEFAULT_RESULT = Path(__file__).parent / "results.json"
SCAN_SHAPE = {"side": 32, "channels": 256, "directions": 8, "states": 16, "rank": 8}
BACKENDS = ("numba", "torch")
BATCH_SIZES = (1, 8)
SEED = 0


def main(
    out: Annotated[Path, typer.Option(help="Where to write the figures.")] = DEFAULT_RESULT,
    repeats: Annotated[int, typer.Option(min=1, help="Measurements per figure.")] = 7,
    checkpoint: Annotated[str, typer.Option(help="Checkpoint name or folder.")] = "mambaad",
) -> None:
    """Print the figures and write them to `--out`."""
    results = {
        "machine": machine_facts(),
        "repeats": repeats,
        "scan": {"stage": "128@32", **SCAN_SHAPE, **measure_scan(repeats)},
        "detector": measure_detector(checkpoint, repeats),
    }
    text = json.dumps(results, indent=2)
    out.write_text(text + "\n", encoding="utf-8")
    typer.echo(text)


def measure_scan(repeats: int) -> dict[str, Any]:
    """CPU milliseconds per call and backend, without and with the backward pass; the ratio of both."""
    threads = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    try:
        inputs = scan_inputs()
        passes = {
            "forward": {name: _forward(inputs, name) for name in BACKENDS},
            "forward_backward": {name: _forward_backward(inputs, name) for name in BACKENDS},
        }
        measured = {
            name: {
                backend: spread(times)
                for backend, times in in_turns(calls, repeats, time.process_time).items()
            }
            for name, calls in passes.items()
        }
    finally:
        torch.set_num_threads(threads[0])
        numba.set_num_threads(threads[1])
    return {
        name: {"cpu_ms": figures, "torch_over_numba": _ratio(figures["torch"], figures["numba"])}
        for name, figures in measured.items()
    }


def scan_inputs() -> dict[str, Tensor]:
    """Random float32 arguments of `selective_scan` at `SCAN_SHAPE`, batch 1."""
    side, d, k, n, r = SCAN_SHAPE.values()
    generator = torch.Generator().manual_seed(SEED)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    return {
        "u": normal(1, side * side, d),
        "x": normal(1, side * side, k, r + 2 * n),
        "dt_weight": normal(k, r, d) * 0.1,
        "dt_bias": normal(k, d) - 4.0,  # steps of a few hundredths, as after training
        "a": -torch.arange(1.0, n + 1).view(1, n, 1).expand(k, n, d).contiguous(),
        "d": torch.ones(d),
        "order": scan_directions("hilbert", side, k),
    }


def _forward(inputs: Mapping[str, Tensor], backend: str) -> Callable[[], object]:
    def call() -> None:
        with torch.inference_mode():
            selective_scan(**inputs, backend=backend)

    return call


def _forward_backward(inputs: Mapping[str, Tensor], backend: str) -> Callable[[], object]:
    def call() -> None:
        leaves = {
            name: tensor.detach().clone().requires_grad_(tensor.is_floating_point())
            for name, tensor in inputs.items()
        }
        selective_scan(**leaves, backend=backend).sum().backward()

    return call


def measure_detector(checkpoint: str, repeats: int) -> dict[str, Any]:
    """Wall milliseconds per image, from model-sized pixels to the smoothed anomaly map."""
    loaded = load_checkpoint(checkpoint, device="cpu")
    detector = loaded.detector
    generator = torch.Generator().manual_seed(SEED)
    figures = {}
    for size in BATCH_SIZES:
        images = torch.rand(size, 3, detector.side, detector.side, generator=generator)

        def call(images: Tensor = images) -> None:
            with torch.inference_mode():
                detector.anomaly_maps(images)

        times = in_turns({"detector": call}, repeats, time.perf_counter)["detector"]
        figures[f"batch_{size}"] = spread([ms / size for ms in times])
    return {
        "checkpoint": loaded.name,
        "encoder": detector.config.encoder,
        "side": detector.side,
        "kernel": detector.resolved_kernel("cpu"),
        "ms_per_image": figures,
    }


def in_turns(
    calls: Mapping[str, Callable[[], object]], repeats: int, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Milliseconds of each call, called by turns: `repeats` rounds after an unmeasured one that compiles."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for measured in [False] + [True] * repeats:
        for name, call in calls.items():
            start = clock()
            call()
            if measured:
                times[name].append((clock() - start) * 1000)
    return times


def spread(times: list[float]) -> dict[str, float]:
    """Median, lowest and highest, rounded to hundredths."""
    return {
        "median": round(statistics.median(times), 2),
        "lowest": round(min(times), 2),
        "highest": round(max(times), 2),
    }


def _ratio(slow: Mapping[str, float], fast: Mapping[str, float]) -> float:
    return round(slow["median"] / fast["median"], 2)


def machine_facts() -> dict[str, Any]:
    """What a reader needs to know before comparing figures of two machines."""
    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text(encoding="utf-8").splitlines() if cpu_info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor() or "unknown",
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "numba": version("numba"),
        "torch_threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 2),  # above 1 per core, wall times say little
    }


if __name__ == "__main__":
    typer.run(main)
