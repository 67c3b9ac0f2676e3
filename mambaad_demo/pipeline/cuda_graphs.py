"""A pass of fixed shape, recorded once on the GPU and replayed: one launch in place of about a thousand.

A recording serves one batch size, so batches are filled up to the next of a few sizes. Before it is used it
must give what the plain pass gives; where recording fails or differs, the plain pass runs, with one warning.
"""

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


def record(compute: Pass, example: Tensor) -> Pass:
    """Record a pass over a batch shaped like `example`; the result of a replay is overwritten by the next."""
    batch = example.clone()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            compute(batch)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        result = compute(batch)

    def replay(images: Tensor) -> Tensor:
        batch.copy_(images)
        graph.replay()
        return result

    return replay


class GraphedPass:
    """Calls `compute`, (B, …) → (B, …) with independent rows, through recordings where they serve.

    Use it under `torch.inference_mode` and from one thread at a time.
    """

    def __init__(self, compute: Pass, *, recorder: Callable[[Pass, Tensor], Pass] = record) -> None:
        self._compute = compute
        self._recorder = recorder
        self._recordings: dict[tuple[int, ...], Pass] = {}
        self._works = True

    def __call__(self, images: Tensor) -> Tensor:
        """The result for images on the device; valid until the next call."""
        count = len(images)
        size = next((size for size in SIZES if size >= count), None)
        if size is None or not self._works:
            return self._compute(images)
        filled = F.pad(images, (*(0, 0) * (images.ndim - 1), 0, size - count))
        shape = tuple(filled.shape)
        if shape not in self._recordings:
            trouble = self._record(filled, shape)
            if trouble is not None:
                self._works = False
                warnings.warn(f"CUDA graphs are not used: {trouble}", RuntimeWarning, stacklevel=2)
                return self._compute(images)
        return self._recordings[shape](filled)[:count]

    def _record(self, images: Tensor, shape: tuple[int, ...]) -> str | None:
        """Add a recording and compare it with the plain pass; why it cannot serve, or None."""
        try:
            replay = self._recorder(self._compute, images)
            expected = self._compute(images)
            difference = float((replay(images) - expected).abs().max() / expected.abs().max())
        except RuntimeError as error:  # what CUDA refuses to record, or has no memory for
            first_line = str(error).partition("\n")[0]
            return f"recording failed ({first_line})."
        if not difference <= TOLERANCE:
            return f"a replay differs from the plain pass by {difference:.1e} (relative)."
        self._recordings[shape] = replay
        return None
