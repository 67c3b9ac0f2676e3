"""Named configurations: which network, how it is trained, and where each number comes from. Change a number
here and it changes in one place.

`quick`, `standard` and `full` fit the network for two CPU cores; the others are the published networks on the
data sets of the papers, for a GPU. Data sets are not fetched: lay them out as MVTec AD is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mambaad_demo.errors import InputError
from mambaad_demo.hub.schemas import Resize
from mambaad_demo.models.detector import DetectorConfig
from mambaad_demo.models.encoder import PACKAGED_ENCODER, WeightsSource
from mambaad_demo.pipeline.training import TrainingConfig

_OWN_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "mambaad": {"directions": 2},
    "pyramid_mamba": {"pyramid_levels": 1},
    "mambaad_v2": {"directions": (2, 2, 2, 4)},
}
_PUBLISHED_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "mambaad": {"path": "hilbert", "directions": 8, "direction_set": "reference", "state_dim": 16},
    "pyramid_mamba": {"pyramid_levels": 1, "state_dim": 16},
    "mambaad_v2": {
        "path": "hilbert",
        "directions": (2, 2, 4, 8),
        "direction_set": "distinct",
        "state_dim": 32,
        "head_dim": 32,
    },
}
_PUBLISHED_ENCODER = "resnet34.bt_in1k"
"""The file the configs of MambaAD name, resnet34-43635321, under its tag of today."""
_PUBLISHED_BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One full training: the network, how it is fitted, how a photo becomes its input, and who says so."""

    description: str
    """One line: what it makes, and what it takes."""
    source: str
    """Where the numbers come from: section of the paper or file of its code."""
    departures: str
    """What is not as in the source, and why; empty where nothing is."""
    detector: DetectorConfig
    training: TrainingConfig
    """Its budget holds for the images of the data set the recipe names; see `training_on`."""
    epochs: int | None = None
    """Passes over the training images; None keeps the budget of `training`."""
    resize: Resize = "letterbox"

    def __post_init__(self) -> None:
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(f"epochs must be positive, got {self.epochs}.")

    def training_on(self, images: int) -> TrainingConfig:
        """The training with its epochs counted in steps over so many images; a batch that would not be full
        is left out, as published."""
        if self.epochs is None:
            return self.training
        steps = self.epochs * max(1, images // self.training.batch_size)
        return replace(self.training, steps=steps, minutes=None)


def default_detector(decoder: str, encoder: str = PACKAGED_ENCODER) -> DetectorConfig:
    """The network for two CPU cores: narrow stages, few directions, standardised targets, noise on the fused
    map.

    The packaged encoder needs no download; any other comes from the Hub with its pretrained weights.
    """
    return with_encoder(
        DetectorConfig(
            decoder=decoder,
            decoder_options={"dims": (256, 128, 64, 32), "depths": (2, 2, 2, 2), **_OWN_OPTIONS[decoder]},
            standardize=True,
            anchor=0.7,
            noise_std=0.2,
        ),
        encoder,
    )


def with_encoder(detector: DetectorConfig, encoder: str) -> DetectorConfig:
    """The same network over another encoder, with the weights it comes with."""
    source: WeightsSource = "package" if encoder == PACKAGED_ENCODER else "hub"
    return replace(detector, encoder=encoder, encoder_weights=source)


def quick(decoder: str = "mambaad") -> Recipe:
    """Enough to see whether the photos work at all."""
    return _own(decoder, steps=200)


def standard(decoder: str = "mambaad") -> Recipe:
    """What the embedded checkpoints were trained with."""
    return _own(decoder, steps=1000)


def full(decoder: str = "mambaad") -> Recipe:
    """Some hours on one core."""
    return _own(decoder, steps=6000)


def mvtec_mambaad() -> Recipe:
    """MambaAD on the 15 categories of MVTec AD."""
    return _mambaad("MVTec AD", images=3629)


def visa_mambaad() -> Recipe:
    """MambaAD on the 12 categories of VisA."""
    return _mambaad("VisA", images=8659)


def realiad_mambaad() -> Recipe:
    """MambaAD on the 30 categories of Real-IAD."""
    return _mambaad("Real-IAD", images=36_465)


def mvtec_pyramid_mamba() -> Recipe:
    """Pyramid-Mamba on the 15 categories of MVTec AD."""
    return _pyramid_mamba("MVTec AD", images=3629)


def visa_pyramid_mamba() -> Recipe:
    """Pyramid-Mamba on the 12 categories of VisA."""
    return _pyramid_mamba("VisA", images=8659)


def realiad_pyramid_mamba() -> Recipe:
    """Pyramid-Mamba on the 30 categories of Real-IAD, which its authors did not report."""
    return _pyramid_mamba("Real-IAD", images=36_465)


def mvtec_mambaad_v2() -> Recipe:
    """Our reading of MambaADv2 on the 15 categories of MVTec AD."""
    return _mambaad_v2("MVTec AD", images=3629)


def visa_mambaad_v2() -> Recipe:
    """Our reading of MambaADv2 on the 12 categories of VisA."""
    return _mambaad_v2("VisA", images=8659)


def realiad_mambaad_v2() -> Recipe:
    """Our reading of MambaADv2 on the 30 categories of Real-IAD."""
    return _mambaad_v2("Real-IAD", images=36_465)


SIZES: Mapping[str, Callable[[str], Recipe]] = {"quick": quick, "standard": standard, "full": full}
"""Recipes for any decoder."""
PUBLISHED: Mapping[str, Callable[[], Recipe]] = {
    recipe.__name__: recipe
    for recipe in (
        mvtec_mambaad,
        visa_mambaad,
        realiad_mambaad,
        mvtec_pyramid_mamba,
        visa_pyramid_mamba,
        realiad_pyramid_mamba,
        mvtec_mambaad_v2,
        visa_mambaad_v2,
        realiad_mambaad_v2,
    )
}
"""Recipes of one decoder each."""
RECIPES: Mapping[str, Callable[..., Recipe]] = {**SIZES, **PUBLISHED}


def find_recipe(name: str, decoder: str | None = None) -> Recipe:
    """The recipe of a name, for a decoder where one is wanted.

    Raises:
        InputError: an unknown name, or a recipe of another decoder.
    """
    if name not in RECIPES:
        raise InputError(f"There is no recipe {name!r}. Choose one of {', '.join(RECIPES)}.")
    if name in SIZES:
        return SIZES[name](decoder or "mambaad")
    recipe = PUBLISHED[name]()
    own = recipe.detector.decoder
    if decoder not in (None, own):
        raise InputError(
            f"The recipe {name!r} is made for {own}. For {decoder} choose {name.removesuffix(own)}{decoder}, "
            "or leave the decoder out."
        )
    return recipe


_SECONDS_PER_STEP = {"mambaad": 1.9, "pyramid_mamba": 3.2, "mambaad_v2": 3.9}
"""CPU time of a step of 8 images on one thread of a 2.8 GHz Xeon, median of 8 steps."""


def _own(decoder: str, *, steps: int) -> Recipe:
    minutes = steps * _SECONDS_PER_STEP[decoder] / 60
    return Recipe(
        description=f"the network for two CPU cores, {steps} steps of 8 images: about {minutes:.0f} minutes "
        f"with {decoder} by the time of a step measured on one thread of a 2.8 GHz Xeon",
        source="chosen and measured here: docs/benchmarks.md, docs/decisions/0006-muon.md",
        departures="nothing of it is published; widths, directions, loss and optimiser are ours",
        detector=default_detector(decoder),
        training=TrainingConfig(steps=steps),
    )


def _mambaad(data: str, *, images: int) -> Recipe:
    return Recipe(
        description=f"MambaAD as published, 500 epochs of {data} on a GPU",
        source="arXiv 2404.06564, section 4.1 (AdamW 5e-3, decay 1e-4, batch 16, 256 pixels, 500 epochs, sum "
        "of squared errors); lewandofskee/MambaAD, configs/mambaad (the same, but 1000 epochs and the loss "
        "times 5; gradients clipped at norm 5, here at 1, which is the same without that 5)",
        departures=_OURS,
        detector=_published_detector("mambaad"),
        training=_published_training(images, epochs=500, learning_rate=5e-3),
        epochs=500,
        resize="square",
    )


def _pyramid_mamba(data: str, *, images: int) -> Recipe:
    reported = {"MVTec AD": "", "VisA": " The paper has no figures for VisA."}
    return Recipe(
        description=f"Pyramid-Mamba as published, 500 epochs of {data} on a GPU",
        source="arXiv 2504.03442 (Adam 5e-4, 500 epochs, two levels best); iqbalmlpuniud/Pyramid_Mamba, "
        "configs/mambaad (AdamW 5e-3, 1000 epochs) and model/mambaad.py (one level at 256 pixels, noise of "
        "0.05 on the fused map)",
        departures="Learning rate 1e-3, between the paper's and the code's; the code's one level. "
        + _OURS
        + reported.get(data, f" Neither paper nor code has anything for {data}."),
        detector=_published_detector("pyramid_mamba", noise_std=0.05),
        training=_published_training(images, epochs=500, learning_rate=1e-3),
        epochs=500,
        resize="square",
    )


def _mambaad_v2(data: str, *, images: int) -> Recipe:
    return Recipe(
        description=f"our reading of MambaADv2 in full size, 300 epochs of {data} on a GPU",
        source="arXiv 2606.23126, abstract only: it names no number; what it leaves open is as in MambaAD",
        departures="All of it is ours: learning rate 1e-3 with a warm-up of 5 %, 300 epochs. " + _OURS,
        detector=_published_detector("mambaad_v2"),
        training=_published_training(images, epochs=300, learning_rate=1e-3, warmup=0.05),
        epochs=300,
        resize="square",
    )


_OURS = (
    "Up to 15 % of the good images of a category are held out for its limits; categories are drawn equally "
    "often; the scan's decay and step bias are spared from weight decay."
)


def _published_detector(decoder: str, *, noise_std: float = 0.0) -> DetectorConfig:
    """Full widths over ResNet-34; plain cosine distances of bare features."""
    sizes = {"dims": (512, 256, 128, 64), "depths": (3, 4, 6, 3)}
    return DetectorConfig(
        decoder=decoder,
        decoder_options={**sizes, **_PUBLISHED_OPTIONS[decoder]},
        encoder=_PUBLISHED_ENCODER,
        encoder_weights="hub",
        noise_std=noise_std,
    )


def _published_training(
    images: int, *, epochs: int, learning_rate: float, warmup: float = 0.0
) -> TrainingConfig:
    """AdamW, a tenth of the learning rate from 80 % on; for so many training images, the last batch dropped
    if it is not full."""
    return TrainingConfig(
        steps=epochs * (images // _PUBLISHED_BATCH),
        batch_size=_PUBLISHED_BATCH,
        learning_rate=learning_rate,
        optimizer="adamw",
        schedule="step",
        warmup=warmup,
        clip_norm=1.0,
        mse_weight=1.0,
        cosine_weight=0.0,
    )
