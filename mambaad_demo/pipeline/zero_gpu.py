"""ZeroGPU: on such a Space a GPU is lent for one call, to a process that is forked for it and then waits for
more.

The server itself computes on the CPU. What is to run on the GPU goes over as plain arrays and the name of a
checkpoint, which that process loads for itself: on the GPU, self-test included. Where no GPU can be had (a
visitor's minutes of the day are used up, say) the CPU computes, and the result says so.
"""

import importlib
import logging
from collections.abc import Callable, Sequence
from functools import partial

import torch

from mambaad_demo.errors import DemoError
from mambaad_demo.pipeline.inference import DetectorRunner, ModelInput, ModelOutput

SECONDS = 30
"""Asked for at each call: room for a first one, which loads the checkpoint."""
NO_GPU_NOTE = "The Space had no GPU to lend; this was computed on its CPU."

Opened = Callable[[str], DetectorRunner]
"""Loads a checkpoint by name in the process that has the GPU."""

log = logging.getLogger(__name__)


class ZeroGpu:
    """Computes with a GPU that is lent for each call."""

    def __init__(self, opened: Opened) -> None:
        """
        Args:
            opened: must load anew; nothing that the server has loaded may be shared with a fork.
        """
        self._opened = opened
        self._runners: dict[str, DetectorRunner] = {}
        spaces = importlib.import_module("spaces")  # comes with the Space; elsewhere nobody gets here
        self._lent: Callable[[str, Sequence[ModelInput]], ModelOutput] = spaces.GPU(
            self._compute, duration=SECONDS
        )

    def runner(self, name: str, local: DetectorRunner) -> "LentRunner":
        """A checkpoint's detector on the lent GPU.

        Args:
            name: the checkpoint.
            local: the same on the CPU.
        """
        return LentRunner(local, partial(self._lent, name))

    def _compute(self, name: str, inputs: Sequence[ModelInput]) -> ModelOutput:
        """In the process that has the GPU."""
        if name not in self._runners:
            torch.set_num_threads(1)  # a fork has none of the server's OpenMP threads and would wait for them
            self._runners[name] = self._opened(name)
        return self._runners[name](inputs)


class LentRunner(DetectorRunner):
    """Runs a detector elsewhere, and here where that fails."""

    def __init__(
        self, local: DetectorRunner, elsewhere: Callable[[Sequence[ModelInput]], ModelOutput]
    ) -> None:
        super().__init__(local.detector)
        self._elsewhere = elsewhere

    def __call__(self, inputs: Sequence[ModelInput]) -> ModelOutput:
        """As `DetectorRunner`; what fails elsewhere is computed here and says so."""
        try:
            return self._elsewhere(list(inputs))
        except DemoError:
            raise
        except Exception as error:  # whatever the Space says to a call that it does not serve
            log.warning("No GPU was lent: %s", error)
            return super().__call__(inputs).with_note(NO_GPU_NOTE)
