"""Which state of a training is kept, by what held-out good parts say: of those that show noise, the one that
rebuilds them best."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor

from mambaad_demo.pipeline.held_out import Judgment

_LEAST_OF_BEST_SEPARATION = 0.9
"""A state that shows noise less than this share as well as another one did has begun to copy what it sees."""


class BestState:
    """The weights kept so far, what was said of them, and of all states before and after."""

    def __init__(self) -> None:
        self.weights: dict[str, Tensor] = {}
        self.step = 0
        self.judgment = Judgment(loss=math.inf, separation=0, median_score=0)
        self.history: list[dict[str, float]] = []
        """`Judgment` and step of each state."""

    def offer(self, weights: Mapping[str, Tensor], step: int, judgment: Judgment) -> bool:
        """Keep a copy of these weights if they are better than those kept; returns whether they are.

        The first ones are kept. Kept ones give way to any that show noise well enough once they do so no
        longer, for others do it better.
        """
        is_first = not self.history
        self.history.append({"step": step, **asdict(judgment)})
        least = _LEAST_OF_BEST_SEPARATION * max(0.0, *(entry["separation"] for entry in self.history))
        is_fit, is_kept_fit = (one.separation >= least for one in (judgment, self.judgment))
        is_better = is_first or (is_fit and (judgment.loss < self.judgment.loss or not is_kept_fit))
        if is_better:
            self.weights = {name: tensor.clone() for name, tensor in weights.items()}
            self.step, self.judgment = step, judgment
        return is_better

    @property
    def since(self) -> int:
        """How many states came after the one kept."""
        return sum(entry["step"] > self.step for entry in self.history)

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and strings only, so that it loads without pickle."""
        return {
            "weights": self.weights,
            "step": self.step,
            "judgment": asdict(self.judgment),
            "history": self.history,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Be what `state` was."""
        self.weights, self.step = state["weights"], int(state["step"])
        self.judgment, self.history = Judgment(**state["judgment"]), list(state["history"])
