"""Recipes: the published ones build the published networks, and every number says where it comes from."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mambaad_demo.errors import InputError
from mambaad_demo.models import DECODERS, Detector, build_detector
from mambaad_demo.models.state_dicts import from_published
from train.recipes import (
    PUBLISHED,
    RECIPES,
    SIZES,
    Recipe,
    default_detector,
    find_recipe,
    full,
    quick,
    standard,
)

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def _built(recipe: Recipe) -> Detector:
    """The network with random weights instead of those of the Hub."""
    return build_detector(recipe.detector, load_encoder_weights=False)


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "total"),
    [("mvtec_mambaad", 25_615_232), ("mvtec_pyramid_mamba", 23.05e6), ("mvtec_mambaad_v2", 21.75e6)],
)
def test_the_published_networks_have_their_published_sizes(name: str, total: float) -> None:
    # MambaAD: 25.7 M in the paper, 25.65 M with and 25.615 M without index tables; v2: our specification.
    assert _count(_built(find_recipe(name))) == pytest.approx(total, rel=0 if total == 25_615_232 else 0.01)


@pytest.mark.parametrize("decoder", ["mambaad", "pyramid_mamba"])
def test_tensors_of_the_published_weights_fit_the_recipe_by_name_and_shape(decoder: str) -> None:
    keys = json.loads((GOLDEN / f"official_{decoder}_state_dict.json").read_text(encoding="utf-8"))["keys"]
    published = {
        name: torch.zeros((), dtype=getattr(torch, kind)).expand(shape)
        for name, (shape, kind) in keys.items()
    }

    theirs = {name: tuple(t.shape) for name, t in from_published(decoder, published, part="detector").items()}

    assert theirs == {
        name: tuple(t.shape) for name, t in _built(find_recipe(f"mvtec_{decoder}")).state_dict().items()
    }


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_recipe_is_built_as_published_beyond_its_parameters(name: str) -> None:
    recipe = find_recipe(name)
    detector, training = recipe.detector, recipe.training

    assert name.endswith(detector.decoder)
    assert (detector.encoder, detector.encoder_weights) == ("resnet34.bt_in1k", "hub")
    assert (detector.input_side, recipe.resize, detector.sigma) == (256, "square", 4.0)
    assert (detector.standardize, detector.anchor) == (False, 0.0)
    assert detector.noise_std == (0.05 if detector.decoder == "pyramid_mamba" else 0.0)
    assert (training.batch_size, training.weight_decay, training.seed) == (16, 1e-4, 42)
    assert (training.mse_weight, training.cosine_weight) == (1.0, 0.0)
    assert (training.optimizer, training.schedule) == ("adamw", "step")


@pytest.mark.parametrize(
    ("decoder", "epochs", "learning_rate", "warmup"),
    [("mambaad", 500, 5e-3, 0.0), ("pyramid_mamba", 500, 1e-3, 0.0), ("mambaad_v2", 300, 1e-3, 0.05)],
)
def test_the_schedules_are_those_of_the_specification(
    decoder: str, epochs: int, learning_rate: float, warmup: float
) -> None:
    for data, steps_per_epoch in (("mvtec", 226), ("visa", 541), ("realiad", 2279)):
        recipe = find_recipe(f"{data}_{decoder}")
        assert (recipe.epochs, recipe.training.learning_rate) == (epochs, learning_rate)
        assert recipe.training.warmup == warmup
        assert recipe.training.steps == epochs * steps_per_epoch  # of 16 images; the rest is dropped


def test_epochs_are_counted_over_the_images_there_are() -> None:
    recipe = find_recipe("mvtec_mambaad")

    assert recipe.training_on(3629) == recipe.training
    assert recipe.training_on(100).steps == 500 * 6
    assert recipe.training_on(3).steps == 500  # the trainer then refuses so few
    assert standard().training_on(3) == standard().training


def test_an_epoch_less_run_is_refused() -> None:
    with pytest.raises(ValueError, match="epochs must be positive, got 0"):
        Recipe(
            description="",
            source="",
            departures="",
            detector=default_detector("mambaad"),
            training=standard().training,
            epochs=0,
        )


@pytest.mark.parametrize("decoder", sorted(DECODERS))
def test_sizes_differ_in_their_budget_alone(decoder: str) -> None:
    recipes = [size(decoder) for size in (quick, standard, full)]

    assert [recipe.training.steps for recipe in recipes] == [200, 1000, 6000]
    assert all(recipe.detector == default_detector(decoder) for recipe in recipes)
    assert _count(_built(recipes[0]).decoder) < 4e6


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_says_what_it_takes_and_where_its_numbers_come_from(name: str) -> None:
    recipe = find_recipe(name)

    assert ("minutes" if name in SIZES else "epochs") in recipe.description
    assert "\n" not in recipe.description
    assert recipe.source
    assert recipe.departures
    assert name in SIZES or "arXiv" in recipe.source


def test_a_recipe_of_another_decoder_names_the_right_one() -> None:
    with pytest.raises(InputError, match="choose visa_mambaad_v2"):
        find_recipe("visa_mambaad", "mambaad_v2")
    with pytest.raises(InputError, match="no recipe 'best'"):
        find_recipe("best")
    assert find_recipe("visa_mambaad", "mambaad") == find_recipe("visa_mambaad")
    assert find_recipe("quick", "mambaad_v2").detector.decoder == "mambaad_v2"


@pytest.mark.parametrize(("encoder", "source"), [("tf_efficientnet_lite0", "package"), ("resnet18", "hub")])
def test_weights_of_an_encoder_come_from_where_they_are(encoder: str, source: Any) -> None:
    assert default_detector("mambaad", encoder).encoder_weights == source
