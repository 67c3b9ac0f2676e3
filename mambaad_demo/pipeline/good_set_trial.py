"""A trial run as the process that asks for it sees it: the request, the answer, and what to do without one.

What happens in the trial stands in `warmup`.
"""

import logging
import subprocess
from pathlib import Path
from typing import Annotated

from pydantic import Field

import mambaad_demo
from mambaad_demo.errors import InputError
from mambaad_demo.hub.schemas import MOST_TILES, Border
from mambaad_demo.models.encoder import Precision

NO_MEMORY = (
    "Training needs more memory than is free here. Close other programs, use a machine with more, or train "
    "from the command line with a smaller `--batch-size`."
)

_ROOT = Path(mambaad_demo.__file__).resolve().parents[1]

log = logging.getLogger(__name__)


class WarmUpRequest(Border):
    """What to try."""

    folder: Path
    """Of the checkpoint."""
    photos: tuple[Path, ...]
    """Some of those to be trained on; what cannot be read among them is passed over."""
    batch_size: Annotated[int, Field(ge=2)]
    tiles: Annotated[int, Field(ge=1, le=MOST_TILES)]
    device: str
    kernel: str
    precision: Precision


class WarmUp(Border):
    """What it took."""

    seconds_per_step: float
    seconds_per_photo: float
    """To read and to encode one."""
    seconds_of_work: float
    """All that was measured; what is missing from the time of the process is its start."""
    megabytes: float
    """Most memory that the process held at once."""
    gpu_megabytes: float | None
    """Most memory that was taken on the GPU at once; None without one."""
    megabytes_per_photo: float
    """That one photo takes as long as training lasts: its features and its pixels as the model sees them."""
    megabytes_per_variant: float
    """The same of a photo with one change, of which only the features are kept."""


class Failure(Border):
    """Why there are no figures, in words for people."""

    error: str


def run_trial(request: WarmUpRequest, *, python: str, longest: float) -> WarmUp:
    """Try it in a process of its own and wait for that.

    Args:
        python: the interpreter.
        longest: seconds after which the trial is given up.

    Raises:
        InputError: it failed; the message says why and what to do.
    """
    try:
        process = subprocess.run(
            [python, "-m", "mambaad_demo.pipeline.warmup"],
            input=request.model_dump_json(),
            cwd=_ROOT,  # where the package is found, installed or not
            capture_output=True,
            text=True,
            timeout=longest,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"A trial run took more than {longest:.0f} s and was given up: this machine is too slow or too "
            "busy to fine-tune on. Close other programs, or try again later."
        ) from error
    except OSError as error:
        raise InputError("No process for a trial run could be started. Close other programs.") from error
    if process.returncode:
        log.warning("The trial run ended with status %d: %s", process.returncode, process.stderr[-2000:])
        if process.returncode < 0:  # by a signal, which a system sends that has no memory left
            raise InputError(NO_MEMORY)
        raise InputError(
            f"A trial run failed with status {process.returncode}; the log of the server says how. Choose "
            "another checkpoint."
        )
    said = process.stdout.strip().rpartition("\n")[2]
    if said.startswith('{"error"'):
        raise InputError(Failure.model_validate_json(said).error)
    return WarmUp.model_validate_json(said)
