"""A trial run in a process of its own: what a photo, a training step and both together take here.

`python -m mambaad_demo.pipeline.warmup` reads a `WarmUpRequest` as JSON from its input and prints a `WarmUp`
or a `Failure` as the last line of its output. Its memory can be measured because nobody shares it, and a
crash or an exhausted memory ends nobody else. Starting it is `good_set_trial`'s business.
"""

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import add
from pathlib import Path

import torch

from mambaad_demo.data.uploads import load_image
from mambaad_demo.errors import DemoError, InputError, TooFewImagesError
from mambaad_demo.hub.checkpoints import Checkpoint, load_folder
from mambaad_demo.pipeline.encoded_images import EncodedImage, encode
from mambaad_demo.pipeline.good_set_trial import NO_MEMORY, Failure, WarmUp, WarmUpRequest
from mambaad_demo.pipeline.inference import ModelInput
from mambaad_demo.pipeline.predictor import MAX_MEGAPIXELS_IN_BATCH
from mambaad_demo.pipeline.training import FeatureCache, Trainer, TrainingConfig

_WARM, _MEASURED = 2, 2  # training steps
_LOWER_PRIORITY = 10  # as a training's own, so that the times are those of one
_FIRST_TO_GO = "900"  # of 1000: where memory runs out, the kernel ends this and neither server nor training
_EXHAUSTED = "allocate memory"  # what torch says when the memory is, but not that of a GPU


def warm_up(request: WarmUpRequest) -> WarmUp:
    """Load, encode, train a few steps.

    Raises:
        TooFewImagesError: no photo can be read.
        CheckpointError: the checkpoint cannot be loaded.
        DivergedError: its training diverges at once.
    """
    checkpoint = load_folder(
        request.folder, device=request.device, kernel=request.kernel, precision=request.precision
    )
    started = time.perf_counter()
    images, pixel_bytes, seconds = _encoded(checkpoint, request)
    steps = _steps(checkpoint, images, request.batch_size)
    return WarmUp(
        seconds_per_step=(steps[-1] - steps[_WARM - 1]) / _MEASURED,
        seconds_per_photo=statistics.median(seconds[1:] or seconds),
        seconds_of_work=time.perf_counter() - started,
        megabytes=peak_bytes() / 1e6,
        gpu_megabytes=torch.cuda.max_memory_reserved() / 1e6 if request.device == "cuda" else None,
        megabytes_per_photo=max(map(add, map(_feature_bytes, images), pixel_bytes)) / 1e6,
        megabytes_per_variant=max(map(_feature_bytes, images)) / 1e6,
    )


def _encoded(
    checkpoint: Checkpoint, request: WarmUpRequest
) -> tuple[list[EncodedImage], list[int], list[float]]:
    """The photos that can be read, the bytes of pixels that a training keeps of each, and the seconds that
    each took; the first one also warms up."""
    images: list[EncodedImage] = []
    pixel_bytes: list[int] = []
    seconds: list[float] = []
    for path in request.photos:
        start = time.perf_counter()
        with suppress(InputError):
            item = ModelInput.from_pixels(
                load_image(path, max_megapixels=MAX_MEGAPIXELS_IN_BATCH).pixels,
                side=checkpoint.detector.side,
                resize=checkpoint.config.resize,
                tiles=request.tiles,
            )
            images.extend(encode(checkpoint.detector, [item]))
            seconds.append(time.perf_counter() - start)
            pixel_bytes.append(item.pixels.size + item.tiles[0].size)  # canvas and golden tile, of uint8
    if not images:
        raise TooFewImagesError("None of the photos could be read, so nothing was tried. Add good photos.")
    return images, pixel_bytes, seconds


def _steps(checkpoint: Checkpoint, images: Sequence[EncodedImage], batch_size: int) -> list[float]:
    """Seconds since the first step began, after each step; photos are repeated where they fill no batch."""
    scales = [torch.cat(scale) for scale in zip(*(image.features for image in images), strict=True)]
    wanted = torch.arange(max(batch_size, len(scales[0]))) % len(scales[0])
    cache = FeatureCache([scale[wanted] for scale in scales], [0] * len(wanted))
    config = TrainingConfig(steps=_WARM + _MEASURED, batch_size=batch_size, frozen_statistics=True)
    return [step.seconds for step in Trainer(checkpoint.detector, cache, config).steps()]


def _feature_bytes(image: EncodedImage) -> int:
    return sum(feature.nbytes for feature in image.features)


def peak_bytes() -> int:
    """Most memory this process held at once."""
    with suppress(OSError, StopIteration):  # there is no such file but on Linux
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    # On Linux this one would not do: a child takes over the figure of the process that started it.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def answer(request: str, *, run: Callable[[WarmUpRequest], WarmUp] = warm_up) -> WarmUp | Failure:
    """Try what a JSON request says; what a person can do something about becomes a `Failure`."""
    try:
        return run(WarmUpRequest.model_validate_json(request))
    except DemoError as error:
        return Failure(error=str(error))
    except (MemoryError, torch.OutOfMemoryError):
        return Failure(error=NO_MEMORY)
    except RuntimeError as error:
        if _EXHAUSTED not in str(error):
            raise
        return Failure(error=NO_MEMORY)


def _step_back() -> None:
    """Let inspections go first, with processors and with memory."""
    os.nice(_LOWER_PRIORITY)
    with suppress(OSError):  # there is no such file but on Linux
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO, encoding="ascii")


if __name__ == "__main__":
    _step_back()
    print(answer(sys.stdin.read()).model_dump_json())
