"""A pass of fixed shape, recorded once on the GPU and replayed: one launch in place of about a thousand.

A recording serves one batch size, so batches are filled up to the next of a few sizes. Before it is used it
must give what the plain pass gives; where recording fails or differs, the plain pass runs, with one warning.
"""

import threading
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

SIZES = (1, 2, 4, 8)
"""Batch sizes with a recording of their own; larger batches are not bound by launches."""
TOLERANCE = 1e-4
"""Largest accepted difference to the plain pass, relative to its largest value; equal bits are expected."""

Pass = Callable[[Tensor], Tensor]
_WARM_UPS = 3  # lets Triton compile and cuDNN choose before anything is recorded

_failed = threading.Event()  # a broken recording may leave CUDA's allocator confused: none is tried after it


def record(compute: Pass, example: Tensor) -> Pass:
    """Record a pass over a batch shaped like `example`; the result of a replay is overwritten by the next."""
    batch = example.clone()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            compute(batch)
        _require_no_waiting(compute, batch)
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            result = compute(batch)
    torch.cuda.current_stream().wait_stream(stream)

    def replay(images: Tensor) -> Tensor:
        batch.copy_(images)
        graph.replay()
        return result

    return replay


def _require_no_waiting(compute: Pass, batch: Tensor) -> None:
    """Refuse a pass that waits for the GPU, which cannot be recorded, before a recording begins."""
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        compute(batch)
    finally:
        torch.cuda.set_sync_debug_mode(before)


class GraphedPass:
    """Calls `compute`, (B, …) → (B, …) with independent rows, through recordings where they serve.

    Use it under `torch.inference_mode` and from one thread at a time.
    """

    def __init__(self, compute: Pass, *, recorder: Callable[[Pass, Tensor], Pass] = record) -> None:
        self._compute = compute
        self._recorder = recorder
        self._recordings: dict[tuple[int, ...], Pass] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """The result for images on the device; valid until the next call."""
        count = len(images)
        size = next((size for size in SIZES if size >= count), None)
        if size is None or _failed.is_set():
            return self._compute(images)
        filled = F.pad(images, (*(0, 0) * (images.ndim - 1), 0, size - count))
        shape = tuple(filled.shape)
        if shape in self._recordings:
            return self._recordings[shape](filled)[:count]
        result = self._compute(filled)
        if result.isfinite().all():
            self._record(filled, shape, result)
        return result[:count]

    def _record(self, images: Tensor, shape: tuple[int, ...], expected: Tensor) -> None:
        """Add a recording that gives the plain pass's result; otherwise drop all, and warn."""
        try:
            replay = self._recorder(self._compute, images)
            difference = float((replay(images) - expected).abs().max() / expected.abs().max())
        except RuntimeError as error:  # what CUDA refuses to record, or has no memory for
            first_line = str(error).partition("\n")[0]
            trouble = f"recording failed ({first_line})"
        else:
            if difference <= TOLERANCE:
                self._recordings[shape] = replay
                return
            trouble = f"a replay differs from the plain pass by {difference:.1e} (relative)"
        _failed.set()
        self._recordings.clear()
        warnings.warn(f"CUDA graphs are not used: {trouble}.", RuntimeWarning, stacklevel=3)
