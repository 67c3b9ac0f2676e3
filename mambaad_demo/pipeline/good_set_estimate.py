"""How long a fine-tuning takes and how much memory, from a trial run in a process of its own."""

import math
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from mambaad_demo.data.temporary import PREFIX
from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.good_set_photos import GoodPicture
from mambaad_demo.pipeline.good_set_trial import WarmUpRequest, run_trial
from mambaad_demo.pipeline.predictor import Predictor

TRIED = 6
"""Photos that the trial run reads."""

_LEARNED_SHARE = 0.75  # of the photos, about; the others are held out and not varied
_LONGEST = 300.0  # seconds of a trial run; what takes longer is no machine to train on


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a fine-tuning takes on this machine; of the steps alone, what is validated and rehearsed comes on
    top."""

    seconds_to_start: float
    """Until the process is up and the checkpoint loaded."""
    seconds_per_photo: float
    """To read and to encode one."""
    seconds_per_step: float
    megabytes: float
    """Most memory the process held, with hardly any photos."""
    megabytes_per_photo: float
    """That the features and pixels of one photo take."""
    megabytes_per_variant: float
    """That the features of a photo with one change take."""
    gpu_megabytes: float | None
    """Most memory on the GPU; None without one."""
    batch_size: int
    device: str

    def seconds_to_read(self, *, photos: int, variants: int = 0) -> float:
        """From the start to the first step; a change of a photo takes about as long as the photo.

        Args:
            variants: pictures that are made of each photo to learn from, besides itself.
        """
        encodings = photos + _LEARNED_SHARE * photos * variants
        return self.seconds_to_start + encodings * self.seconds_per_photo

    def minutes_for(self, *, steps: int, photos: int, variants: int = 0) -> float:
        """From the start to the last step."""
        before = self.seconds_to_read(photos=photos, variants=variants)
        return (before + steps * self.seconds_per_step) / 60

    def steps_in(self, *, minutes: float, photos: int, variants: int = 0) -> int:
        """Steps that can be taken until so many minutes after the start; none where reading takes longer."""
        seconds = 60 * minutes - self.seconds_to_read(photos=photos, variants=variants)
        return max(0, math.floor(seconds / self.seconds_per_step))

    def megabytes_for(self, *, photos: int, variants: int = 0) -> float:
        """Memory of the process with all photos and what is made of them."""
        changed = _LEARNED_SHARE * photos * variants * self.megabytes_per_variant
        return self.megabytes + photos * self.megabytes_per_photo + changed

    def words(self, *, steps: int, photos: int, variants: int = 0) -> str:
        """A sentence or two for people."""
        memory = f"{_memory(self.megabytes_for(photos=photos, variants=variants))} of memory"
        if self.gpu_megabytes is not None:
            memory += f" and {_memory(self.gpu_megabytes)} on the GPU"
        minutes = _minutes(self.minutes_for(steps=steps, photos=photos, variants=variants))
        return (
            f"About {minutes} for {steps} steps with {photos} photos, at {self.seconds_per_step:.2g} s a "
            f"step on {self.device}. It takes about {memory}."
        )

    def to_json(self) -> dict[str, float | int | str | None]:
        """Only JSON types."""
        return asdict(self)


def estimate(
    predictor: Predictor,
    pictures: Sequence[GoodPicture],
    *,
    batch_size: int = 8,
    python: str = sys.executable,
    longest: float = _LONGEST,
) -> Estimate:
    """Measure a trial run with some of the photos; takes seconds, and no tensor work in this process.

    Args:
        predictor: of the checkpoint that shall be trained on, with its device, kernel and tiles.
        pictures: the good set; a few of them, spread evenly, are read.
        batch_size: photos in a step.
        python: the interpreter of the process.
        longest: seconds after which the trial is given up.

    Raises:
        InputError: the trial failed; the message says why and what to do.
    """
    chosen = pictures[:: max(1, math.ceil(len(pictures) / TRIED))]
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}warmup-") as folder:
        request = WarmUpRequest(
            folder=predictor.checkpoint.folder.resolve(),
            photos=_as_files(chosen, Path(folder)),
            batch_size=batch_size,
            tiles=predictor.tiles,
            device=predictor.device,
            kernel=predictor.kernel,
            precision=predictor.runner.detector.encoder.precision,
        )
        started = time.perf_counter()
        result = run_trial(request, python=python, longest=longest)
    return Estimate(
        seconds_to_start=max(0.0, time.perf_counter() - started - result.seconds_of_work),
        seconds_per_photo=result.seconds_per_photo,
        seconds_per_step=result.seconds_per_step,
        megabytes=result.megabytes,
        megabytes_per_photo=result.megabytes_per_photo,
        megabytes_per_variant=result.megabytes_per_variant,
        gpu_megabytes=result.gpu_megabytes,
        batch_size=batch_size,
        device=predictor.device,
    )


def _as_files(pictures: Sequence[GoodPicture], folder: Path) -> tuple[Path, ...]:
    """Files of the pictures that can be had, those without one written to the folder."""
    files = []
    for number, picture in enumerate(pictures):
        with suppress(InputError):
            content = picture.content() if callable(picture.content) else picture.content
            if isinstance(content, bytes):
                (folder / str(number)).write_bytes(content)
                content = folder / str(number)
            files.append(content.resolve())
    return tuple(files)


def _minutes(minutes: float) -> str:
    if minutes < 1:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _memory(megabytes: float) -> str:
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"
