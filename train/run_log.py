"""The log of a training run: one row per step in `metrics.csv`, and TensorBoard event files where the package
`tensorboard` is installed. A resumed run goes on in the same files without repeating a step."""

import csv
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.training import Step

METRICS = "metrics.csv"
COLUMNS = ("step", "seconds", "loss", "learning_rate", "held_out_loss")


class Log(Protocol):
    """Takes what each step gave."""

    def write(self, step: Step, held_out_loss: float | None = None) -> None:
        """Record a step, and the loss on held-out images if it was measured after it."""


def require_log_folder(folder: Path | None, *, resume: bool) -> None:
    """Refuse a folder that cannot take the log, or holds another run's, before the work.

    Raises:
        InputError: it is a file, cannot be written, or holds a log that this run would not continue.
    """
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_writable = os.access(folder, os.W_OK)
    except OSError as error:
        raise InputError(
            f"{folder.name!r} cannot hold logs: name a folder, or a place where one can be made."
        ) from error
    if not is_writable:
        raise InputError(f"{folder.name!r} cannot hold logs: you may not write there. Choose another folder.")
    rows = _rows(folder / METRICS)
    if rows and not resume:
        raise InputError(
            f"{folder.name!r} holds the log of another run. Choose another folder, or go on with that run by "
            "--resume."
        )


@contextmanager
def run_log(folder: Path | None, *, resumed_at: int) -> Iterator[Log]:
    """Open the log of a run that has done so many steps before; without a folder nothing is written."""
    logs: list[Any] = []
    if folder is not None:
        logs.append(_CsvLog(folder / METRICS, resumed_at=resumed_at))
        if has_tensorboard():
            logs.append(_TensorBoardLog(folder, resumed_at=resumed_at))
    try:
        yield _Logs(logs)
    finally:
        for log in logs:
            log.close()


def has_tensorboard() -> bool:
    """Whether event files can be written."""
    return find_spec("tensorboard") is not None


def described(folder: Path) -> str:
    """What is written where, in words."""
    if has_tensorboard():
        return f"log: {folder / METRICS} and TensorBoard files beside it (tensorboard --logdir {folder})"
    return f"log: {folder / METRICS}; no TensorBoard files, since the package tensorboard is not installed"


class _Logs:
    def __init__(self, logs: list[Any]) -> None:
        self._logs = logs

    def write(self, step: Step, held_out_loss: float | None = None) -> None:
        for log in self._logs:
            log.write(step, held_out_loss)


class _CsvLog:
    """Rows are on disk as soon as they are written."""

    def __init__(self, path: Path, *, resumed_at: int) -> None:
        kept = [row for row in _rows(path) if int(row[0]) <= resumed_at]
        temporary = path.with_suffix(".partial")
        with temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS, *kept])
        temporary.replace(path)
        self._file = path.open("a", newline="", encoding="utf-8", buffering=1)
        self._writer = csv.writer(self._file)

    def write(self, step: Step, held_out_loss: float | None) -> None:
        figures = (f"{step.seconds:.3f}", f"{step.loss:.6g}", f"{step.learning_rate:.6g}")
        held_out = "" if held_out_loss is None else f"{held_out_loss:.6g}"
        self._writer.writerow((step.number, *figures, held_out))

    def close(self) -> None:
        self._file.close()


class _TensorBoardLog:
    """Event files; steps after the one resumed at are hidden in those of the interrupted run."""

    def __init__(self, folder: Path, *, resumed_at: int) -> None:
        tensorboard = importlib.import_module("torch.utils.tensorboard")
        self._writer = tensorboard.SummaryWriter(
            log_dir=str(folder), purge_step=resumed_at + 1 if resumed_at else None
        )

    def write(self, step: Step, held_out_loss: float | None) -> None:
        self._writer.add_scalar("loss/training", step.loss, step.number)
        self._writer.add_scalar("learning_rate", step.learning_rate, step.number)
        self._writer.add_scalar("seconds", step.seconds, step.number)
        if held_out_loss is not None:
            self._writer.add_scalar("loss/held_out", held_out_loss, step.number)

    def close(self) -> None:
        self._writer.close()


def _rows(path: Path) -> list[list[str]]:
    """Complete rows of a log without its header; a line that a crash cut off is left out.

    Raises:
        InputError: the file is no log of ours.
    """
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        lines = list(csv.reader(file))
    if lines and tuple(lines[0]) != COLUMNS:
        raise InputError(
            f"{path.name!r} in the folder for logs is no log of a training. Choose another folder."
        )
    return [row for row in lines[1:] if len(row) == len(COLUMNS) and row[0].isdecimal()]
