"""The state of an interrupted run as a file that is whole or not there."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def read(path: Path) -> dict[str, Any] | None:
    """The state that was written last; None where there is none."""
    return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None


def write(path: Path, state: Mapping[str, Any]) -> None:
    """Replace the state.

    Raises:
        OSError: it cannot be written; the one before stays.
    """
    content = io.BytesIO()  # torch hides why a file could not be written
    torch.save(dict(state), content)
    temporary = path.with_suffix(".partial")
    try:
        temporary.write_bytes(content.getbuffer())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
