"""What a fine-tuning is to learn, how long and how."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from mambaad_demo.hub.schemas import Border, CategoryName, Rates
from mambaad_demo.pipeline.augmentation import Augmentation
from mambaad_demo.pipeline.training import TrainingPrecision

MIN_PHOTOS = 5
"""Fewer good photos say nothing about what varies among them."""


DEFAULT_MINUTES = 10.0
"""Of a fine-tuning for which neither steps nor minutes are given."""


class FinetuneSpec(Border):
    """What to learn, how long and how."""

    category: CategoryName
    """The part, as the checkpoint is to call it; one it knows already is learned better."""
    steps: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Optimiser steps; give this or `minutes`."""
    minutes: Annotated[float, Field(gt=0, le=10_000)] | None = None
    """Wall time of the steps, earlier parts of a resumed run included."""
    batch_size: Annotated[int, Field(ge=2, le=512)] = 8
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 4e-3
    """Peak of Muon's; see `training.TrainingConfig`."""
    seed: Annotated[int, Field(ge=0, le=2**31)] = 42
    augmentations: tuple[Augmentation, ...] = ()
    """Changes that turn one good part into another; those a part does not allow teach it wrong."""
    patience: Annotated[int, Field(ge=0, le=1000)] = 8
    """Validations, of which a run has about 20, without a better one until it ends; 0 never ends early."""
    replay: bool = True
    """Whether to rehearse what the base knows."""
    check_rate: Annotated[float, Field(gt=0, lt=1)] = 0.05
    reject_rate: Annotated[float, Field(gt=0, lt=1)] = 0.005
    """False-reject rates the limits aim at."""
    precision: TrainingPrecision = "float32"

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("give either steps or minutes")
        if self.check_rate < self.reject_rate:
            raise ValueError("the check rate must not lie below the reject rate")
        return self

    @property
    def rates(self) -> Rates:
        return Rates(check=self.check_rate, reject=self.reject_rate)
