"""The command line of `train.train_decoder`: its options, and the recipe they make together."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mambaad_demo.errors import InputError
from mambaad_demo.hub.schemas import MOST_TILES
from mambaad_demo.models import DECODERS
from train.precision import add_precision
from train.recipes import RECIPES, Recipe, find_recipe, with_encoder

_TRAINING_OPTIONS = ("seed", "batch_size", "learning_rate", "precision")
_RECIPE_OPTIONS = ("decoder", "encoder", "steps", "minutes", "epochs", *_TRAINING_OPTIONS, "resize")
"""Options that change what the recipe says, in the order the command is shown."""


def parse(arguments: Sequence[str] | None, *, description: str) -> argparse.Namespace:
    """The options; those of the recipe are None unless given."""
    parser = argparse.ArgumentParser(
        prog="python -m train.train_decoder",
        description=description,
        epilog=_recipe_list(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_places(parser)
    changing = parser.add_argument_group("what the recipe says, unless given here")
    _add_changes(changing)
    add_precision(parser, changing)
    _add_logs(parser.add_argument_group("what is kept of the run"))
    return parser.parse_args(arguments)


def chosen_recipe(options: argparse.Namespace) -> Recipe:
    """The recipe with the options that were given in place of its own.

    Raises:
        InputError: the two do not go together, or a value makes no sense.
    """
    recipe = find_recipe(options.recipe, options.decoder)
    given = {name: value for name in _TRAINING_OPTIONS if (value := getattr(options, name)) is not None}
    try:
        recipe = replace(recipe, training=replace(recipe.training, **given))
        if options.encoder is not None:
            recipe = replace(recipe, detector=with_encoder(recipe.detector, options.encoder))
        if options.resize is not None:
            recipe = replace(recipe, resize=options.resize)
        return _with_budget(recipe, options)
    except ValueError as error:
        raise InputError(str(error)) from error


def changes(options: argparse.Namespace) -> str:
    """The options given in place of the recipe's own, as typed."""
    given: dict[str, Any] = {name: getattr(options, name) for name in _RECIPE_OPTIONS}
    return " ".join(
        f"--{name.replace('_', '-')} {format(value, 'g') if isinstance(value, float) else value}"
        for name, value in given.items()
        if value is not None
    )


def command(options: argparse.Namespace) -> str:
    """The run to repeat, with folders by their names only: it is published in the model card."""
    parts = [
        f"python -m train.train_decoder --recipe {options.recipe}",
        changes(options),
        "--data " + " ".join(root.resolve().name for root in options.data),
        "--categories " + " ".join(options.categories) if options.categories else "",
        f"--tiles {options.tiles}" if options.tiles > 1 else "",
        f"--out {options.out.name}",
    ]
    return " ".join(part for part in parts if part)


def _with_budget(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    """One of steps, minutes and epochs ends the run: the one given, else the recipe's."""
    if options.epochs is not None:
        return replace(recipe, epochs=options.epochs)
    if options.steps is None and options.minutes is None:
        return recipe
    training = replace(recipe.training, steps=options.steps, minutes=options.minutes)
    return replace(recipe, training=training, epochs=None)


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        default="standard",
        metavar="NAME",
        help="see below; default: %(default)s",
    )
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="ROOT", help="folders in MVTec AD layout"
    )
    parser.add_argument("--categories", nargs="+", metavar="NAME", help="default: all that ROOT holds")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint folder to write")
    parser.add_argument("--resume", action="store_true", help="go on where an interrupted run stopped")
    parser.add_argument(
        "--tiles",
        type=int,
        choices=range(1, MOST_TILES + 1),
        default=1,
        metavar="N",
        help=f"look at N (to {MOST_TILES}) overlapping tiles along the longer side; default: %(default)s",
    )


def _add_changes(parser: Any) -> None:  # argparse does not name the type of its groups
    parser.add_argument("--decoder", choices=sorted(DECODERS), help="with quick, standard and full: any")
    parser.add_argument("--encoder", metavar="NAME", help="timm model name")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--steps", type=int, metavar="N", help="optimiser steps")
    budget.add_argument("--minutes", type=float, metavar="N", help="time spent in steps")
    budget.add_argument("--epochs", type=int, metavar="N", help="passes over the training images")
    parser.add_argument("--seed", type=int, metavar="N")
    parser.add_argument("--batch-size", type=int, metavar="N", help="images per step, over all processes")
    parser.add_argument("--learning-rate", type=float, metavar="X")
    parser.add_argument("--resize", choices=("letterbox", "square"))


def _add_logs(parser: Any) -> None:
    parser.add_argument("--name", help="name of the checkpoint; default: the folder's")
    parser.add_argument("--note", help="a line for the model card, such as where the data came from")
    parser.add_argument(
        "--dataset", nargs="+", metavar="OWNER/NAME", help="Hub names of the data, for the model card"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures of the run here")
    parser.add_argument(
        "--logs",
        type=Path,
        metavar="DIR",
        help="write metrics.csv here, and TensorBoard files where tensorboard is installed",
    )
    parser.add_argument(
        "--validations",
        type=_count,
        default=10,
        metavar="N",
        help="how often to measure the loss on held-out good images; default: %(default)s",
    )


def _count(text: str) -> int:
    """A number of times."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of times")
    return int(text)


def _recipe_list() -> str:
    names = [f"  {name:<22}{_first_line(RECIPES[name])}" for name in RECIPES]
    return "\n".join(["recipes:", *names, "", "Options given beside a recipe win over it."])


def _first_line(function: Any) -> str:
    recipe: Recipe = function()
    return recipe.description
