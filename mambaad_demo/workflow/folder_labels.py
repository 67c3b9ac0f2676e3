"""Labels that the folders of a batch give, in the name of a reviewer of their own."""

from collections.abc import Sequence
from pathlib import Path

from mambaad_demo.errors import InputError
from mambaad_demo.storage.workspace import Workspace
from mambaad_demo.workflow.batches import BatchSpec
from mambaad_demo.workflow.exchange import mvtec
from mambaad_demo.workflow.exchange.importing import ImportKind, import_labels
from mambaad_demo.workflow.exchange.sources import Source

REVIEWER = "folder names"
"""In whose name they are recorded."""


def require_folder_labels(spec: BatchSpec, sources: Sequence[Path]) -> None:
    """Refuse folder labels that are none before anything is judged.

    Raises:
        InputError: there are no folders, or they are not laid out as in MVTec AD.
    """
    if not spec.has_labels:
        return
    folders = _with_folders(sources)
    if not folders:
        raise InputError(
            "None of these is a folder or a zip file, so there are no folder names that could be labels. "
            "Leave labels out, or choose a folder or zip file."
        )
    for source in folders:
        try:
            next(mvtec.entries(Source.open(source)))
        except InputError as error:
            raise InputError(f"The folder names of {source.name!r} are no labels. {error}") from error


def read_folder_labels(workspace: Workspace, spec: BatchSpec, sources: Sequence[Path]) -> None:
    """Record what the folders say, if the batch was asked to; pictures among the sources say nothing.

    Raises:
        InputError: a source is not laid out as MVTec AD is.
    """
    if not spec.has_labels:
        return
    for source in _with_folders(sources):
        import_labels(workspace, source, ImportKind.MVTEC, product=spec.product, reviewer=REVIEWER)


def _with_folders(sources: Sequence[Path]) -> list[Path]:
    return [source for source in sources if source.is_dir() or source.suffix.lower() == ".zip"]
