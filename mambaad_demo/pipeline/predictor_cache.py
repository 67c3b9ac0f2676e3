"""Loaded predictors by name within a budget of memory: those not asked for the longest are let go."""

from collections import OrderedDict
from itertools import chain
from threading import Lock

from mambaad_demo.hub.schemas import CalibrationFile
from mambaad_demo.pipeline.predictor import Predictor

_BYTES_OF_A_NUMBER = 32  # a Python float and the place it has in a tuple


class PredictorCache:
    """Holds predictors, each also for its users after it was let go; safe to share between threads."""

    def __init__(self, budget: int) -> None:
        """
        Args:
            budget: bytes, as `memory_of` counts them; the one asked for last stays even above it.
        """
        self._budget = budget
        self._predictors: OrderedDict[str, Predictor] = OrderedDict()
        self._lock = Lock()

    def names(self) -> tuple[str, ...]:
        """Of those in memory, the one to be let go first in front."""
        with self._lock:
            return tuple(self._predictors)

    def get(self, name: str) -> Predictor | None:
        """The predictor, which is now the one asked for last; None where it is not in memory."""
        with self._lock:
            if name in self._predictors:
                self._predictors.move_to_end(name)
            return self._predictors.get(name)

    def peek(self, name: str) -> Predictor | None:
        """The predictor, whose turn to be let go stays what it is; None where it is not in memory."""
        with self._lock:
            return self._predictors.get(name)

    def put(self, name: str, predictor: Predictor, *, last_out: str | None = None) -> None:
        """Add a predictor and let others go until the budget is kept, `last_out` as the last of them."""
        with self._lock:
            self._predictors[name] = predictor
            sizes = {held: memory_of(one) for held, one in self._predictors.items()}
            for held in sorted(self._predictors, key=lambda held: held == last_out):
                if sum(sizes.values()) > self._budget and held != name:
                    del self._predictors[held], sizes[held]

    def drop(self, name: str) -> None:
        """Let go of a predictor, if it is in memory."""
        with self._lock:
            self._predictors.pop(name, None)


def memory_of(predictor: Predictor) -> int:
    """Bytes of a predictor's weights, buffers and calibration; not what a pass takes for a moment."""
    detector = predictor.checkpoint.detector
    tensors = sum(tensor.nbytes for tensor in chain(detector.parameters(), detector.buffers()))
    return tensors + _BYTES_OF_A_NUMBER * _numbers(predictor.checkpoint.calibration)


def _numbers(calibration: CalibrationFile) -> int:
    return len(calibration.embedding_scale) + sum(
        len(known.scores) + len(known.embedding) + len(known.embedding_distances)
        for known in calibration.categories.values()
    )
