"""Files from visitors as untouched paths: what Gradio hands over, checked again before anything opens it.

Events that take a file run with `preprocess=False`: Gradio's `Image` would open the file with Pillow, where
a damaged one ends in an error without words, and its `File` leaves an empty file behind on each call.
Decoding is the business of `data.uploads`.
"""

import re
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from mambaad_demo.errors import InputError
from mambaad_demo.ui.messages import shown_to_user


def uploaded_path(payload: Mapping[str, Any] | None) -> Path | None:
    """Where an uploaded file lies; None where the component is empty.

    Args:
        payload: Gradio's `FileData` as a dictionary.

    Raises:
        InputError: it names no file in the upload folder.
    """
    if payload is None:
        return None
    path = Path(str(payload.get("path"))).resolve()
    if not path.is_relative_to(Path(get_upload_folder()).resolve()) or not path.is_file():
        raise InputError("That is no uploaded file. Upload the picture itself.")
    return path


def new_folder(cache: str) -> Path:
    """An empty folder for files to be downloaded, deleted in time as uploads are.

    Args:
        cache: `GRADIO_CACHE` of the component that hands them out; need not exist yet.
    """
    Path(cache).mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=cache))


def delete_old_files(
    folder: Path, *, minutes: int, at: float | None = None, keep: Collection[str] = ()
) -> int:
    """Delete files that are past their time, and folders that are left empty; returns how many files went.

    Args:
        folder: Gradio's upload folder; need not exist.
        minutes: age from which a file goes.
        at: the moment, in seconds since 1970; by default this one.
        keep: paths of files that stay.
    """
    oldest = (time.time() if at is None else at) - 60 * minutes
    count = 0
    for path in sorted(folder.rglob("*"), reverse=True):  # what is inside comes before its folder
        with suppress(OSError):  # gone meanwhile, or a folder that is not empty
            if path.lstat().st_mtime >= oldest or str(path) in keep:
                continue
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
                count += 1
    return count


def refuse_addresses(inputs: Any) -> None:
    """Refuse web addresses in place of files, which Gradio would fetch on behalf of the caller.

    Args:
        inputs: the JSON of a request.

    Raises:
        InputError: an address is among them.
    """
    if any(re.match(r"\s*[a-z+]+://", path, re.IGNORECASE) for path in _paths(inputs)):
        raise InputError("Send the picture itself; web addresses are not fetched.")


def _paths(value: Any) -> Iterator[str]:
    """Every `path` in a JSON value."""
    if isinstance(value, dict):
        if isinstance(value.get("path"), str):
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _paths(item)


class LocalFilesBlocks(gr.Blocks):
    """Blocks whose events never fetch an address."""

    async def process_api(
        self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """Gradio's door to every handler, with addresses refused first."""
        with shown_to_user():
            refuse_addresses(inputs)
        return await super().process_api(block_fn, inputs, *args, **kwargs)
