"""What a detector costs: parameters, arithmetic, time and memory of one pass over one image."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from mambaad_demo.models.detector import Detector

_MEGABYTE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One image at the model's own size, with the kernel and on the device the detector stands on."""

    parameters: int
    """Of encoder, fusion and decoder together."""
    decoder_parameters: int
    gmacs: float
    """Multiplications with addition in convolutions and matrix products, in units of 1e9. A compiled scan is
    not among them; MambaADv2's is where it runs as matrix products."""
    milliseconds: float
    """Median of warm passes, waiting for the device included."""
    peak_megabytes: float
    """Most memory that tensors of a pass take at once, weights not counted."""

    def to_json(self) -> dict[str, float]:
        """Only JSON types."""
        return asdict(self)


def measure_costs(detectors: Sequence[Detector], *, repeats: int = 5) -> list[Cost]:
    """The cost of several detectors, timed in turns, so that what else the machine does hits all alike."""
    costs = [measure_cost(detector, repeats=1) for detector in detectors]
    times = time_passes(detectors, repeats=repeats)
    return [
        replace(cost, milliseconds=statistics.median(own)) for cost, own in zip(costs, times, strict=True)
    ]


def time_passes(detectors: Sequence[Detector], *, repeats: int) -> list[list[float]]:
    """Milliseconds of `repeats` passes over one gray image for each detector, taken in turns.

    Args:
        detectors: on their devices, in eval mode, warm, and not in use meanwhile.
        repeats: passes of each.
    """
    images = [_gray_image(detector) for detector in detectors]
    times: list[list[float]] = [[] for _ in detectors]
    with torch.inference_mode():
        for _ in range(repeats):
            for detector, image, own in zip(detectors, images, times, strict=True):
                start = time.perf_counter()
                detector.anomaly_maps(image).cpu()
                own.append((time.perf_counter() - start) * 1000)
    return times


def measure_cost(detector: Detector, *, repeats: int = 5) -> Cost:
    """Run the detector some times on a gray image; it must not be in use meanwhile.

    Args:
        detector: on its device, in eval mode.
        repeats: passes that are timed, after one that warms up.
    """
    image = _gray_image(detector)
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            detector.anomaly_maps(image)
        (times,) = time_passes([detector], repeats=repeats)
        peak = _peak_bytes(detector, image)
    return Cost(
        parameters=sum(parameter.numel() for parameter in detector.parameters()),
        decoder_parameters=sum(parameter.numel() for parameter in detector.decoder.parameters()),
        gmacs=counter.get_total_flops() / 2e9,
        milliseconds=statistics.median(times),
        peak_megabytes=peak / _MEGABYTE,
    )


def _gray_image(detector: Detector) -> torch.Tensor:
    device = next(iter(detector.state_dict().values())).device
    return torch.full((1, 3, detector.side, detector.side), 0.5, device=device)


def _peak_bytes(detector: Detector, image: torch.Tensor) -> int:
    if image.device.type == "cuda":
        before = torch.cuda.memory_allocated(image.device)
        torch.cuda.reset_peak_memory_stats(image.device)
        detector.anomaly_maps(image)
        return torch.cuda.max_memory_allocated(image.device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiler:
        detector.anomaly_maps(image)
    assert profiler.profiler is not None  # noqa: S101 - for the type checker; left by every profiler
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak
