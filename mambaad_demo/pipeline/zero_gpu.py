"""ZeroGPU: on such a Space a GPU is lent for one call, to a process that is forked for it and then waits for
more.

The server itself computes on the CPU. What is to run on the GPU goes over as plain arrays and the name of a
checkpoint, which that process loads for itself: on the GPU, self-test included. Where no GPU can be had (a
visitor's minutes of the day are used up, say) the CPU computes, and the result says so.
"""

import importlib
import logging
import time
from collections.abc import Callable, Sequence

import torch

from mambaad_demo.errors import DemoError
from mambaad_demo.pipeline.inference import DetectorRunner, ModelInput, ModelOutput

SECONDS = 30
"""Asked for at each call: room for a first one, which loads the checkpoint."""
PATIENCE = 2.0
"""Seconds; a refusal that comes sooner, as to a visitor whose minutes are used up, keeps nobody waiting."""
PAUSE = 300.0
"""Seconds without a question after a refusal that took longer: everybody's work waits for one thread."""
NO_GPU_NOTE = "The Space had no GPU to lend; this was computed on its CPU."

Opened = Callable[[str], DetectorRunner]
"""Loads a checkpoint by name in the process that has the GPU."""

log = logging.getLogger(__name__)


class ZeroGpu:
    """Computes with a GPU that is lent for each call."""

    def __init__(
        self, opened: Opened, *, is_asked: Callable[[], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            opened: must load anew; nothing that the server has loaded may be shared with a fork.
            is_asked: whether a visitor waits for what the calling thread computes; GPUs are lent to visitors.
            clock: seconds since some moment.
        """
        self._opened = opened
        self._runners: dict[str, DetectorRunner] = {}
        self.is_asked, self._clock = is_asked, clock
        self._paused_until = clock()
        spaces = importlib.import_module("spaces")  # comes with the Space; elsewhere nobody gets here
        self._lent: Callable[[str, Sequence[ModelInput]], ModelOutput | DemoError] = spaces.GPU(
            self._compute, duration=SECONDS
        )

    def runner(self, name: str, local: DetectorRunner) -> "LentRunner":
        """A checkpoint's detector on the lent GPU.

        Args:
            name: the checkpoint.
            local: the same on the CPU.
        """
        return LentRunner(local, self, name)

    def compute(self, name: str, inputs: Sequence[ModelInput]) -> ModelOutput | None:
        """What a checkpoint says on a lent GPU; None where none is lent.

        Raises:
            NonFiniteMapError: the network gave something no verdict can rest on.
            CheckpointError: the checkpoint cannot be loaded there.
        """
        began = self._clock()
        if began < self._paused_until:
            return None
        try:
            answer = self._lent(name, list(inputs))
        except Exception as error:  # whatever the Space says to a call that it does not serve
            log.warning("No GPU was lent: %s", error)
            if self._clock() - began > PATIENCE:
                self._paused_until = self._clock() + PAUSE
            return None
        if isinstance(answer, DemoError):
            raise answer
        return answer

    def _compute(self, name: str, inputs: Sequence[ModelInput]) -> ModelOutput | DemoError:
        """In the process that has the GPU. Of errors raised there nothing but the name of the class would
        arrive."""
        try:
            if name not in self._runners:
                torch.set_num_threads(
                    1
                )  # a fork has none of the server's OpenMP threads and would wait for them
                self._runners[name] = self._opened(name)
            return self._runners[name](inputs)
        except DemoError as error:
            return error


class LentRunner(DetectorRunner):
    """Runs a detector elsewhere, and here where nobody asked or nothing is lent."""

    def __init__(self, local: DetectorRunner, lender: ZeroGpu, name: str) -> None:
        super().__init__(local.detector)
        self._lender, self._name = lender, name

    def __call__(self, inputs: Sequence[ModelInput]) -> ModelOutput:
        """As `DetectorRunner`; what should have run elsewhere and did not says so."""
        if not self._lender.is_asked():
            return super().__call__(inputs)
        output = self._lender.compute(self._name, inputs)
        return super().__call__(inputs).with_note(NO_GPU_NOTE) if output is None else output
