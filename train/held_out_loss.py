"""The loss on good images that are not trained on, measured some times during a run. It is shown, and
chooses nothing: the limits come from the same images."""

from collections.abc import Sequence
from itertools import zip_longest

import torch

from mambaad_demo.data.folders import Sample
from mambaad_demo.hub.schemas import Resize
from mambaad_demo.models import Detector
from mambaad_demo.pipeline.training import TrainingConfig, cache_features, reconstruction_loss
from mambaad_demo.pipeline.training_data import Split, as_tensor, model_inputs

_MOST_IMAGES = 32
_AT_ONCE = 8


class HeldOutLoss:
    """A few held-out images of every category in turn, encoded once.

    Args:
        detector: on its device.
        splits: whose held-out images to take.
        config: its weights of the loss.
        resize, tiles: as in training; of a tiled image the tile in the middle is taken.
        times: how often to measure over the run.
    """

    def __init__(
        self,
        detector: Detector,
        splits: Sequence[Split],
        config: TrainingConfig,
        *,
        resize: Resize,
        tiles: int,
        times: int,
    ) -> None:
        self._detector, self._config, self._times = detector, config, times
        self._part: int | None = None
        inputs = model_inputs(_in_turn(splits), side=detector.side, resize=resize, tiles=tiles)
        self._cache = cache_features(
            detector, ((as_tensor(item.tiles[len(item.tiles) // 2]), 0) for item in inputs)
        )

    def is_due(self, progress: float) -> bool:
        """Whether the run has entered another of its parts, or has ended; progress from 0 to 1."""
        before, self._part = self._part, int(progress * self._times)
        return progress >= 1 or (before is not None and self._part > before)

    @torch.no_grad()
    def measure(self) -> float:
        """Mean loss per image, without noise and drop path."""
        self._detector.eval()
        device = next(self._detector.parameters()).device
        total = 0.0
        for rows in torch.arange(len(self._cache)).split(_AT_ONCE):
            targets = self._detector.standardized([f.to(device) for f in self._cache.batch(rows)])
            loss = reconstruction_loss(
                targets,
                self._detector.reconstruct(targets),
                mse_weight=self._config.mse_weight,
                cosine_weight=self._config.cosine_weight,
            )
            total += len(rows) * float(loss)
        return total / len(self._cache)


def _in_turn(splits: Sequence[Split]) -> list[Sample]:
    """The first held-out image of each category, then the second of each, to a bounded number."""
    rounds = zip_longest(*(split.held_out for split in splits))
    return [sample for one_round in rounds for sample in one_round if sample is not None][:_MOST_IMAGES]
