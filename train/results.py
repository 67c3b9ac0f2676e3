"""Where the figures of a run go: a JSON file, checked before the work and written once after it."""

import json
from collections.abc import Mapping
from pathlib import Path

from mambaad_demo.errors import InputError
from mambaad_demo.pipeline.training import processes


def require_parent(file: Path | None) -> None:
    """Refuse a result file that could not be written after hours of work.

    Raises:
        InputError: its folder does not exist, or it is a folder itself.
    """
    if file is None:
        return
    if file.is_dir() or not file.resolve().parent.is_dir():
        raise InputError(f"{file.name!r} cannot be written: name a file in a folder that exists.")


def write_json(file: Path | None, content: Mapping[str, object]) -> None:
    """Write readable JSON, once however many processes run; None writes nothing."""
    if file is not None and processes().is_main_process:
        file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
