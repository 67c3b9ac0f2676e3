"""What a fine-tuning process says while it works: one JSON line per event, in a file that others read
meanwhile.

The file outlives the process. A line may be cut short where the process was killed or the disk was full; it
is then as if it had not been written.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from mambaad_demo.hub.schemas import Border


class Prepare(Border):
    """Work before the first step."""

    kind: Literal["prepare"] = "prepare"
    what: str
    done: int = 0
    total: int = 0
    """0 where nobody counts."""


class Step(Border):
    """Where the training loop is; not every step is written."""

    kind: Literal["step"] = "step"
    step: int
    progress: float
    """0 to 1."""
    loss: float
    learning_rate: float
    seconds: float
    """Of training, interruptions left out."""
    remaining_seconds: float


class Validated(Border):
    """How the weights do on held-out good parts; the best ones are on disk from now on."""

    kind: Literal["validation"] = "validation"
    step: int
    loss: float
    separation: float
    is_best: bool


class Preview(Border):
    """New preview maps are there."""

    kind: Literal["preview"] = "preview"
    step: int
    names: tuple[str, ...]
    """Of the photos, in the order of the preview files."""


class Save(Border):
    """The version is being made from the best weights."""

    kind: Literal["save"] = "save"


class Note(Border):
    """Something the owner should know, such as a photo that was left out."""

    kind: Literal["note"] = "note"
    text: str


class Done(Border):
    """The version lies in the folder of the job."""

    kind: Literal["done"] = "done"


class Failed(Border):
    """Why there is none, in words for its owner."""

    kind: Literal["failed"] = "failed"
    error: str


TrainingEvent = Prepare | Step | Validated | Preview | Save | Note | Done | Failed

_LINE: TypeAdapter[TrainingEvent] = TypeAdapter(Annotated[TrainingEvent, Field(discriminator="kind")])
_STEP_LINE = b'{"kind":"step"'


class EventLog:
    """The end of the file to write to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, event: TrainingEvent) -> None:
        """Add one event, for readers to see at once.

        Raises:
            OSError: the disk is full or gone.
        """
        line = event.model_dump_json().encode() + b"\n"
        with self._path.open("ab+") as file:
            if file.tell() and not _ends_a_line(self._path):
                line = b"\n" + line
            file.write(line)


def read_events(path: Path, *, most_steps: int) -> list[TrainingEvent]:
    """All whole events in order, of the steps an even choice with the last one among them.

    Choosing comes before parsing, so that a page can ask each second.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    lines = content.split(b"\n")[:-1]  # what follows the last line's end is being written
    steps = [number for number, line in enumerate(lines) if line.startswith(_STEP_LINE)]
    left_out = set(steps) - set(_thinned(steps, most_steps))
    return [
        event
        for number, line in enumerate(lines)
        if number not in left_out and (event := _event(line)) is not None
    ]


def _thinned(numbers: list[int], at_most: int) -> list[int]:
    """Every n-th, the last one among them."""
    stride = max(1, -(-len(numbers) // at_most))
    return numbers[::-stride]


def left_out(name: str, reason: str) -> str:
    """The note of a photo that is not used."""
    return f"{name} was left out: {reason}"


def _event(line: bytes) -> TrainingEvent | None:
    try:
        return _LINE.validate_json(line)
    except ValidationError:
        return None


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read() == b"\n"
