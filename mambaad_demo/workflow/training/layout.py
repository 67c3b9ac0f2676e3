"""What lies where in the folder of a fine-tuning job, and what the server orders the process to do.

Nothing here is heavy to import: both sides read it.
"""

import json
from enum import IntEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, JsonValue, ValidationError

from mambaad_demo.hub.schemas import Border, CheckpointName


class ExitStatus(IntEnum):
    """Exit status of a job's process."""

    DONE = 0
    FAILED = 1
    """The last event says why."""
    STOPPED = 3
    """It was asked to, or its parent is gone."""
    DISK_FULL = 4
    """A status of its own, since the event may have found no room."""


class Order(Border):
    """One run of a process: `spec.json`, written anew for each."""

    base: Path
    """Folder of the checkpoint that is fine-tuned."""
    finetune: dict[str, JsonValue]
    """`FinetuneSpec`."""
    version: CheckpointName
    """What the version will be called."""
    replay: Path
    device: str
    kernel: str
    parent: int
    """Process without which this one has no reason to go on."""
    phase: Literal["train", "save"] = "train"
    """Whether to train first, or to make a version from the best weights there are."""


class PhotoList(Border):
    """Photos of a job by the files they lie in: `photos.json`."""

    names: dict[str, str]
    """What people call them, by file name, in their order."""


class JobFolder:
    """Paths inside the folder of one job."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.order_file = path / "spec.json"
        self.photos = path / "photos"
        self.photo_list_file = path / "photos.json"
        self.events = path / "progress.jsonl"
        self.log = path / "log.txt"
        self.state = path / "state.pt"
        self.previews = path / "previews"
        self.report = path / "report.json"
        self.version = path / "version"
        """Holds the new checkpoint folder until it is moved to its place."""
        self.lock = path / "lock"

    def order(self) -> Order | None:
        """The newest order; None before the first, or where another version of this program wrote it."""
        try:
            return Order.model_validate_json(self.order_file.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def photo_list(self) -> PhotoList:
        """The photos that were taken over."""
        return PhotoList.model_validate_json(self.photo_list_file.read_bytes())

    def read_report(self) -> dict[str, JsonValue] | None:
        """What the engine says of the version; None where there is none yet."""
        try:
            content: dict[str, JsonValue] = json.loads(self.report.read_bytes())
        except FileNotFoundError:
            return None
        return content


def write_whole(path: Path, content: bytes | BaseModel) -> None:
    """Replace a file at once: readers see the old one or the new one.

    Raises:
        OSError: the disk is full or gone; the old one stays.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_bytes(
            content if isinstance(content, bytes) else content.model_dump_json(indent=1).encode()
        )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
