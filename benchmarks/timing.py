"""How everything here is timed: in turns, medians with both ends, and the machine they belong to."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numba
import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the target table."""

    name: str
    target: str
    value: float | None = None
    """The measured figure in the unit of the target; None where it was not measured."""
    met: bool | None = None
    note: str = ""
    """Why it was not measured, or what was compared."""
    spread: dict[str, Any] = field(default_factory=dict)
    """Medians and both ends behind the figure."""

    def to_json(self) -> dict[str, Any]:
        """Only JSON types."""
        return asdict(self)


def in_turns(
    calls: Mapping[str, Callable[[], object]],
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
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


def ratio(slow: Mapping[str, float], fast: Mapping[str, float]) -> float:
    """How many times longer the slow one takes, by medians."""
    return round(slow["median"] / fast["median"], 2)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch and numba on one thread, so that CPU time is not spent waiting."""
    threads = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads[0])
        numba.set_num_threads(threads[1])


def machine_facts() -> dict[str, Any]:
    """What a reader needs to know before comparing figures of two machines."""
    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text(encoding="utf-8").splitlines() if cpu_info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor() or "unknown",
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "numba", "triton", "mamba-ssm", "anomalib")},
        "torch_threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 2),  # above 1 per core, wall times say little
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
