"""`--precision` of both training scripts, which `accelerate launch --mixed_precision` sets as well."""

import argparse
import os
from typing import get_args

from mambaad_demo.pipeline.training import TrainingPrecision

_LAUNCHED = "ACCELERATE_MIXED_PRECISION"
_NAMES: dict[str, TrainingPrecision | None] = {"": None, "no": None, "bf16": "bfloat16"}
"""Values of accelerate; by `no` it also says that nothing was asked of it."""


def add_precision(parser: argparse.ArgumentParser, group: argparse._ArgumentGroup | None = None) -> None:
    """Add the option, by default what accelerate was asked for; a precision we do not train in is refused."""
    launched = os.environ.get(_LAUNCHED, "").lower()
    if launched not in _NAMES:
        parser.error(f"we do not train in {launched}: launch with --mixed_precision bf16, or no")
    (group or parser).add_argument(
        "--precision",
        choices=get_args(TrainingPrecision),
        default=_NAMES[launched],
        help="of fusion and decoder; default: that of `accelerate launch --mixed_precision`, else float32",
    )
