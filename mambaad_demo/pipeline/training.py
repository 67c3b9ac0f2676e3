"""Training on normal images: one generator loop for the command line, the page and the tests.

Stop iterating to cancel. Encoder features are computed once and cached, since the encoder is frozen and
images are not augmented; the loop then touches fusion and decoder only. Under `torchrun` all processes draw
the same batch, each takes its share of it, and gradients are summed: with frozen statistics their number
changes nothing but the speed.
"""

import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from accelerate import PartialState
from accelerate.utils import broadcast, reduce
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch import Tensor

from mambaad_demo.errors import DivergedError, InputError, TooFewImagesError
from mambaad_demo.models.detector import Detector
from mambaad_demo.pipeline.optimizer import Optimizer, OptimizerKind

log = logging.getLogger(__name__)

TrainingPrecision = Literal["float32", "bfloat16"]
Schedule = Literal["cosine", "step"]

_STEP_AT, _STEP_TO = 0.8, 0.1
"""When the published schedule lowers the learning rate, as a share of the run, and to what share of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How to fit fusion and decoder; contradictions are refused."""

    steps: int | None = None
    """Optimiser steps; give this or `minutes`."""
    minutes: float | None = None
    """Wall time of the whole run, earlier parts of a resumed run included."""
    batch_size: int = 8
    """Images per step, over all processes."""
    learning_rate: float = 8e-3
    """Peak learning rate of Muon, beside which AdamW's is half of it; AdamW's where it is alone."""
    optimizer: OptimizerKind = "muon"
    """`muon` for matrices and convolutions and AdamW for the rest, or `adamw` for all, as published."""
    schedule: Schedule = "cosine"
    """After the warm-up: a `cosine` to zero, or one `step` to a tenth at 80 % of the run, as published."""
    warmup: float = 0.05
    """Share of the run with linearly rising learning rate."""
    weight_decay: float = 1e-4
    """On matrices and convolutions only."""
    clip_norm: float = 5.0
    """Global gradient norm above which gradients are scaled down."""
    mse_weight: float = 1.0
    """Weight of the squared error."""
    cosine_weight: float = 1.0
    """Weight of 1 - cosine between target and reconstruction."""
    seed: int = 42
    """Order of the images and noise."""
    frozen_statistics: bool = False
    """Batch norm keeps the statistics it has and no path is dropped: for few images. Each image's gradient is
    then its own, whatever shares the batch, so any number of processes computes the same."""
    precision: TrainingPrecision = "float32"
    """Arithmetic of fusion and decoder; weights and loss stay float32."""

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError(f"Give either steps or minutes, got steps={self.steps}, minutes={self.minutes}.")
        claims = {
            "steps or minutes must be positive": (self.steps or self.minutes or 0) > 0,
            "batch_size must be at least 2": self.batch_size >= 2,
            "learning_rate must be positive": self.learning_rate > 0,
            f"optimizer must be one of {', '.join(get_args(OptimizerKind))}": (
                self.optimizer in get_args(OptimizerKind)
            ),
            f"schedule must be one of {', '.join(get_args(Schedule))}": self.schedule in get_args(Schedule),
            "warmup must lie in 0 to 1": 0 <= self.warmup < 1,
            "clip_norm must be positive": self.clip_norm > 0,
            "weight_decay must not be negative": self.weight_decay >= 0,
            "mse_weight and cosine_weight must not be negative, nor both be 0": (
                min(self.mse_weight, self.cosine_weight) >= 0 and self.mse_weight + self.cosine_weight > 0
            ),
        }
        if broken := [claim for claim, holds in claims.items() if not holds]:
            raise ValueError(f"{'; '.join(broken)}. Got {asdict(self)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one optimiser step did."""

    number: int
    loss: float
    learning_rate: float
    progress: float
    """Share of the run that is done, 0 to 1."""
    seconds: float
    """Training time so far, earlier parts of a resumed run included."""


def processes() -> PartialState:
    """The processes of this run: one, or as many as `torchrun` or `accelerate launch` started, on GPUs or
    not."""
    return PartialState(cpu=not torch.cuda.is_available())


class FeatureCache:
    """Encoder features of many images in half precision, (n, C, h, w) per scale, in ordinary memory."""

    def __init__(self, features: Sequence[Tensor], groups: Sequence[int]) -> None:
        self._features = list(features)
        self.groups = torch.tensor(groups)

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def sides(self) -> list[int]:
        """Side of the feature map of each scale."""
        return [feature.shape[-1] for feature in self._features]

    def batch(self, indices: Tensor) -> list[Tensor]:
        """Features of the images at `indices` as float32."""
        return [feature[indices].float() for feature in self._features]

    def channel_statistics(self) -> tuple[list[Tensor], list[Tensor]]:
        """Mean and standard deviation (C,) of each channel over all images and positions, per scale."""
        means, stds = [], []
        for feature in self._features:
            moments = torch.stack(
                [torch.stack([f.float().mean((1, 2)), f.float().square().mean((1, 2))]) for f in feature]
            )
            mean, square = moments.double().mean(0)
            means.append(mean.float())
            stds.append((square - mean.square()).clamp(min=1e-8).sqrt().float())
        return means, stds


@torch.inference_mode()
def cache_features(
    detector: Detector, images: Iterable[tuple[Tensor, int]], *, batch_size: int = 8
) -> FeatureCache:
    """Run the bare encoder, without standardisation, once over all training images.

    Args:
        detector: on its device.
        images: pairs of a (3, S, S) float tensor in [0, 1] and the number of its category; read once.
        batch_size: images per encoder call.

    Raises:
        TooFewImagesError: no images.
    """
    device = next(detector.parameters()).device
    parts: list[list[Tensor]] = []
    groups: list[int] = []
    remaining = iter(images)
    while batch := list(islice(remaining, batch_size)):
        features = detector.encoder(torch.stack([image for image, _ in batch]).to(device))
        parts.append([feature.half().cpu() for feature in features])
        groups.extend(group for _, group in batch)
    if not groups:
        raise TooFewImagesError("Training needs normal images, got none. Add good photos.")
    return FeatureCache([torch.cat(scale) for scale in zip(*parts, strict=True)], groups)


def reconstruction_loss(
    encoded: Sequence[Tensor],
    decoded: Sequence[Tensor],
    *,
    mse_weight: float = 1.0,
    cosine_weight: float = 1.0,
) -> Tensor:
    """Sum over scales of weighted mean squared error and mean cosine distance (MambaAD uses the former
    only)."""
    total = decoded[0].new_zeros(())
    for target, rebuilt in zip(encoded, decoded, strict=True):
        distance = 1 - F.cosine_similarity(target, rebuilt, dim=1)
        total = total + mse_weight * F.mse_loss(rebuilt, target) + cosine_weight * distance.mean()
    return total


class Trainer:
    """State of one run: optimiser, position, random generator; saved and restored as a plain dict."""

    def __init__(
        self,
        detector: Detector,
        cache: FeatureCache,
        config: TrainingConfig,
        *,
        shares: Mapping[int, float] | None = None,
    ) -> None:
        """
        Args:
            detector: on its device.
            cache: what to learn from.
            config: how.
            shares: how often each group is drawn, relative to the others; equally often by default.

        Raises:
            TooFewImagesError: fewer images than a batch needs.
        """
        if len(cache) < config.batch_size:
            raise TooFewImagesError(
                f"A batch of {config.batch_size} needs as many normal images, got {len(cache)}. "
                "Add good photos or choose a smaller batch."
            )
        self.detector, self.config = detector, config
        self._cache = cache
        self._processes = processes()
        if config.batch_size < self._processes.num_processes:
            raise InputError(
                f"A batch of {config.batch_size} cannot be shared by {self._processes.num_processes} "
                "processes. Choose a larger batch or start fewer."
            )
        self._weights = _drawing_weights(cache.groups, shares)
        self._at_once = config.batch_size
        self._optimizer = Optimizer(detector, weight_decay=config.weight_decay, kind=config.optimizer)
        self.number, self.seconds = 0, 0.0

    def steps(self) -> Iterator[Step]:
        """Fit until the budget is spent, yielding after each step.

        Raises:
            DivergedError: the loss became NaN or infinite; the detector's weights are then worthless.
        """
        while (progress := self.progress) < 1:
            started = time.perf_counter()
            rate = self.config.learning_rate * _schedule(progress, self.config.warmup, self.config.schedule)
            loss, norm = self._gradients()
            self.number += 1
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise DivergedError(step=self.number, learning_rate=rate)
            adamw_rate = rate / 2 if self.config.optimizer == "muon" else rate
            self._optimizer.step(adamw_rate=adamw_rate, muon_rate=rate)
            self.seconds += time.perf_counter() - started
            yield Step(
                number=self.number,
                loss=loss,
                learning_rate=rate,
                progress=min(1.0, self.progress),
                seconds=self.seconds,
            )
        self.detector.eval()

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs: tensors, numbers and strings only, so that it loads without
        pickle."""
        return {
            "config": asdict(self.config),
            "images": self._cache.groups.tolist(),
            "weights": self.detector.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "number": self.number,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state` stopped.

        Raises:
            InputError: `state` is of another run: other settings, another network, another number of images.
        """
        if state.get("config") != asdict(self.config) or state.get("images") != self._cache.groups.tolist():
            raise InputError(
                "The interrupted run had other settings or images. Repeat its command exactly, or start anew "
                "without --resume."
            )
        wanted = {name: tensor.shape for name, tensor in self.detector.state_dict().items()}
        if {name: tensor.shape for name, tensor in state["weights"].items()} != wanted:
            raise InputError("The interrupted run had another network. Start anew without --resume.")
        self.detector.load_state_dict(state["weights"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.number, self.seconds = int(state["number"]), float(state["seconds"])

    def _gradients(self) -> tuple[float, float]:
        """Loss of the batch and global gradient norm before clipping.

        Where memory runs out the batch is computed in smaller parts; with frozen statistics the result is the
        same.
        """
        chosen = self._draw()
        while True:
            try:
                loss = self._accumulate(chosen)
                break
            except RuntimeError as error:
                if not should_reduce_batch_size(error) or self._at_once == 1:
                    raise
                self._at_once = (self._at_once + 1) // 2
                log.warning("Memory ran out: %d images at once from now on", self._at_once)
                clear_device_cache(garbage_collection=True)
        if self._processes.num_processes > 1:
            for parameter in self.detector.trainable_parameters():
                parameter.grad = reduce(parameter.grad, reduction="sum")
            loss = reduce(loss, reduction="sum")
        norm = torch.nn.utils.clip_grad_norm_(
            list(self.detector.trainable_parameters()), self.config.clip_norm
        )
        return float(loss), float(norm)

    def _accumulate(self, chosen: Tensor) -> Tensor:
        """Set the gradients to those of this process's share of the batch; returns its part of the loss."""
        self.detector.train(not self.config.frozen_statistics)
        self._optimizer.zero_grad()
        noise = self._noise()
        total = torch.zeros((), device=self._device)
        for rows in torch.arange(self.config.batch_size)[self._share()].split(self._at_once):
            features = [feature.to(self._device) for feature in self._cache.batch(chosen[rows])]
            loss = self._loss(features, None if noise is None else noise[rows].to(self._device))
            loss = loss * (len(rows) / self.config.batch_size)
            loss.backward()
            total += loss.detach()
        return total

    def _loss(self, features: list[Tensor], noise: Tensor | None) -> Tensor:
        """Mean loss of a few images, bare encoder features as the cache holds them."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"):
            targets = self.detector.standardized(features)
            rebuilt = self.detector.reconstruct(targets, noise)
        return reconstruction_loss(
            targets,
            [found.to(target.dtype) for found, target in zip(rebuilt, targets, strict=True)],
            mse_weight=self.config.mse_weight,
            cosine_weight=self.config.cosine_weight,
        )

    @property
    def _device(self) -> torch.device:
        return next(self.detector.parameters()).device

    def _share(self) -> slice:
        """Rows of the batch that this process computes."""
        return slice(self._processes.process_index, None, self._processes.num_processes)

    def _step_seed(self) -> int:
        """Another seed for each step, so that a resumed run draws the same images, noise and drop path."""
        return self.config.seed * 1_000_003 + self.number

    def _noise(self) -> Tensor | None:
        """Noise on the fused map for the whole batch, the same in every process; seeds drop path too."""
        torch.manual_seed(self._step_seed() * self._processes.num_processes + self._processes.process_index)
        if self.detector.config.noise_std == 0:
            return None
        side = self._cache.sides[-1] // 2
        generator = torch.Generator().manual_seed(self._step_seed())
        return torch.randn(
            self.config.batch_size, self.detector.decoder.dims[0], side, side, generator=generator
        )

    def _draw(self) -> Tensor:
        """Indices of a batch without repeats, the same in every process."""
        generator = torch.Generator().manual_seed(self._step_seed())
        return torch.multinomial(self._weights, self.config.batch_size, generator=generator)

    @property
    def progress(self) -> float:
        """Share of the budget that is spent; may pass 1 a little."""
        if self.config.steps is not None:
            return self.number / self.config.steps
        elapsed = self.seconds
        if self._processes.num_processes > 1:  # all processes stop at the same step
            elapsed = broadcast(torch.tensor(elapsed, device=self._processes.device)).item()
        return elapsed / (60 * (self.config.minutes or 1))


def _drawing_weights(groups: Tensor, shares: Mapping[int, float] | None) -> Tensor:
    """(n,) how likely each image is drawn: groups by their share whatever their size."""
    counts = torch.bincount(groups)
    of_group = torch.tensor([1.0 if shares is None else shares[g] for g in range(len(counts))]).double()
    return (of_group / counts)[groups]


def _schedule(progress: float, warmup: float, kind: Schedule) -> float:
    """Linear warm-up, never quite 0 so that the first step learns; then a cosine from 1 to 0 or one step."""
    if progress < warmup:
        return max(progress / warmup, 0.02)
    if kind == "step":
        return 1.0 if progress < _STEP_AT else _STEP_TO
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
