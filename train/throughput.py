"""How fast a run was, what it ran on and how much memory it took."""

import platform
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import JsonValue

if sys.platform != "win32":
    import resource

_WARM_UP = 2
"""First steps, in which kernels are compiled and chosen."""


def throughput(
    step_seconds: Sequence[float], *, batch_size: int, device: torch.device, processes: int
) -> dict[str, JsonValue]:
    """Figures for the report; speeds are None where no step was run.

    Args:
        step_seconds: time of each step of this process; the median counts, without the first ones.
        batch_size: images per step over all processes.
        device: what computed.
        processes: how many shared the work.
    """
    timed = step_seconds[_WARM_UP:] or step_seconds
    median = statistics.median(timed) if timed else None
    peak = peak_memory(device)
    return {
        "seconds_per_step": None if median is None else round(median, 4),
        "images_per_second": round(batch_size / median, 2) if median else None,
        "peak_memory_mb": None if peak is None else round(peak / 1e6),
        "device_name": device_name(device),
        "processes": processes,
        "threads": torch.get_num_threads(),
    }


def peak_memory(device: torch.device) -> int | None:
    """Most bytes held so far: by tensors on a GPU, else by this process; None where the system keeps no
    count."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def device_name(device: torch.device) -> str:
    """The GPU's or the processor's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
