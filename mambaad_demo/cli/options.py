"""What all commands share: options, exit status, errors as one line, the predictor of the settings."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated

import typer

from mambaad_demo.errors import DemoError, InputError, UnknownReleaseError
from mambaad_demo.pipeline.predictor import Predictor
from mambaad_demo.settings import Settings

FAILED, USAGE, SOME_REFUSED = 1, 2, 3
"""Exit status; 0 where all was done."""


class Device(StrEnum):
    """Where the detector runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output and nothing else.")]
DeviceOption = Annotated[Device | None, typer.Option(help="Default: MAMBAAD_DEVICE, else auto.")]


def predictor_of(checkpoint: str, device: Device | None) -> Predictor:
    """A checkpoint as the settings want it."""
    settings = Settings.from_env(os.environ)
    return Predictor.from_checkpoint(
        checkpoint,
        device=device or settings.device,
        kernel=settings.kernel,
        precision=settings.precision,
        checkpoints_root=settings.checkpoints,
        versions_root=settings.versions,
        allowed_repos=settings.allowed_repos,
    )


@contextmanager
def errors_shown() -> Iterator[None]:
    """Print our errors as one line; a wrong name or input is wrong usage, the rest a failed check."""
    try:
        yield
    except DemoError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(USAGE if isinstance(error, InputError | UnknownReleaseError) else FAILED) from error
